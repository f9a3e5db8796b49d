#include "api/api.h"

#define GET .method = HTTP_GET, .path =
#define POST .method = HTTP_POST, .path =

static const struct http_route routes[] = {
    {GET "/health", .handler = api_health, .unlimited = true},
    {GET "/ready", .handler = api_ready, .unlimited = true},
    {GET "/metrics", .handler = api_metrics, .unlimited = true},
    {POST "/api/v1/payments", .handler = api_payment_create, .json_body = true, .early = true},
    {GET "/api/v1/payments", .handler = api_payment_list},
    {GET "/api/v1/payments/{id}", .handler = api_payment_get, .early = true},
    {POST "/api/v1/payments/{id}/capture", .handler = api_payment_capture, .json_body = true,
     .body_optional = true},
    {POST "/api/v1/payments/{id}/cancel", .handler = api_payment_cancel, .json_body = true,
     .body_optional = true},
    {POST "/api/v1/payments/{id}/fail", .handler = api_payment_fail, .json_body = true,
     .body_optional = true},
    {POST "/api/v1/payments/{id}/refunds", .handler = api_refund_create, .json_body = true,
     .body_optional = true},
    {GET "/api/v1/payments/{id}/refunds", .handler = api_refund_list},
    {GET "/api/v1/payments/{id}/events", .handler = api_payment_events},
    {GET "/api/v1/events", .handler = api_feed},
    {GET "/openapi.json", .handler = api_openapi},
    {GET "/docs", .handler = api_docs},
    {GET "/docs/swagger-ui.js", .handler = api_docs_script},
    {GET "/docs/swagger-ui.css", .handler = api_docs_style},
    {GET "/docs/start.js", .handler = api_docs_start},
};

const struct http_route *api_routes(size_t *count) {
    *count = ARRAY_LEN(routes);
    return routes;
}
