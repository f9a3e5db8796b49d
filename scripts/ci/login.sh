#!/usr/bin/env bash
# Logs this CI job in to Google with the job's own OIDC token (Workload Identity Federation); there is no key anywhere.
# Later steps get GOOGLE_APPLICATION_CREDENTIALS (Terraform, cosign); gcloud and, where IMAGE_REPOSITORY is set, docker are
# logged in as well.
#
# Needs, from the job's context: GCP_WIF_PROVIDER (projects/N/locations/global/workloadIdentityPools/POOL/providers/P),
# GCP_SERVICE_ACCOUNT, and CircleCI's CIRCLE_OIDC_TOKEN_V2. STS_URL and IAMCREDENTIALS_URL replace Google's addresses where
# they are reached by Private Service Connect.
#
#   scripts/ci/login.sh [--dry-run]     --dry-run writes the configuration and logs in nowhere
set -euo pipefail
cd "$(dirname "$0")/../.."
case "${1:-}" in
    --help) sed -n '2,/^set /{s/^# \{0,1\}//p}' "$0" && exit ;;
    "" | --dry-run) ;;
    *) echo "login: unknown argument $1; see --help" >&2 && exit 64 ;;
esac

missing=()
for name in CIRCLE_OIDC_TOKEN_V2 GCP_WIF_PROVIDER GCP_SERVICE_ACCOUNT; do
    [ -n "${!name:-}" ] || missing+=("$name")
done
if [ ${#missing[@]} -gt 0 ]; then
    echo "login: ${missing[*]} not set; does the job have its context? (docs/pipeline.md)" >&2
    exit 78
fi

folder=$PWD/build/login
credentials=$folder/google.json
(umask 077 && mkdir -p "$folder" && printf '%s' "$CIRCLE_OIDC_TOKEN_V2" >"$folder/token")
gcloud iam workload-identity-pools create-cred-config "$GCP_WIF_PROVIDER" --quiet \
    --service-account="$GCP_SERVICE_ACCOUNT" --service-account-token-lifetime-seconds=3600 \
    --credential-source-file="$folder/token" --output-file="$credentials"
/usr/bin/python3 - "$credentials" <<'PYTHON'
import json, os, pathlib, sys
path = pathlib.Path(sys.argv[1])
config = json.loads(path.read_text())
if url := os.environ.get("STS_URL"):
    config["token_url"] = url
if url := os.environ.get("IAMCREDENTIALS_URL"):
    account = os.environ["GCP_SERVICE_ACCOUNT"]
    config["service_account_impersonation_url"] = f"{url}/v1/projects/-/serviceAccounts/{account}:generateAccessToken"
path.write_text(json.dumps(config, indent=2))
PYTHON
[ "${1:-}" != --dry-run ] || { echo "login: $credentials is written; nobody was logged in" && exit; }

gcloud auth login --quiet --cred-file="$credentials"
gcloud auth print-access-token --quiet >/dev/null # the log-in itself asks nobody; a refusal shows here and not in the rollout
if [ -n "${BASH_ENV:-}" ]; then
    echo "export GOOGLE_APPLICATION_CREDENTIALS=$credentials CLOUDSDK_CORE_PROJECT=${GCP_PROJECT:-}" >>"$BASH_ENV"
fi
if [ -n "${IMAGE_REPOSITORY:-}" ] && command -v docker >/dev/null; then
    gcloud auth configure-docker --quiet "${IMAGE_REPOSITORY%%/*}"
fi
