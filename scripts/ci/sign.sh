#!/usr/bin/env bash
# Signs an image by its digest and attests its SBOM (CycloneDX) with cosign: scripts/ci/sign.sh [IMAGE@sha256:…]
# Without an argument: the image that scripts/ci/build.sh pushed. COSIGN_KEY is the key: gcpkms://… in the pipeline, a file
# for trying it out. SBOM names the SBOM's file (build/image/sbom.cdx.json). No public transparency log is written: who
# releases what, and when, is nobody's business. Needs cosign (make security-tools).
set -euo pipefail
cd "$(dirname "$0")/../.."
[ "${1:-}" != --help ] || { sed -n '2,/^set /{s/^# \{0,1\}//p}' "$0" && exit; }
export PATH=$PWD/build/tools/go:$PATH
image=${1:-$(cat build/image/name)}
sbom=${SBOM:-build/image/sbom.cdx.json}
[[ $image =~ @sha256:[0-9a-f]{64}$ ]] || { echo "sign: $image is not named by its digest" >&2 && exit 64; }
[ -s "$sbom" ] || { echo "sign: there is no SBOM at $sbom" >&2 && exit 66; }

key=(--yes --key "${COSIGN_KEY:?is not set: gcpkms://… or a file}" --tlog-upload=false)
mkdir -p build/image
cosign public-key --key "$COSIGN_KEY" >build/image/cosign.pub
# Signatures are tags too, and the registry's are immutable: a job that runs again must not write them a second time.
there() { cosign "$@" --key build/image/cosign.pub --insecure-ignore-tlog=true "$image" >/dev/null 2>&1; }
there verify || cosign sign "${key[@]}" "$image"
there verify-attestation --type cyclonedx || cosign attest "${key[@]}" --type cyclonedx --predicate "$sbom" "$image"
echo "sign: $image is signed, its SBOM attested"
