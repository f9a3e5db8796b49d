#!/usr/bin/env bash
# Verifies an image before it is deployed: named by its digest, signed with our key, its SBOM attested with the same key.
#   scripts/ci/verify.sh [IMAGE@sha256:…]
# Without an argument: the image that scripts/ci/build.sh pushed. The SBOM goes to build/image/attested.cdx.json.
# COSIGN_VERIFY_KEY is the public key: env://COSIGN_PUBLIC_KEY, gcpkms://… or a file. Needs cosign (make security-tools).
set -euo pipefail
cd "$(dirname "$0")/../.."
[ "${1:-}" != --help ] || { sed -n '2,/^set /{s/^# \{0,1\}//p}' "$0" && exit; }
export PATH=$PWD/build/tools/go:$PATH
image=${1:-$(cat build/image/name)}
[[ $image =~ @sha256:[0-9a-f]{64}$ ]] || { echo "verify: $image is not named by its digest" >&2 && exit 64; }

mkdir -p build/image
key=(--key "${COSIGN_VERIFY_KEY:?is not set: env://COSIGN_PUBLIC_KEY, gcpkms://… or a file}" --insecure-ignore-tlog=true)
fail() { echo "verify: $image: $1; do not deploy it" >&2 && exit 1; }
cosign verify "${key[@]}" "$image" >build/image/signature.json || fail "no signature of our key"
cosign verify-attestation "${key[@]}" --type cyclonedx "$image" >build/image/attestation.json || fail "no SBOM of our key"
head -n 1 build/image/attestation.json | jq -er .payload | base64 -d | jq -e .predicate >build/image/attested.cdx.json ||
    fail "its attestation holds no SBOM"
echo "verify: $image has our signature, and an SBOM of $(jq '.components | length' build/image/attested.cdx.json) components"
