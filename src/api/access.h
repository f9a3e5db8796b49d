/* Who may call, and how often: API keys, scopes and rate limits. */
#ifndef PAYFLOW_API_ACCESS_H
#define PAYFLOW_API_ACCESS_H

#include "api/api.h"

/* Checks the request's key (RFC 6750), its scope and the rate limits. True: *caller says on whose behalf the
 * request is made; its strings live as long as the request and *key. False: the response is a problem already
 * (401, 403, 429, 503). Thread-safe. */
MUST_CHECK bool access_check(struct api *api, const struct http_request *request,
                             struct http_response *response, enum key_scope scope, struct caller *caller,
                             struct api_key *key);

/* The cache of checked keys, which are trusted for `trust_ms`: one a process. NULL without memory. */
struct key_cache;
struct key_cache *key_cache_new(int64_t trust_ms);
void key_cache_free(struct key_cache *cache);

/* The address that limits count a request without a key under: the peer's, or the entry of X-Forwarded-For
 * that the outermost of our own `trusted_hops` proxies wrote (counted from the right). Writes "unknown" if
 * there is no such entry. */
void client_address(struct slice forwarded_for, const char *peer, int64_t trusted_hops, char *out,
                    size_t size);

#endif
