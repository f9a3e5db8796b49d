#!/usr/bin/env bash
# Makes an API key in the cloud. The key is made here; only its hash travels, as an argument of the migrate job, so the key
# is in no log. Without --secret it is printed, once; with it, it goes straight to Secret Manager.
#   GCP_PROJECT=... scripts/cloud_key.sh ENV ACCOUNT [--live] [--secret NAME]
# As the smoke job's key, once an environment: scripts/cloud_key.sh staging smoke --secret smoke-key
set -euo pipefail
[ "${1:-}" != --help ] || { sed -n '2,/^set /{s/^# \{0,1\}//p}' "$0" && exit; }
cd "$(dirname "$0")/.."
usage() { sed -n '2,/^set /{s/^# \{0,1\}//p}' "$0" >&2 && exit 64; }

[ $# -ge 2 ] || usage
environment=$1 account=$2 mode=(--test) kind=test secret=
shift 2
while [ $# -gt 0 ]; do
    case "$1" in
        --live) mode=() kind=live ;;
        --secret) secret=${2:?--secret needs a name} && shift ;;
        *) usage ;;
    esac
    shift
done
project=${GCP_PROJECT:?is not set} region=${GCP_REGION:-europe-west1}

key=pfk_${kind}_$(od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n')
hash=$(printf %s "$key" | sha256sum | cut -d' ' -f1)
# A comma stands in the scopes, so another sign parts the arguments.
arguments=(keys create --account "$account" --scope "payments:read,payments:write" "${mode[@]}" --hash "$hash")
gcloud run jobs execute "payflow-$environment-migrate" --project "$project" --region "$region" --wait \
    --args="^;^$(IFS=';' && echo "${arguments[*]}")" >&2
if [ -n "$secret" ]; then
    printf %s "$key" | GCP_PROJECT=$project scripts/cloud_secret.sh "$environment" "$secret" -
else
    echo "$key"
fi
