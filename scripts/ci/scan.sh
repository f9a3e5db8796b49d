#!/usr/bin/env bash
# Scans the parts of an image for known holes, by the SBOM that lies in it.
#   scripts/ci/scan.sh                    the image that scripts/ci/build.sh pushed, before it is signed
#   scripts/ci/scan.sh --released ENV     what ENV serves now, by its attested SBOM: holes become known after a release
set -euo pipefail
cd "$(dirname "$0")/../.."
case "${1:-}" in
    "") sbom=build/image/sbom.cdx.json ;;
    --released)
        export PATH=$PWD/build/tools/bin:$PATH
        mkdir -p build/image
        scripts/ci/released_image.py "${2:?which environment?}" >build/image/name
        scripts/ci/verify.sh
        sbom=build/image/attested.cdx.json
        ;;
    *) sed -n '2,/^set /{s/^# \{0,1\}//p}' "$0" && [ "$1" = --help ] && exit || exit 64 ;;
esac
exec scripts/security.py --only dependencies --require dependencies --sbom "$sbom"
