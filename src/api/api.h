/* The API: one file a resource. A handler checks what the edge parsed, asks the store, and renders. It knows no sockets
 * and no SQL. */
#ifndef PAYFLOW_API_API_H
#define PAYFLOW_API_API_H

#include <stdatomic.h>

#include "cache/cache.h"
#include "http/http.h"
#include "obs/metrics.h"
#include "settings.h"
#include "store/store.h"

/* What every handler gets as its context. */
struct api {
    const struct settings *settings;
    struct store *store;
    struct cache *cache;
    _Atomic bool draining; /* SIGTERM came: /ready says so */
};

/* The routes that the server serves; the table is constant. */
const struct http_route *api_routes(size_t *count);

/* Handlers (http_handler); context is a struct api. */
void api_health(const struct http_request *request, struct http_response *response, void *context);
void api_ready(const struct http_request *request, struct http_response *response, void *context);
void api_metrics(const struct http_request *request, struct http_response *response, void *context);
void api_payment_create(const struct http_request *request, struct http_response *response, void *context);
void api_payment_get(const struct http_request *request, struct http_response *response, void *context);
void api_payment_list(const struct http_request *request, struct http_response *response, void *context);

/* Shared by the handlers. */

/* Reads the Idempotency-Key header; false after answering with a problem. The fingerprint is the caller's to fill. */
MUST_CHECK bool api_idempotency(const struct http_request *request, struct http_response *response,
                                struct idempotency *key);

/* Answers with the problem of a result that is neither STORE_OK nor STORE_REPLAYED. `id` is the object's own (what an
 * unknown outcome names), `record` the payment as it stands for STORE_ILLEGAL and STORE_AMOUNT; both may be NULL. */
void api_store_problem(const struct http_request *request, struct http_response *response, enum store_result result,
                       const char *id, const struct record *record);

/* What to count a write's result as. `done` is the outcome of STORE_OK. */
enum payment_outcome api_outcome(enum store_result result, enum payment_outcome done);

#endif
