#!/usr/bin/env bash
# Keeps the job's OIDC token fresh while process PID lives: scripts/ci/refresh_token.sh PID [SECONDS]
# CircleCI's token is good for an hour, a canary that is in doubt takes longer, and its way back must not fail for want of a
# token. gcloud reads the token's file anew whenever its access token runs out.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ "${1:-}" != --help ] || { sed -n '2,/^set /{s/^# \{0,1\}//p}' "$0" && exit; }
pid=$1
every_s=${2:-1200}
file=build/login/token
umask 077
while kill -0 "$pid" 2>/dev/null; do
    for ((waited = 0; waited < every_s; waited += 1)); do
        sleep 1
        kill -0 "$pid" 2>/dev/null || exit 0
    done
    if circleci run oidc get --claims "{\"aud\": \"${CIRCLE_ORGANIZATION_ID:-}\"}" >$file.new && [ -s $file.new ]; then
        mv $file.new $file
    else
        echo "refresh_token: CircleCI gave no new token; trying again" >&2
        rm -f $file.new
    fi
done
