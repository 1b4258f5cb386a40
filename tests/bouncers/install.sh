#!/usr/bin/env bash
# Puts the real bouncers of tests/bouncers/ on this machine: Debian's packages where apt-get may be used (root), and
# pycrowdsec in .bouncers/. Nothing is started. What cannot be had is left out with a word, and its tests say so; the
# exit code is 0 all the same.
set -uo pipefail
cd "$(dirname "$0")/../.."
folder=$PWD/.bouncers
log=$folder/install.log
mkdir -p "$folder"
: > "$log"

left_out() {
    echo "Left out: $1 ($2; see .bouncers/install.log)" >&2
}

install_debian() {
    local wanted=(crowdsec-firewall-bouncer crowdsec-custom-bouncer crowdsec nft ip nsenter) missing=() name
    for name in "${wanted[@]}"; do
        PATH="$PATH:/usr/sbin:/sbin" command -v "$name" > /dev/null || missing+=("$name")
    done
    ((${#missing[@]})) || return
    if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
        left_out "${missing[*]}" "no apt-get, or not root"
        return
    fi
    # Without this file the package registers the machine with CrowdSec's central service.
    if [ ! -s /etc/crowdsec/online_api_credentials.yaml ]; then
        mkdir -p /etc/crowdsec
        echo '# none' > /etc/crowdsec/online_api_credentials.yaml
    fi
    # Nor may the packages start what they install.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
        chmod +x /usr/sbin/policy-rc.d
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >> "$log" 2>&1
    # Each by itself: where one cannot be had, the others are.
    for name in nftables iproute2 util-linux crowdsec-firewall-bouncer crowdsec-custom-bouncer crowdsec; do
        apt-get install -y -qq --no-install-recommends "$name" >> "$log" 2>&1 || left_out "$name" "apt-get failed"
    done
}

install_python() {
    local wanted=tests/bouncers/requirements.txt
    [ -f "$folder/python.done" ] && [ "$(cat "$folder/python.done")" = "$(cksum < "$wanted")" ] && return
    if ! "${PYTHON:-python3}" -m venv --clear "$folder/python" >> "$log" 2>&1; then
        left_out "pycrowdsec" "no Python with its venv module"
    elif ! "$folder/python/bin/python" -m pip install -q --disable-pip-version-check -r "$wanted" >> "$log" 2>&1; then
        left_out "pycrowdsec" "pip failed"
    else
        cksum < "$wanted" > "$folder/python.done"
    fi
}

install_debian
install_python
exit 0
