/* What happens to a payment after its creation: capture, cancel, fail, refund. */
#include <stdio.h>

#include "api/access.h"
#include "core/money.h"
#include "core/payment_json.h"
#include "core/timestamp.h"

struct step_route {
    enum payment_step step;
    enum payment_outcome done;
    bool with_amount; /* the body may say how much */
    bool with_reason; /* the body may say why */
};

static const struct step_route capture_route = {STEP_CAPTURE, OUTCOME_CAPTURED, true, false};
static const struct step_route cancel_route = {STEP_CANCEL, OUTCOME_CANCELED, false, false};
static const struct step_route fail_route = {STEP_FAIL, OUTCOME_FAILED, false, false};
static const struct step_route refund_route = {STEP_REFUND, OUTCOME_REFUNDED, true, true};

void refund_write(const struct refund *refund, const char *payment_id, const struct currency *currency,
                  struct text *out) {
    char amount[MONEY_TEXT_MAX];
    char created_at[TIMESTAMP_SIZE];
    money_format(refund->amount_minor, currency->exponent, amount);
    timestamp_format(refund->created_at_ms, created_at);
    text_printf(
        out,
        "{\"id\":\"%s\",\"payment_id\":\"%s\",\"amount\":%s,\"currency\":\"%s\",\"status\":\"succeeded\","
        "\"created_at\":\"%s\"",
        refund->id, payment_id, amount, currency->code, created_at);
    if (refund->reason.data != NULL) {
        text_add_string(out, ",\"reason\":");
        text_add_json(out, refund->reason);
    }
    text_add_string(out, "}");
}

/* The amount of the body in minor units: its decimals are known once the payment's currency is. False after
 * answering. */
static bool read_amount(struct api *api, const struct http_request *request, struct http_response *response,
                        const struct caller *caller, const char *id, const struct amount_request *asked,
                        int64_t *amount_minor) {
    struct record record = {.memory = NULL};
    *amount_minor = 0;
    if (!asked->has_amount) {
        return true;
    }
    enum store_result result = store_get(api->store, caller, id, request->deadline_us, NULL, &record);
    if (result != STORE_OK) {
        api_store_problem(request, response, result, NULL, NULL);
        return false;
    }
    struct problem problem;
    bool good = amount_convert(asked, record.payment.currency, amount_minor, &problem);
    record_free(&record);
    if (!good) {
        http_problem(request, response, &problem);
    }
    return good;
}

static void make_fingerprint(const struct step_route *route, const struct amount_request *asked,
                             int64_t amount_minor, struct idempotency *key) {
    char amount[24];
    snprintf(amount, sizeof amount, "%lld", (long long)amount_minor);
    const struct slice fields[] = {slice_of(payment_event_name(route->step)), slice_of(amount),
                                   asked->reason};
    fingerprint_make(fields, ARRAY_LEN(fields), key->fingerprint);
}

static void answer(struct http_response *response, const struct step_route *route,
                   const struct record *record, bool replayed) {
    response->status = route->step == STEP_REFUND ? 201 : 200;
    if (replayed) {
        http_header(response, "Idempotent-Replayed", "true");
    }
    snprintf(response->object_id, sizeof response->object_id, "%s", record->payment.id);
    if (route->step == STEP_REFUND) {
        refund_write(&record->refund, record->payment.id, record->payment.currency, &response->body);
    } else {
        payment_write(&record->payment, &response->body);
    }
}

static void carry_out(struct api *api, const struct http_request *request, struct http_response *response,
                      const struct step_route *route, const struct caller *caller, struct idempotency *key,
                      const struct amount_request *asked) {
    char id[ID_SIZE];
    struct step_request step = {.step = route->step, .payment_id = id, .reason = asked->reason};
    if (!api_payment_id(request, id)) {
        api_store_problem(request, response, STORE_NOT_FOUND, NULL, NULL);
        return;
    }
    if (!read_amount(api, request, response, caller, id, asked, &step.amount_minor)) {
        return;
    }
    make_fingerprint(route, asked, step.amount_minor, key);
    struct record record;
    enum store_result result = store_step(api->store, caller, key, &step, request->deadline_us, &record);
    if (result == STORE_OK || result == STORE_REPLAYED) {
        answer(response, route, &record, result == STORE_REPLAYED);
    } else {
        api_store_problem(request, response, result, result == STORE_UNKNOWN ? id : NULL, &record);
    }
    bool known = record.payment.currency != NULL;
    metrics_payment(api_outcome(result, route->done), known ? record.payment.currency->code : NULL,
                    caller->livemode);
    record_free(&record);
}

static void handle(const struct http_request *request, struct http_response *response, struct api *api,
                   const struct step_route *route) {
    struct api_key api_key;
    struct caller caller;
    struct idempotency key;
    struct amount_request asked;
    struct problem problem;
    if (!access_check(api, request, response, SCOPE_PAYMENTS_WRITE, &caller, &api_key) ||
        !api_idempotency(request, response, &key)) {
        return;
    }
    if (amount_read(request->body, route->with_amount, route->with_reason, &asked, &problem)) {
        carry_out(api, request, response, route, &caller, &key, &asked);
    } else {
        http_problem(request, response, &problem);
    }
    amount_request_free(&asked);
}

void api_payment_capture(const struct http_request *request, struct http_response *response, void *context) {
    handle(request, response, context, &capture_route);
}

void api_payment_cancel(const struct http_request *request, struct http_response *response, void *context) {
    handle(request, response, context, &cancel_route);
}

void api_payment_fail(const struct http_request *request, struct http_response *response, void *context) {
    handle(request, response, context, &fail_route);
}

void api_refund_create(const struct http_request *request, struct http_response *response, void *context) {
    handle(request, response, context, &refund_route);
}
