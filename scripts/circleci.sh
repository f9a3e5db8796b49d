#!/usr/bin/env bash
# Checks .circleci/config.yml thrice: our own rules, CircleCI's JSON schema, and, where npm is there, CircleCI's parser.
#   scripts/circleci.sh [FILE]
set -euo pipefail
[ "${1:-}" != --help ] || { sed -n '2,/^set /{s/^# \{0,1\}//p}' "$0" && exit; }
cd "$(dirname "$0")/.."
file=${1:-.circleci/config.yml}
parser=@circleci/circleci-config-parser@0.10.0-alpha.3
folder=build/tools/npm/circleci

status=0
scripts/check_circleci.py "$file" || status=1
build/tools/bin/check-jsonschema --builtin-schema vendor.circle-ci "$file" || status=1
if ! command -v npm >/dev/null; then
    echo "circleci: npm is not there; CircleCI's parser was not asked"
    exit $status
fi
if [ "$(cat $folder/version 2>/dev/null)" != "$parser" ]; then
    npm install --prefix $folder --silent --no-audit --no-fund --ignore-scripts "$parser"
    echo "$parser" >$folder/version
fi
node scripts/parse_circleci.mjs $folder "$file" || status=1
exit $status
