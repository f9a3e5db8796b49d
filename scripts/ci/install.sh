#!/usr/bin/env bash
# Takes programs that are not to be had as packages or Go modules out of their makers' pinned images, into build/tools:
#   scripts/ci/install.sh gcloud terraform
# What is on the PATH already in the pinned version stays. Needs docker and the open internet.
set -euo pipefail
cd "$(dirname "$0")/../.."
gcloud_version=528.0.0
terraform_version=1.11.4

copy() { # IMAGE PATH-IN-IMAGE TARGET
    local container
    container=$(docker create "$1")
    docker cp -q "$container:$2" "$3"
    docker rm "$container" >/dev/null
}

mkdir -p build/tools/bin
for name in "$@"; do
    case "$name" in
        gcloud)
            if ! gcloud version 2>/dev/null | grep -qx "Google Cloud SDK $gcloud_version"; then
                rm -rf build/tools/google-cloud-sdk
                copy "google/cloud-sdk:$gcloud_version-slim" /usr/lib/google-cloud-sdk build/tools/google-cloud-sdk
                for program in gcloud docker-credential-gcloud; do
                    ln -sf "../google-cloud-sdk/bin/$program" "build/tools/bin/$program"
                done
            fi
            ;;
        terraform)
            if ! terraform version 2>/dev/null | grep -qx "Terraform v$terraform_version"; then
                copy "hashicorp/terraform:$terraform_version" /bin/terraform build/tools/bin/terraform
            fi
            ;;
        --help) sed -n '2,/^set /{s/^# \{0,1\}//p}' "$0" ;;
        *) echo "install: unknown program $name; there are gcloud and terraform" >&2 && exit 64 ;;
    esac
done
# The next steps of the job find them.
[ -z "${BASH_ENV:-}" ] || echo "export PATH=$PWD/build/tools/bin:$PWD/build/tools/go:\$PATH" >>"$BASH_ENV"
