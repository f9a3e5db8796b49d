#!/usr/bin/env bash
# Gets mermaid, which draws the pictures of README and docs on GitHub, for the test that draws them (tests/docs): npm's
# package, pinned by version and SHA-512, of which one file is kept: build/tools/npm/mermaid/mermaid.min.js.
# Exit code 69: npm is not there, or could not fetch it.
set -euo pipefail
[ "${1:-}" != --help ] || { sed -n '2,/^set /{s/^# \{0,1\}//p}' "$0" && exit; }
cd "$(dirname "$0")/.."
version=12.3.0
sha512=e35d774dd5de2c0b0caee27bf4ea452f93bcf8b4c55e142a676eb4ac5ded8149a2340b519b852e99ed3823eeb93d137ac99ebd2787fcad56165bccd193ae5463
folder=build/tools/npm/mermaid

[ "$(cat $folder/version 2>/dev/null)" != $version ] || exit 0
command -v npm >/dev/null || { echo "mermaid: npm is not installed" >&2 && exit 69; }
mkdir -p $folder
trap 'rm -f $folder/*.tgz' EXIT
npm pack --silent --pack-destination $folder mermaid@$version >/dev/null || { echo "mermaid: npm could not fetch it" >&2 && exit 69; }
if ! sha512sum --quiet --check <<<"$sha512  $folder/mermaid-$version.tgz"; then
    echo "mermaid: not the package that was pinned; look at it, then change the hash in scripts/mermaid.sh" >&2
    exit 1
fi
tar -xzf $folder/mermaid-$version.tgz -C $folder --strip-components=2 package/dist/mermaid.min.js
echo $version >$folder/version
