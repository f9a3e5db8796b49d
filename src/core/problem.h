/* Errors as RFC 9457 problem details, with the brief's `error` string beside them. Pure; thread-safe. */
#ifndef PAYFLOW_CORE_PROBLEM_H
#define PAYFLOW_CORE_PROBLEM_H

#include "core/base.h"
#include "core/text.h"

/* Every kind of error the API answers with. problem.c holds the one table: kind, status, slug, title. */
enum problem_kind {
    PROBLEM_NONE = 0,
    PROBLEM_INVALID_AMOUNT,     /* 400, error is exactly "Invalid amount" */
    PROBLEM_INVALID_FIELD,      /* 400 a body field or query parameter */
    PROBLEM_INVALID_JSON,       /* 400 the body is not what json.h accepts */
    PROBLEM_MALFORMED_REQUEST,  /* 400 the HTTP message itself */
    PROBLEM_INVALID_KEY,        /* 400 the Idempotency-Key header */
    PROBLEM_UNAUTHENTICATED,    /* 401 */
    PROBLEM_FORBIDDEN,          /* 403 the key's scope */
    PROBLEM_NOT_FOUND,          /* 404 */
    PROBLEM_METHOD_NOT_ALLOWED, /* 405, with Allow */
    PROBLEM_REQUEST_TIMEOUT,    /* 408 the body did not arrive in time */
    PROBLEM_IN_FLIGHT,          /* 409 the same key is still being worked on elsewhere; Retry-After */
    PROBLEM_ILLEGAL_STATE,      /* 409 the payment's state does not allow it */
    PROBLEM_LENGTH_REQUIRED,    /* 411 */
    PROBLEM_BODY_TOO_LARGE,     /* 413 */
    PROBLEM_URI_TOO_LONG,       /* 414 */
    PROBLEM_UNSUPPORTED_MEDIA,  /* 415 */
    PROBLEM_EXPECTATION_FAILED, /* 417 */
    PROBLEM_KEY_REUSED,         /* 422 the key was used for another request */
    PROBLEM_AMOUNT_TOO_HIGH,    /* 422 more than what may be captured or refunded */
    PROBLEM_RATE_LIMITED,       /* 429 Retry-After */
    PROBLEM_HEADERS_TOO_LARGE,  /* 431 */
    PROBLEM_INTERNAL,           /* 500 */
    PROBLEM_METHOD_UNKNOWN,     /* 501 */
    PROBLEM_OVERLOADED,         /* 503 a queue is full, or draining; nothing was done; Retry-After */
    PROBLEM_UNAVAILABLE,        /* 503 the database is away; nothing was done; Retry-After */
    PROBLEM_OUTCOME_UNKNOWN,    /* 503 the connection broke in COMMIT: names the payment's id; Retry-After */
    PROBLEM_HTTP_VERSION,       /* 505 */
    PROBLEM_KINDS
};

struct problem {
    enum problem_kind kind;
    const char *field;  /* the field at fault, or NULL; static or outliving the problem */
    const char *reason; /* stable machine-readable reason ("too_many_decimals"), or NULL; static */
    const char *id;     /* the payment concerned (outcome unknown, illegal state), or NULL */
    const char *state;  /* the state it is in (illegal state), or NULL; static */
    char detail[200];   /* a sentence for a person; never a secret, never input echoed unescaped */
};

/* The HTTP status of a kind. */
int problem_status(enum problem_kind kind);

/* The kind's slug ("invalid-amount"), for logs and metrics. */
const char *problem_slug(enum problem_kind kind);

/* Sets a problem's kind, field, reason and detail (printf). Returns false, so that a check can `return
 * problem_set(...)`. */
bool problem_set(struct problem *problem, enum problem_kind kind, const char *field, const char *reason,
                 const char *format, ...) PRINTF_LIKE(5, 6);

/* Writes the problem+json body: type ("urn:payflow:problem:SLUG"), title, status, detail, error, and field,
 * reason, id, state, request_id where there is one. `error` is the title, or exactly "Invalid amount". */
void problem_write(const struct problem *problem, const char *request_id, struct text *out);

#endif
