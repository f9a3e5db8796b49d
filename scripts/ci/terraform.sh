#!/usr/bin/env bash
# What the pipeline does with Terraform; a plan that was looked at is the plan that is applied.
#   scripts/ci/terraform.sh plan ENV      saves build/tf/ENV.tfplan, and what it says to build/tf/text/ENV.txt; a plan that
#                                         tf/policies refuse is not kept
#   scripts/ci/terraform.sh apply ENV     applies exactly that saved plan; Terraform refuses if the state has moved on
#   scripts/ci/terraform.sh drift ENV     exit 2 if what runs is not what main says
#   scripts/ci/terraform.sh preview       plans every environment from nothing: no cloud, no rights, no state
# Needs GCP_PROJECT, but for preview. The state is in the bucket that bootstrap made, GCP_PROJECT-payflow-state, or where
# TF_BACKEND_CONFIG says. TF_LOCK=false for an account that may only read.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=$PWD/build/tf
mkdir -p "$out/text"
export TF_IN_AUTOMATION=1 TF_INPUT=0 PATH=$PWD/build/tools/go:$PATH
[ -z "${TF_PLUGIN_CACHE_DIR:-}" ] || mkdir -p "$TF_PLUGIN_CACHE_DIR"

begin() { # ENV: a folder, initialised with its remote state
    folder=tf/environments/$1
    [ -d "$folder" ] || { echo "terraform: there is no environment $1" >&2 && exit 64; }
    export TF_VAR_project_id=${GCP_PROJECT:?is not set}
    local lock=()
    [ ! -f "$folder/.terraform.lock.hcl" ] || lock=(-lockfile=readonly)
    terraform -chdir="$folder" init -no-color -reconfigure "${lock[@]}" -backend-config="${TF_BACKEND_CONFIG:-bucket=$GCP_PROJECT-payflow-state}" >"$out/init.log" ||
        { cat "$out/init.log" && exit 1; }
}

show() { # ENV
    terraform -chdir="$folder" show -no-color "$out/$1.tfplan" >"$out/text/$1.txt"
    grep -E '^(Plan:|No changes)' "$out/text/$1.txt" | sed "s/^/terraform: $1: /"
}

judge() { # ENV: asks tf/policies about the plan; one that they refuse is not kept, so it can't be applied
    if ! command -v opa >/dev/null; then
        echo "terraform: opa is not installed (make security-tools); the policies were not asked about $1" >&2
        [ -z "${CIRCLECI:-}" ] || { rm "$out/$1.tfplan" && exit 69; }
        return
    fi
    terraform -chdir="$folder" show -json "$out/$1.tfplan" >"$out/$1.json"
    opa eval --data tf/policies --input "$out/$1.json" --format raw data.main.deny >"$out/$1.refused"
    if [ "$(jq length "$out/$1.refused")" != 0 ]; then
        jq -r '"terraform: refused: \(.[])"' "$out/$1.refused" >&2
        rm "$out/$1.tfplan" && exit 1
    fi
    echo "terraform: $1: the policies refuse nothing"
}

case "${1:-}" in
    plan)
        begin "$2"
        terraform -chdir="$folder" plan -no-color -lock="${TF_LOCK:-true}" -lock-timeout=5m -out="$out/$2.tfplan" >"$out/plan.log" || { cat "$out/plan.log" && exit 1; }
        show "$2"
        judge "$2"
        ;;
    apply)
        begin "$2"
        terraform -chdir="$folder" apply -no-color -lock-timeout=5m "$out/$2.tfplan"
        ;;
    drift)
        begin "$2"
        status=0
        # A look must not lock out a rollout.
        terraform -chdir="$folder" plan -no-color -lock=false -detailed-exitcode -out="$out/$2.tfplan" >"$out/plan.log" || status=$?
        [ $status -ne 1 ] || { cat "$out/plan.log" && exit 1; }
        show "$2"
        [ $status -eq 0 ] || echo "terraform: $2 has drifted from main; build/tf/text/$2.txt says how" >&2
        exit $status
        ;;
    preview)
        # The alerts' policies are made of files that lie beside tf/.
        rm -rf "$out/preview" && mkdir "$out/preview"
        for part in tf alerts runbooks dashboards; do [ ! -d "$part" ] || cp -r "$part" "$out/preview"; done
        for folder in "$out"/preview/tf/environments/*/; do
            name=$(basename "$folder")
            printf 'terraform {\n  backend "local" {}\n}\n' >"$folder/backend_override.tf"
            terraform -chdir="$folder" init -no-color -reconfigure >"$out/init.log" || { cat "$out/init.log" && exit 1; }
            GOOGLE_OAUTH_ACCESS_TOKEN=none TF_VAR_project_id=payflow-preview \
                terraform -chdir="$folder" plan -no-color -refresh=false -out="$out/$name.tfplan" >"$out/plan.log" || { cat "$out/plan.log" && exit 1; }
            show "$name"
            judge "$name"
        done
        ;;
    *) sed -n '2,/^set /{s/^# \{0,1\}//p}' "$0" && [ "${1:-}" = --help ] ;;
esac
