#!/usr/bin/env bash
# Looks for secrets in the files that Git knows, in seconds; `make security` looks through the whole history besides.
# A value that is none is marked on its line: `pragma: allowlist secret`.
#   scripts/secrets.sh [FOLDER | FILE...]
set -euo pipefail
[ "${1:-}" != --help ] || { sed -n '2,/^set /{s/^# \{0,1\}//p}' "$0" && exit; }
cd "$(dirname "$0")/.."
tool=$PWD/build/tools/bin/detect-secrets
if [ -d "${1:-.}" ]; then
    cd "${1:-.}"
    shift $(($# > 0))
fi
# The two detectors of random-looking strings are off: hashes and digests are what they find here. The names of secrets in
# Secret Manager (payflow-…) are none themselves. Tests have made-up passwords, but no real key of any kind.
"$tool" scan "$@" --disable-plugin HexHighEntropyString --disable-plugin Base64HighEntropyString \
    --exclude-secrets '^payflow-[a-z-]+$' --exclude-secrets '^not set yet' |
    jq -r '.results[][] | select((.filename | startswith("tests/") | not) or (.type | IN("Secret Keyword", "Basic Auth Credentials") | not))
        | "\(.filename):\(.line_number): \(.type)"' | {
    count=0
    while read -r line; do
        echo "$line"
        count=$((count + 1))
    done
    echo "secrets: $count found"
    [ $count = 0 ]
}
