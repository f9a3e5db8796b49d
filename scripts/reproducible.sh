#!/usr/bin/env bash
# Builds the static binary twice, each time from a fresh copy of the sources, in another place, another time zone and
# another order, and compares the bytes.
set -euo pipefail
[ "${1:-}" != --help ] || { sed -n '2,/^set /{s/^# \{0,1\}//p}' "$0" && exit; }
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
REVISION=$(git describe --always --dirty --abbrev=12 --exclude='*' 2>/dev/null || echo unknown)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 1)}
export REVISION SOURCE_DATE_EPOCH

build_in() { # DIRECTORY JOBS
    mkdir -p "$1/build"
    git ls-files -z -co --exclude-standard | while IFS= read -r -d '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done |
        tar -c --null -T - | tar -x -C "$1"
    cp -r build/deps "$1/build/deps"
    echo "reproducible: building, $2 at a time"
    make -C "$1" -j"$2" --no-print-directory build/static/payflow >"$work/log" 2>&1 || { tail -n 20 "$work/log"; exit 1; }
    sha256sum <"$1/build/static/payflow"
}
scripts/sources.py
first=$(TZ=UTC build_in "$work/a" 2 | tee /dev/stderr | tail -n 1)
second=$(TZ=Pacific/Auckland LC_ALL=C umask=077 build_in "$work/another/place" 1 | tee /dev/stderr | tail -n 1)
if [ "$first" != "$second" ]; then
    echo "reproducible: the two builds differ"
    exit 1
fi
echo "reproducible: both builds have the same bytes, SHA-256 ${first%% *}"
