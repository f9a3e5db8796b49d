#!/usr/bin/env bash
# Builds pinned Go tools into build/tools/bin: scripts/go_tools.sh [NAME...]; without a name, all of scripts/go_tools.txt.
# They take minutes each to compile (the pipeline keeps them in its cache), so nothing but `make security-tools` calls this.
set -euo pipefail
cd "$(dirname "$0")/.."
list=scripts/go_tools.txt
folder=build/tools/go
if [ "${1:-}" = --help ]; then
    sed -n 's/^# //p' "$0"
    exit
fi
command -v go >/dev/null || { echo "go_tools: go is not there; install Go 1.25 or newer (https://go.dev/dl)" >&2; exit 69; }

build() { # NAME
    local package version started=$SECONDS
    read -r package version < <(awk -v name="$1" '$1 == name { print $2, $3 }' $list)
    [ -n "$version" ] || { echo "go_tools: $list has no $1" >&2; exit 64; }
    if [ "$(cat "$folder/$1.version" 2>/dev/null)" != "$version" ] || [ ! -x "$folder/$1" ]; then
        echo "go_tools: building $1 $version"
        GOBIN=$PWD/$folder GOTOOLCHAIN=auto CGO_ENABLED=0 go install -trimpath -ldflags='-s -w' "$package@$version"
        echo "$version" >"$folder/$1.version"
        echo "go_tools: $1 took $((SECONDS - started)) s"
    fi
    ln -sf "../go/$1" "build/tools/bin/$1"
}

mkdir -p $folder build/tools/bin
names=("$@")
[ $# -gt 0 ] || mapfile -t names < <(awk '!/^#/ && NF { print $1 }' $list)
for name in "${names[@]}"; do build "$name"; done
