/* The API: one file a resource. A handler checks what the edge parsed, asks the store, and renders. It knows
 * no sockets and no SQL. */
#ifndef PAYFLOW_API_API_H
#define PAYFLOW_API_API_H

#include <stdatomic.h>

#include "cache/cache.h"
#include "http/http.h"
#include "obs/metrics.h"
#include "settings.h"
#include "store/store.h"

struct key_cache;

/* What every handler gets as its context. */
struct api {
    const struct settings *settings;
    struct store *store;
    struct cache *cache;
    struct key_cache *keys; /* API keys checked a moment ago */
    _Atomic bool draining;  /* SIGTERM came: /ready says so */
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
void api_payment_capture(const struct http_request *request, struct http_response *response, void *context);
void api_payment_cancel(const struct http_request *request, struct http_response *response, void *context);
void api_payment_fail(const struct http_request *request, struct http_response *response, void *context);
void api_refund_create(const struct http_request *request, struct http_response *response, void *context);
void api_refund_list(const struct http_request *request, struct http_response *response, void *context);
void api_payment_events(const struct http_request *request, struct http_response *response, void *context);
void api_docs(const struct http_request *request, struct http_response *response, void *context);
void api_docs_script(const struct http_request *request, struct http_response *response, void *context);
void api_docs_start(const struct http_request *request, struct http_response *response, void *context);
void api_docs_style(const struct http_request *request, struct http_response *response, void *context);
void api_openapi(const struct http_request *request, struct http_response *response, void *context);
void api_feed(const struct http_request *request, struct http_response *response, void *context);

/* Shared by the handlers. */

/* Reads the Idempotency-Key header; false after answering with a problem. The fingerprint is the caller's to
 * fill. */
MUST_CHECK bool api_idempotency(const struct http_request *request, struct http_response *response,
                                struct idempotency *key);

/* The payment's id in the route; false if it has not the form of one, so that there is no such payment. */
MUST_CHECK bool api_payment_id(const struct http_request *request, char id[ID_SIZE]);

/* Reads a list's limit, 1 to 100. */
MUST_CHECK bool api_read_limit(const char *text, int *limit);

/* Writes a refund as the API shows it. */
void refund_write(const struct refund *refund, const char *payment_id, const struct currency *currency,
                  struct text *out);

/* Answers with the problem of a result that is neither STORE_OK nor STORE_REPLAYED. `id` is the object's own
 * (what an unknown outcome names), `record` the payment as it stands for STORE_ILLEGAL and STORE_AMOUNT; both
 * may be NULL. */
void api_store_problem(const struct http_request *request, struct http_response *response,
                       enum store_result result, const char *id, const struct record *record);

/* What to count a write's result as. `done` is the outcome of STORE_OK. */
enum payment_outcome api_outcome(enum store_result result, enum payment_outcome done);

#endif
