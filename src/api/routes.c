#include "api/api.h"

static const struct http_route routes[] = {
    {HTTP_GET, "/health", api_health, .unlimited = true},
    {HTTP_GET, "/ready", api_ready, .unlimited = true},
    {HTTP_GET, "/metrics", api_metrics, .unlimited = true},
    {HTTP_POST, "/api/v1/payments", api_payment_create, .json_body = true},
    {HTTP_GET, "/api/v1/payments", api_payment_list},
    {HTTP_GET, "/api/v1/payments/{id}", api_payment_get},
};

const struct http_route *api_routes(size_t *count) {
    *count = ARRAY_LEN(routes);
    return routes;
}
