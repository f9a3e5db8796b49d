/* The edge: HTTP/1.1 (RFC 9110, 9112) on CivetWeb, strict where CivetWeb is lax, bounded everywhere.
 *
 * It refuses malformed messages before any handler runs, finds the route, reads the body, calls the handler
 * on a worker thread, writes the whole response in one write, counts and logs it. It knows no payments. */
#ifndef PAYFLOW_HTTP_HTTP_H
#define PAYFLOW_HTTP_HTTP_H

#include "core/base.h"
#include "core/problem.h"
#include "core/text.h"
#include "obs/trace.h"

#define HTTP_HEAD_BYTES_MAX 16384
#define HTTP_BODY_BYTES_MAX 65536
#define HTTP_HEADERS_MAX 64
#define HTTP_TARGET_BYTES_MAX 4096
#define HTTP_PATH_PARAMETERS_MAX 2

enum http_method { HTTP_GET = 1, HTTP_POST = 2, HTTP_HEAD = 4, HTTP_OPTIONS = 8 };

/* A request, valid while its handler runs. */
struct http_request {
    enum http_method method; /* HEAD arrives as GET; the edge leaves the body out of the answer */
    const struct http_route *route;
    struct slice parameters[HTTP_PATH_PARAMETERS_MAX]; /* what stood where the template has {…}; raw, never
                                                          percent-decoded: a % never matches */
    struct slice query;                                /* without the "?", raw; absent if there was none */
    struct slice body;                                 /* whole; empty if there was none */
    struct slice content_type;    /* media type with parameters, absent if there was none */
    struct slice idempotency_key; /* raw header value */
    struct slice authorization;   /* raw header value */
    struct slice forwarded_for;   /* raw X-Forwarded-For */
    const char *remote_address;   /* the peer's own address, numeric */
    struct trace trace;
    int64_t received_us;       /* clock_monotonic_us when the head was complete */
    int64_t deadline_us;       /* when the answer must be on its way */
    struct exchange *exchange; /* the edge's own */
};

/* A response, prepared by the edge, filled by the handler. */
struct http_response {
    int status;               /* 0 until set */
    const char *content_type; /* default "application/json" */
    struct text headers;      /* further header lines, each ending in CRLF; use http_header */
    struct text body;
    const char *problem; /* slug, for the log */
    char object_id[40];  /* the object concerned, for the log; "" if none */
};

typedef void (*http_handler)(const struct http_request *request, struct http_response *response,
                             void *context);

struct http_route {
    enum http_method method;
    const char *path; /* "/api/v1/payments/{id}/capture"; also its name in metrics and logs */
    http_handler handler;
    bool json_body;     /* body required and Content-Type must be application/json (charset utf-8 or none) */
    bool body_optional; /* with json_body: a request without a body is fine, and needs no Content-Type */
    bool unlimited;     /* /health and the like: served on the reserve threads when all others are busy */
    bool early;         /* its handler waits in http_wait_next, and elsewhere only for moments */
};

struct http_options {
    int port;            /* 0: any free one, see http_port */
    int max_concurrency; /* requests handled at once */
    int max_connections;
    int max_connections_per_address; /* 0: no cap */
    int64_t request_timeout_ms, head_timeout_ms, body_timeout_ms, keep_alive_ms;
};

struct http_server;

/* Listens (IPv6 and IPv4, all addresses) and serves `routes`, which must outlive the server. Returns NULL and
 * writes one clear sentence to error (a taken port, a missing right) on failure. */
struct http_server *http_start(const struct http_options *options, const struct http_route *routes,
                               size_t count, void *context, char *error, size_t error_size);

/* The port that it listens on. */
int http_port(const struct http_server *server);

/* From now on every answer says Connection: close. New connections are still taken, and idle ones stay open
 * until http_stop: closing them would cut off a request that is already on its way. Thread-safe. */
void http_drain(struct http_server *server);

/* Takes what still waits at the listener, stops listening, closes idle connections, waits until what is in
 * flight was answered; after `limit_ms` cuts the connections that are left. Then waits for handlers that
 * still run (their own deadlines bound that) and frees the server. */
void http_stop(struct http_server *server, int64_t limit_ms);

/* Sends the handler's answer at once, from whatever thread has it, while the handler itself waits: so the
 * handler's thread need not be woken for that. Never blocks; what the socket does not take is sent when the
 * handler returns. At most once a request, and nobody touches the response afterwards. */
void http_answer_now(const struct http_request *request);

/* What a handler does while another thread comes to the answer: serves other requests, as long as some come
 * and the answer does not, so that no thread switch is needed between one request and the next. Only requests
 * that are there whole, and of routes that are `early` or `unlimited`, one inside the other up to a fixed
 * depth. May return before there is an answer. */
void http_wait_next(const struct http_request *request);

/* Adds a header line to a response. The value must not hold CR, LF or NUL (the header is left out if it
 * does). */
void http_header(struct http_response *response, const char *name, const char *value);

/* Answers with a problem: status, body, content type, and Retry-After where the kind has one. */
void http_problem(const struct http_request *request, struct http_response *response,
                  const struct problem *problem);

#endif
