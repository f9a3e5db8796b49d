# shellcheck shell=bash
# What the pages' commands use. Sourced, from the repository's top: . runbooks/env.sh production
# Whatever is set before stays.
export ENVIRONMENT=${1:-${ENVIRONMENT:-production}}
export PROJECT=${PROJECT:-$(gcloud config get-value project 2>/dev/null)}
export REGION=${REGION:-europe-west1}
export SERVICE=${SERVICE:-payflow-$ENVIRONMENT}
export INSTANCE=${INSTANCE:-$SERVICE}
export URL=${URL:-$(gcloud run services describe "$SERVICE" --project "$PROJECT" --region "$REGION" --format 'value(status.url)')}
export MONITORING=${MONITORING:-https://monitoring.googleapis.com}

# promql EXPRESSION: what Cloud Monitoring says now, a line a series. "payflow" is this environment's service.
promql() {
    TOKEN=${TOKEN:-$(gcloud auth print-access-token)} # for an hour
    curl -fsS -H "Authorization: Bearer $TOKEN" --data-urlencode "query=${1//\"payflow\"/\"$SERVICE\"}" \
        "$MONITORING/v1/projects/$PROJECT/location/global/prometheus/api/v1/query" |
        jq -r '.data.result[] | "\(.value[1])\t\(.metric)"'
}

# logs FILTER [FRESHNESS]: the service's newest lines, 1 hour back if not said otherwise.
logs() {
    gcloud logging read "resource.labels.service_name=\"$SERVICE\" AND $1" --project "$PROJECT" --freshness "${2:-1h}" \
        --limit 20 --format 'value(timestamp,severity,jsonPayload.message)'
}
