# What the install.sh of tests/senders/ and tests/proxies/ share: parts are put into $folder, as the files in $here say,
# and what happens is written to $log. Both are set by who sources this. Debian's packages are only unpacked.

left_out() {
    echo "Left out: $1 ($2; see $log)" >&2
}

# Whether a part was installed from exactly these files before.
is_done() {
    [ -f "$folder/$1.done" ] && [ "$(cat "$folder/$1.done")" = "$(cat "${@:2}" | cksum)" ]
}

mark_done() {
    cat "${@:2}" | cksum > "$folder/$1.done"
}

# install_python WHAT: the Python packages of requirements.txt, in a Python of their own.
install_python() {
    local wanted=$here/requirements.txt
    is_done python "$wanted" && return
    if ! "${PYTHON:-python3}" -m venv --clear "$folder/python" >> "$log" 2>&1; then
        left_out "$1" "no Python with its venv module"
    elif ! "$folder/python/bin/python" -m pip install -q --disable-pip-version-check -r "$wanted" >> "$log" 2>&1; then
        left_out "$1" "pip failed"
    else
        mark_done python "$wanted"
    fi
}

# install_node WHAT: the Node.js packages of package.json.
install_node() {
    local wanted=$here/package.json
    is_done node "$wanted" && return
    if ! command -v npm > /dev/null; then
        left_out "$1" "no npm"
        return
    fi
    rm -rf "$folder/node"
    mkdir -p "$folder/node"
    cp "$wanted" "$folder/node/"
    # No package-lock.json: it would record the addresses of one machine's registry.
    if npm install --prefix "$folder/node" --no-package-lock --ignore-scripts --no-audit --no-fund --loglevel=error \
        >> "$log" 2>&1; then
        mark_done node "$wanted"
    else
        left_out "$1" "npm failed"
    fi
}

# unpack NAME PACKAGE...: the packages, and what they need that this machine has not, unpacked in $folder/NAME.
unpack() {
    local name=$1 target=$folder/$1
    shift
    rm -rf "$target"
    mkdir -p "$target/archives/partial"
    if ! apt-get install --download-only --reinstall -y -qq --no-install-recommends -o Debug::NoLocking=true \
        -o Dir::Cache::archives="$target/archives" "$@" >> "$log" 2>&1; then
        left_out "$name" "apt-get failed"
        return 1
    fi
    local package
    for package in "$target"/archives/*.deb; do
        if ! dpkg -x "$package" "$target" >> "$log" 2>&1; then
            left_out "$name" "dpkg failed"
            return 1
        fi
    done
    rm -rf "$target/archives"
}

# wrap NAME PROGRAM: $folder/bin/PROGRAM runs the program of $folder/NAME with the libraries beside it.
wrap() {
    local found libraries
    found=$(cd "$folder" && find "$1" -type f -name "$2" -perm -u+x -not -path '*/etc/*' | head -n 1)
    libraries=$(cd "$folder" && find "$1" -name '*.so*' -printf '$here/%h\n' | sort -u | paste -sd :)
    if [ -z "$found" ]; then
        left_out "$2" "it is not in its package"
        return 1
    fi
    mkdir -p "$folder/bin"
    cat > "$folder/bin/$2" << END
#!/bin/sh
here=\$(cd "\$(dirname "\$0")/.." && pwd)
LD_LIBRARY_PATH=$libraries exec "\$here/$found" "\$@"
END
    chmod +x "$folder/bin/$2"
}
