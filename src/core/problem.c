#include "core/problem.h"

#include <stdarg.h>
#include <stdio.h>

/* The one table. The API's answers name a kind by its slug; the title is the same for every problem of a
 * kind. */
static const struct {
    int status;
    const char *slug;
    const char *title;
} kinds[PROBLEM_KINDS] = {
    [PROBLEM_NONE] = {500, "none", "Internal error"},
    [PROBLEM_INVALID_AMOUNT] = {400, "invalid-amount", "Invalid amount"},
    [PROBLEM_INVALID_FIELD] = {400, "invalid-field", "Invalid field"},
    [PROBLEM_INVALID_JSON] = {400, "invalid-json", "Invalid JSON"},
    [PROBLEM_MALFORMED_REQUEST] = {400, "malformed-request", "Malformed request"},
    [PROBLEM_INVALID_KEY] = {400, "invalid-idempotency-key", "Invalid Idempotency-Key"},
    [PROBLEM_UNAUTHENTICATED] = {401, "unauthenticated", "Authentication required"},
    [PROBLEM_FORBIDDEN] = {403, "forbidden", "Not allowed"},
    [PROBLEM_NOT_FOUND] = {404, "not-found", "Not found"},
    [PROBLEM_METHOD_NOT_ALLOWED] = {405, "method-not-allowed", "Method not allowed"},
    [PROBLEM_REQUEST_TIMEOUT] = {408, "request-timeout", "Request timeout"},
    [PROBLEM_IN_FLIGHT] = {409, "in-flight", "Request in flight"},
    [PROBLEM_ILLEGAL_STATE] = {409, "illegal-state", "Not possible in this state"},
    [PROBLEM_LENGTH_REQUIRED] = {411, "length-required", "Length required"},
    [PROBLEM_BODY_TOO_LARGE] = {413, "body-too-large", "Body too large"},
    [PROBLEM_URI_TOO_LONG] = {414, "uri-too-long", "URI too long"},
    [PROBLEM_UNSUPPORTED_MEDIA] = {415, "unsupported-media-type", "Unsupported media type"},
    [PROBLEM_EXPECTATION_FAILED] = {417, "expectation-failed", "Expectation failed"},
    [PROBLEM_KEY_REUSED] = {422, "idempotency-key-reused", "Idempotency-Key reused"},
    [PROBLEM_AMOUNT_TOO_HIGH] = {422, "amount-too-high", "Amount too high"},
    [PROBLEM_RATE_LIMITED] = {429, "rate-limited", "Too many requests"},
    [PROBLEM_HEADERS_TOO_LARGE] = {431, "headers-too-large", "Headers too large"},
    [PROBLEM_INTERNAL] = {500, "internal", "Internal error"},
    [PROBLEM_METHOD_UNKNOWN] = {501, "method-unknown", "Method not implemented"},
    [PROBLEM_OVERLOADED] = {503, "overloaded", "Overloaded"},
    [PROBLEM_UNAVAILABLE] = {503, "unavailable", "Unavailable"},
    [PROBLEM_OUTCOME_UNKNOWN] = {503, "outcome-unknown", "Outcome unknown"},
    [PROBLEM_HTTP_VERSION] = {505, "http-version", "HTTP version not supported"},
};

int problem_status(enum problem_kind kind) {
    return kinds[kind].status;
}

const char *problem_slug(enum problem_kind kind) {
    return kinds[kind].slug;
}

bool problem_set(struct problem *problem, enum problem_kind kind, const char *field, const char *reason,
                 const char *format, ...) {
    va_list arguments;
    *problem = (struct problem){.kind = kind, .field = field, .reason = reason};
    va_start(arguments, format);
    vsnprintf(problem->detail, sizeof problem->detail, format, arguments);
    va_end(arguments);
    return false;
}

void problem_write(const struct problem *problem, const char *request_id, struct text *out) {
    const char *title = kinds[problem->kind].title;
    const struct {
        const char *name;
        const char *value;
    } optional[] = {{"field", problem->field},
                    {"reason", problem->reason},
                    {"id", problem->id},
                    {"state", problem->state},
                    {"request_id", request_id}};
    text_printf(out, "{\"type\":\"urn:payflow:problem:%s\",\"title\":\"%s\",\"status\":%d,\"detail\":",
                problem_slug(problem->kind), title, problem_status(problem->kind));
    text_add_json(out, slice_of(problem->detail));
    text_printf(out, ",\"error\":\"%s\"", title);
    for (size_t i = 0; i < ARRAY_LEN(optional); i++) {
        if (optional[i].value != NULL) {
            text_printf(out, ",\"%s\":", optional[i].name);
            text_add_json(out, slice_of(optional[i].value));
        }
    }
    text_add_string(out, "}");
}
