#!/bin/sh
# Keeps the blocklist file of a firewall or proxy up to date, and has it taken up where it has changed.
#
#   bartizan-list.sh 'format=nftables' /var/lib/bartizan/blocked.nft nft -f /var/lib/bartizan/blocked.nft
#
# BARTIZAN_URL is where Bartizan is, BARTIZAN_LOOKUP_TOKEN a token of the role lookup. While Bartizan is away, or the
# command fails, the old file stays and the exit code is not 0; the next run tries again. Needs curl 7.70 or newer.
set -eu

query=$1 file=$2
shift 2
draft=$file.draft
etag=$file.etag
trap 'rm -f "$draft" "$draft.etag"' EXIT

# The token goes through a pipe: the arguments of a program can be read by everybody on the machine.
[ -s "$file" ] && [ -s "$etag" ] || : > "$etag"
status=$(
    printf 'header = "Authorization: Bearer %s"\n' "$BARTIZAN_LOOKUP_TOKEN" |
        curl --silent --show-error --fail --max-time 60 --config - --etag-compare "$etag" \
            --etag-save "$draft.etag" --output "$draft" --write-out '%{http_code}' \
            "${BARTIZAN_URL:-http://127.0.0.1:8000}/v1/blocklist?$query"
)
if [ "$status" = 304 ]; then
    exit 0
fi
[ -e "$draft" ] || : > "$draft"
# Without an ETag the next run takes the file again: it is written only once the file is in use.
rm -f "$etag"
mv "$draft" "$file"
"$@"
mv "$draft.etag" "$etag"
