/* /docs: the contract in a browser, and /openapi.json: the contract itself. Everything is embedded in the
 * binary. */
#include "api/api.h"
#include "api/assets.h"

/* Only our own script and style, no inline ones, no other host; data: for Swagger UI's icons. */
#define CONTENT_SECURITY_POLICY                                                                              \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "    \
    "base-uri 'none'; "                                                                                      \
    "form-action 'none'; frame-ancestors 'none'"

static void answer(struct http_response *response, const struct asset *asset, const char *content_type) {
    response->status = 200;
    response->content_type = content_type;
    http_header(response, "Content-Security-Policy", CONTENT_SECURITY_POLICY);
    if (asset->gzip) {
        http_header(response, "Content-Encoding", "gzip");
    }
    text_add(&response->body, asset->data, asset->len);
}

void api_docs(const struct http_request *request, struct http_response *response, void *context) {
    (void)request;
    (void)context;
    answer(response, &asset_docs_html, "text/html; charset=utf-8");
}

void api_docs_script(const struct http_request *request, struct http_response *response, void *context) {
    (void)request;
    (void)context;
    answer(response, &asset_swagger_js, "text/javascript; charset=utf-8");
}

void api_docs_start(const struct http_request *request, struct http_response *response, void *context) {
    (void)request;
    (void)context;
    answer(response, &asset_start_js, "text/javascript; charset=utf-8");
}

void api_docs_style(const struct http_request *request, struct http_response *response, void *context) {
    (void)request;
    (void)context;
    answer(response, &asset_swagger_css, "text/css; charset=utf-8");
}

void api_openapi(const struct http_request *request, struct http_response *response, void *context) {
    (void)request;
    (void)context;
    answer(response, &asset_openapi, "application/json");
}
