#!/usr/bin/env bash
# Looks for secrets in the files that Git knows, in seconds; `make security` looks through the whole history besides.
# A value that is none is marked on its line: `pragma: allowlist secret`.
#   scripts/secrets.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
tool=$PWD/build/tools/bin/detect-secrets
cd "${1:-.}"
# The two detectors of random-looking strings are off: hashes and digests are what they find here. The names of secrets in
# Secret Manager (payflow-…) are none themselves.
found=$("$tool" scan --disable-plugin HexHighEntropyString --disable-plugin Base64HighEntropyString \
    --exclude-secrets '^payflow-[a-z-]+$' --exclude-secrets '^not set yet')
count=$(jq '[.results[][]] | length' <<<"$found")
[ "$count" = 0 ] || jq -r '.results | to_entries[] | .key as $file | .value[] | "\($file):\(.line_number): \(.type)"' <<<"$found"
echo "secrets: $count found"
[ "$count" = 0 ]
