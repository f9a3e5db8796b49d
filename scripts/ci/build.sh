#!/usr/bin/env bash
# Builds the image with buildx, once, and pushes it under two tags: the commit's SHA, and VERSION-build.N as semver (N is
# the pipeline's number). Everything after this names it by its digest, which goes to build/image/name.
# A commit that has been pushed already is not built again: its digest is looked up.
#
# Needs IMAGE_REPOSITORY (HOST/PROJECT/REPOSITORY/payflow); PIPELINE_NUMBER and CIRCLE_SHA1 have defaults on a laptop.
#   scripts/ci/build.sh [--dry-run]     --dry-run prints the command
set -euo pipefail
cd "$(dirname "$0")/../.."
case "${1:-}" in
    --help) sed -n '2,/^set /{s/^# \{0,1\}//p}' "$0" && exit ;;
    "" | --dry-run) ;;
    *) echo "build: unknown argument $1; see --help" >&2 && exit 64 ;;
esac

repository=${IMAGE_REPOSITORY:?is not set: HOST/PROJECT/REPOSITORY/payflow}
revision=${CIRCLE_SHA1:-$(git rev-parse HEAD)}
version=$(<VERSION)-build.${PIPELINE_NUMBER:-0}
export BUILDER="docker buildx build" RELEASE=1 VERSION=$version REVISION=$revision IMAGE=$repository:$revision
command=(scripts/image.sh --push --provenance=false --platform linux/amd64 --tag "$repository:$version"
    --metadata-file build/image/metadata.json)
if [ "${1:-}" = --dry-run ]; then
    echo "$BUILDER: $IMAGE"
    printf '%q ' "${command[@]}" && echo
    exit
fi

mkdir -p build/image
digest_of() { docker buildx imagetools inspect "$1" --format '{{.Manifest.Digest}}' 2>/dev/null; }
if digest=$(digest_of "$repository:$revision"); then
    echo "build: $revision is there already"
    container=$(docker create "$repository@$digest")
    docker cp -q "$container:/sbom.cdx.json" build/image/
    docker rm "$container" >/dev/null
    version=$(docker image inspect --format '{{index .Config.Labels "org.opencontainers.image.version"}}' "$repository@$digest")
else
    "${command[@]}"
    digest=$(jq -er '."containerimage.digest"' build/image/metadata.json)
fi
[[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || { echo "build: no digest came back: $digest" >&2 && exit 1; }
echo "$repository@$digest" >build/image/name
echo "$version" >build/image/version
echo "build: $repository@$digest is $version"
