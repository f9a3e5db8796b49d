#!/usr/bin/env bash
# Gives a secret in Secret Manager a new value, which no argument list, log or Terraform state ever holds.
#   GCP_PROJECT=... scripts/cloud_secret.sh ENV NAME -       the value comes by standard input
#   GCP_PROJECT=... scripts/cloud_secret.sh ENV NAME         from secrets/ENV.sops.yaml, which sops decrypts
# Then the version before is disabled: it can be brought back for as long as it is not destroyed.
set -euo pipefail
[ "${1:-}" != --help ] || { sed -n '2,/^set /{s/^# \{0,1\}//p}' "$0" && exit; }
cd "$(dirname "$0")/.."
[ $# -ge 2 ] || { sed -n '2,/^set /{s/^# \{0,1\}//p}' "$0" >&2 && exit 64; }
environment=$1 name=$2 source=${3:-secrets/$1.sops.yaml}
project=${GCP_PROJECT:?is not set} id=payflow-$environment-$name

value() {
    if [ "$source" = - ]; then
        cat
    else
        sops --decrypt --extract "[\"$name\"]" "$source"
    fi
}

# gcloud would store an empty value as well: sops' failure must not become one.
new=$(value)
[ -n "$new" ] || { echo "cloud_secret: no value for $name" >&2 && exit 65; }
before=$(gcloud secrets versions list "$id" --project "$project" --filter=state=ENABLED --format='value(name)' --limit=1)
printf %s "$new" | gcloud secrets versions add "$id" --project "$project" --data-file=- >&2
[ -z "$before" ] || gcloud secrets versions disable "$before" --secret "$id" --project "$project" --quiet >&2
echo "cloud_secret: $id has a new value" >&2
