#!/usr/bin/env bash
# Writes build/gen/build_info.c: the versions that src/version.h declares. The file is replaced only when it changes,
# so that nothing is built anew for nothing. REVISION overrides Git, for builds where there is none.
set -euo pipefail
[ "${1:-}" != --help ] || { sed -n '2,/^set /{s/^# \{0,1\}//p}' "$0" && exit; }
cd "$(dirname "$0")/.."
out=build/gen/build_info.c
mkdir -p build/gen

revision=${REVISION:-$(git describe --always --dirty --abbrev=12 --exclude='*' 2>/dev/null || echo unknown)}

# The Debian version of a source package, from the name of its tarball.
source_version() {
    sed -nE "s/^[0-9a-f]+  $1_(.*)\.debian\.tar\..*/\1/p" build/deps/src/manifest
}

{
    echo '#include "version.h"'
    echo
    echo "const char version_name[] = \"$(<VERSION)\";"
    echo "const char version_revision[] = \"$revision\";"
    for package in civetweb cjson hiredis; do
        echo "const char version_${package}[] = \"$(source_version "$package")\";"
    done
} >"$out.new"
if cmp -s "$out.new" "$out"; then rm "$out.new"; else mv "$out.new" "$out"; fi
