#!/usr/bin/env bash
# Rolls out to an environment what scripts/ci/build.sh pushed: scripts/ci/deploy.sh ENVIRONMENT [--dry-run]
# The rollout itself (canary, judgement, way back) is deploy/rollout; its record goes to build/deploy.
set -euo pipefail
cd "$(dirname "$0")/../.."
case "${1:-}" in
    development | staging | production) ;;
    --help) sed -n '2,/^set /{s/^# \{0,1\}//p}' "$0" && exit ;;
    *) echo "deploy: the environment must be development, staging or production" >&2 && exit 64 ;;
esac
export PATH=$PWD/build/tools/go:$PWD/build/tools/bin:$PATH
command=(deploy/rollout --environment "$1" --image "$(cat build/image/name)" --version "$(cat build/image/version)")
[ "${2:-}" != --dry-run ] || { printf '%q ' "${command[@]}" && echo && exit; }
mkdir -p build/deploy
if [ -f build/login/token ] && command -v circleci >/dev/null; then
    scripts/ci/refresh_token.sh $$ & # the rollout takes over this process, and the refreshing ends with it
fi
exec "${command[@]}"
