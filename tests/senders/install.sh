#!/usr/bin/env bash
# Puts the real senders of tests/senders/ into .senders/: Python and Node.js libraries, and programs of Debian.
# Debian's packages are only unpacked there: syslog-ng and rsyslog refuse to be installed together, and nobody's machine
# is changed. What cannot be had is left out with a word, and its tests say so; the exit code is 0 all the same.
set -uo pipefail
cd "$(dirname "$0")/../.."
here=tests/senders
folder=$PWD/.senders
log=$folder/install.log
mkdir -p "$folder"
: > "$log"

. tests/unpacking.sh

install_debian() {
    is_done debian "$here/install.sh" && return
    if ! command -v apt-get > /dev/null; then
        left_out "syslog-ng, rsyslog and systemd-journal-upload" "no apt-get"
        return
    fi
    if [ "$(id -u)" = 0 ]; then
        apt-get update -qq >> "$log" 2>&1
    fi
    rm -rf "$folder/bin"
    # One after the other: taken together, apt calls syslog-ng and rsyslog "held broken packages".
    local complete=yes
    { unpack syslog-ng syslog-ng-core syslog-ng-mod-http syslog-ng-scl && wrap syslog-ng syslog-ng; } || complete=no
    { unpack rsyslog rsyslog rsyslog-elasticsearch && wrap rsyslog rsyslogd; } || complete=no
    { unpack journal systemd-journal-remote && wrap journal systemd-journal-remote &&
        wrap journal systemd-journal-upload; } || complete=no
    [ $complete = no ] || mark_done debian "$here/install.sh"
}

install_node "the Node.js senders" &
install_debian &
install_python "the Python senders"
wait
exit 0
