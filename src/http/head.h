/* The head of a request, by RFC 9112 and 9110 and nothing laxer: where two readers of the same bytes could
 * disagree, it is refused, so that nothing can be smuggled past or through a proxy. Pure; thread-safe. */
#ifndef PAYFLOW_HTTP_HEAD_H
#define PAYFLOW_HTTP_HEAD_H

#include "core/base.h"
#include "core/problem.h"
#include "http/http.h"

/* Bytes kept of X-Forwarded-For when it came in several lines: the rightmost. */
#define HEAD_FORWARDED_MAX 512

/* A head that was accepted. Slices point into the bytes that were parsed; absent fields have data == NULL. */
struct head {
    size_t bytes;            /* length with the blank line that ends it: the body starts here */
    const char *method_name; /* a static string; "other" for a method that this server does not know */
    enum http_method method; /* 0 for methods that no route has */
    bool method_known;       /* false: 501 */
    bool asterisk;           /* OPTIONS *: the server as a whole */
    struct slice path;       /* raw; starts with "/" unless asterisk */
    struct slice query;      /* raw, without "?" */
    bool version_1_0;
    bool keep_alive; /* the connection may stay open, as far as the caller says */

    bool chunked;           /* the body is chunked */
    int64_t content_length; /* bytes of body, saturated; -1 if neither length nor chunked was given */
    bool expects_continue;  /* Expect: 100-continue */
    bool expects_other;     /* any other expectation: 417 */
    struct slice host, length, transfer_encoding, expect, content_type, content_encoding, idempotency_key;
    struct slice authorization, forwarded_for, request_id, traceparent, cloud_trace;
    char forwarded_joined[HEAD_FORWARDED_MAX]; /* what forwarded_for points to if it came in several lines */
};

enum head_result {
    HEAD_ACCEPTED,
    HEAD_PARTIAL, /* valid so far; more must come */
    HEAD_REFUSED, /* problem says why; the connection must be closed after the answer */
};

/* True once it is worth parsing: the head is complete, or too large, or can never become valid. `from` is the
 * length for which it last said false for the same bytes (0 at first), so that each byte is looked at once.
 */
MUST_CHECK bool head_ready(const char *data, size_t len, size_t from);

/* Parses the head at the start of data. On HEAD_ACCEPTED fills *head, on HEAD_REFUSED *problem (400, 414,
 * 431, 501 or 505). Looks at HTTP_HEAD_BYTES_MAX bytes at most. */
MUST_CHECK enum head_result head_parse(const char *data, size_t len, struct head *head,
                                       struct problem *problem);

/* True if `value` names application/json, with no parameter but charset=utf-8 (RFC 9110, 8.3.1; case does not
 * matter). */
MUST_CHECK bool head_media_is_json(struct slice value);

/* True if both are equal but for the case of ASCII letters. */
MUST_CHECK bool head_equal(struct slice a, const char *b);

/* True for the characters of a token (RFC 9110, 5.6.2). */
MUST_CHECK bool head_is_token_char(char c);

#endif
