#!/usr/bin/env bash
# Builds the image with the labels and times of the commit, prints its size and puts its SBOM into build/image/.
# IMAGE=payflow:local names it, RELEASE=1 insists on versions.lock; arguments go to BUILDER (`docker build`).
set -euo pipefail
[ "${1:-}" != --help ] || { sed -n '2,/^set /{s/^# \{0,1\}//p}' "$0" && exit; }
cd "$(dirname "$0")/.."
image=${IMAGE:-payflow:local}
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
revision=${REVISION:-$(git describe --always --dirty --abbrev=12 --exclude='*' 2>/dev/null || echo unknown)}
read -ra builder <<<"${BUILDER:-docker build}"

# Where the sources are, if that is a place that others can reach.
source=$(git config --get remote.origin.url | sed -nE 's#^git@([^:]+):#https://\1/#; s#^https://[^/@]*@#https://#; /^https:/p' || true)

"${builder[@]}" --tag "$image" \
    --build-arg VERSION="${VERSION:-$(<VERSION)}" --build-arg REVISION="$revision" --build-arg RELEASE="${RELEASE:-0}" \
    --build-arg SOURCE_DATE_EPOCH="$epoch" --build-arg CREATED="$(date -u -d "@$epoch" +%Y-%m-%dT%H:%M:%SZ)" \
    --build-arg SOURCE="${source:-unknown}" "$@" .

mkdir -p build/image
container=$(docker create "$image")
trap 'docker rm "$container" >/dev/null' EXIT
docker cp -q "$container:/sbom.cdx.json" build/image/ 2>/dev/null || docker cp "$container:/sbom.cdx.json" build/image/
echo "image: $image, $(docker image inspect --format '{{.Size}}' "$image") bytes; what is inside: build/image/sbom.cdx.json"
