#!/usr/bin/env bash
# Puts libpgcommon_shlib.a and libpgport_shlib.a, which libpq.a needs, into build/deps/lib. They come from the package
# postgresql-server-dev-NN of libpq's own version: the installed one, else a downloaded one of which only these two files are
# used (installing it would bring a whole LLVM).
set -euo pipefail
[ "${1:-}" != --help ] || { sed -n '2,/^set /{s/^# \{0,1\}//p}' "$0" && exit; }
cd "$(dirname "$0")/.."
out=build/deps/lib
archives=(libpgcommon_shlib.a libpgport_shlib.a)

version=$(pg_config --version) # PostgreSQL 15.20 (Debian 15.20-0+deb12u1)
major=${version#PostgreSQL }
major=${major%%[!0-9]*}
folder=usr/lib/postgresql/$major/lib
root=
if ! [ -f "/$folder/${archives[0]}" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    package=postgresql-server-dev-$major
    if ! (cd "$work" && apt-get -q download "$package" >/dev/null 2>"$work/errors" && dpkg-deb -x "$package"_*.deb .); then
        echo "static: package $package could not be fetched: $(tail -n 1 "$work/errors")" >&2
        exit 1
    fi
    root=$work
fi
mkdir -p "$out"
for archive in "${archives[@]}"; do
    cp "$root/$folder/$archive" "$out/$archive.new"
    mv "$out/$archive.new" "$out/$archive"
done
