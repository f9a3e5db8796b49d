/* /health says that the process serves, /ready whether it should get traffic, /metrics how it fares. */
#include "api/api.h"
#include "core/timestamp.h"
#include "sys/clock.h"

void api_health(const struct http_request *request, struct http_response *response, void *context) {
    (void)request;
    const struct api *api = context;
    char now[TIMESTAMP_SIZE];
    timestamp_format(clock_wall_ms(), now);
    response->status = 200;
    text_add_string(&response->body, "{\"status\":\"healthy\",\"timestamp\":\"");
    text_add_string(&response->body, now);
    text_add_string(&response->body, "\",\"version\":");
    text_add_json(&response->body, slice_of(api->settings->app_version));
    text_add_string(&response->body, "}");
}

static const char *not_ready(struct api *api) {
    if (atomic_load(&api->draining)) {
        return "draining";
    }
    switch (store_state(api->store)) {
    case STORE_NOT_CONFIGURED:
        return "database not configured";
    case STORE_UNREACHABLE:
        return "database unreachable";
    case STORE_MIGRATIONS_PENDING:
        return "migrations pending";
    case STORE_SCHEMA_TOO_NEW:
        return "database schema too new";
    case STORE_READY:
        break;
    }
    return NULL;
}

void api_ready(const struct http_request *request, struct http_response *response, void *context) {
    (void)request;
    struct api *api = context;
    const char *reason = not_ready(api);
    if (reason != NULL) {
        response->status = 503;
        http_header(response, "Retry-After", "1");
        text_printf(&response->body, "{\"status\":\"not ready\",\"reason\":\"%s\"}", reason);
        return;
    }
    response->status = 200;
    text_add_string(&response->body, cache_state(api->cache) == CACHE_DEGRADED
                                         ? "{\"status\":\"ready\",\"degraded\":[\"redis\"]}"
                                         : "{\"status\":\"ready\"}");
}

void api_metrics(const struct http_request *request, struct http_response *response, void *context) {
    (void)request;
    (void)context;
    response->status = 200;
    response->content_type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_write(&response->body);
}
