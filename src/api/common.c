#include <stdio.h>
#include <stdlib.h>

#include "api/api.h"

bool api_idempotency(const struct http_request *request, struct http_response *response,
                     struct idempotency *key) {
    key->present = request->idempotency_key.data != NULL;
    if (key->present && !idempotency_key_parse(request->idempotency_key, key->key)) {
        struct problem problem;
        problem_set(&problem, PROBLEM_INVALID_KEY, "Idempotency-Key", "malformed",
                    "Idempotency-Key must be 1 to %d visible ASCII characters, bare or in double quotes.",
                    IDEMPOTENCY_KEY_MAX);
        http_problem(request, response, &problem);
        return false;
    }
    return true;
}

bool api_payment_id(const struct http_request *request, char id[ID_SIZE]) {
    if (!id_valid(ID_PAYMENT, request->parameters[0])) {
        return false;
    }
    snprintf(id, ID_SIZE, "%.*s", (int)request->parameters[0].len, request->parameters[0].data);
    return true;
}

bool api_read_limit(const char *text, int *limit) {
    char *end = NULL;
    long value = text[0] >= '0' && text[0] <= '9' && strlen(text) <= 3 ? strtol(text, &end, 10) : 0;
    *limit = (int)value;
    return value >= 1 && value <= LIST_LIMIT_MAX && *end == '\0';
}

static void set_problem(struct problem *problem, enum store_result result) {
    switch (result) {
    case STORE_KEY_REUSED:
        problem_set(problem, PROBLEM_KEY_REUSED, "Idempotency-Key", "different_request",
                    "This Idempotency-Key was used before for a different request.");
        break;
    case STORE_IN_FLIGHT:
        problem_set(problem, PROBLEM_IN_FLIGHT, "Idempotency-Key", "in_flight",
                    "A request with this Idempotency-Key is still being worked on; nothing was done. Send it "
                    "again later.");
        break;
    case STORE_NOT_FOUND:
        problem_set(problem, PROBLEM_NOT_FOUND, NULL, NULL, "There is no such payment.");
        break;
    case STORE_ILLEGAL:
        problem_set(problem, PROBLEM_ILLEGAL_STATE, NULL, "illegal_state",
                    "The payment's state does not allow this; nothing was changed.");
        break;
    case STORE_AMOUNT:
        problem_set(problem, PROBLEM_AMOUNT_TOO_HIGH, "amount", "too_high",
                    "The amount is more than what is left; nothing was changed.");
        break;
    case STORE_BUSY:
        problem_set(
            problem, PROBLEM_OVERLOADED, NULL, "queue_full",
            "Too many requests are waiting; nothing was done. Send it again after Retry-After seconds.");
        break;
    case STORE_UNAVAILABLE:
        problem_set(
            problem, PROBLEM_UNAVAILABLE, NULL, "database_unavailable",
            "The database does not answer; nothing was done. Send it again after Retry-After seconds.");
        break;
    case STORE_UNKNOWN:
        problem_set(problem, PROBLEM_OUTCOME_UNKNOWN, NULL, "outcome_unknown",
                    "The connection to the database broke and the outcome is unknown. With the same "
                    "Idempotency-Key it "
                    "is safe to send the request again; without one, look for this id first.");
        break;
    case STORE_REJECTED:
    case STORE_OK:
    case STORE_REPLAYED:
        problem_set(problem, PROBLEM_INTERNAL, NULL, NULL,
                    "The request could not be carried out; nothing was done.");
        break;
    }
}

void api_store_problem(const struct http_request *request, struct http_response *response,
                       enum store_result result, const char *id, const struct record *record) {
    struct problem problem;
    set_problem(&problem, result);
    if (result == STORE_UNKNOWN) {
        problem.id = id;
    }
    if (record != NULL && (result == STORE_ILLEGAL || result == STORE_AMOUNT)) {
        problem.id = record->payment.id;
        problem.state = payment_status_name(record->payment.status);
    }
    if (id != NULL) {
        snprintf(response->object_id, sizeof response->object_id, "%s", id);
    }
    http_problem(request, response, &problem);
}

enum payment_outcome api_outcome(enum store_result result, enum payment_outcome done) {
    switch (result) {
    case STORE_OK:
        return done;
    case STORE_REPLAYED:
        return OUTCOME_REPLAYED;
    case STORE_IN_FLIGHT:
        return OUTCOME_IN_FLIGHT;
    case STORE_UNKNOWN:
        return OUTCOME_UNKNOWN;
    case STORE_BUSY:
    case STORE_UNAVAILABLE:
        return OUTCOME_UNAVAILABLE;
    case STORE_KEY_REUSED:
    case STORE_NOT_FOUND:
    case STORE_ILLEGAL:
    case STORE_AMOUNT:
    case STORE_REJECTED:
        break;
    }
    return OUTCOME_REFUSED;
}
