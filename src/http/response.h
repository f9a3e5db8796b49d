/* How an answer looks on the wire. Pure; thread-safe. */
#ifndef PAYFLOW_HTTP_RESPONSE_H
#define PAYFLOW_HTTP_RESPONSE_H

#include "core/text.h"

#define RESPONSE_DATE_SIZE 30 /* "Sun, 06 Nov 1994 08:49:37 GMT" and its NUL */

/* What an answer's head says. */
struct reply {
    int status;
    const char *content_type;
    struct slice headers; /* further lines, each ending in CRLF */
    size_t body_bytes;
    bool close;      /* Connection: close */
    bool keep_alive; /* Connection: keep-alive, which HTTP/1.0 wants to hear */
    const char *request_id;
    const char *date;
};

/* Writes the status line and all headers, with the empty line that ends them. A 204 has neither type nor
 * length (RFC 9110, 8.6). Cache-Control: no-store stands unless `headers` has a Cache-Control. */
void response_head(const struct reply *reply, struct text *out);

/* The time as RFC 9110, 5.6.7 wants it; seconds since 1970, UTC. */
void response_date(int64_t time_s, char out[RESPONSE_DATE_SIZE]);

/* True if one of the lines has this name (case does not matter). */
MUST_CHECK bool response_has(struct slice headers, const char *name);

#endif
