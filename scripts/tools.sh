#!/usr/bin/env bash
# Puts the tools that scripts/tools.txt pins into a virtual environment of this checkout, build/tools/venv, and links their
# programs into build/tools/bin. Nothing is installed outside the checkout. `tools.sh NAME` does the same with
# scripts/tools-NAME.txt and build/tools/NAME: tools that only one suite needs, or that can't live beside the others.
set -euo pipefail
[ "${1:-}" != --help ] || { sed -n '2,/^set /{s/^# \{0,1\}//p}' "$0" && exit; }
cd "$(dirname "$0")/.."
list=scripts/tools${1:+-$1}.txt
venv=build/tools/${1:-venv}

cmp -s "$list" "$venv/done" && exit 0
echo "tools: installing $(grep -c '==' "$list") pinned tools into $venv"
rm -rf "$venv"
/usr/bin/python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$list"
mkdir -p build/tools/bin
while IFS='=' read -r tool _; do
    tool=${tool%-bin} # a package that only carries a program
    [ ! -x "$venv/bin/$tool" ] || ln -sf "../${venv#build/tools/}/bin/$tool" "build/tools/bin/$tool"
done < <(grep '==' "$list")
cp "$list" "$venv/done"
