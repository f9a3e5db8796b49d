#include "core/payment.h"

#include <assert.h>

/* What may follow what; all else is illegal. A refund that leaves nothing ends in PAYMENT_REFUNDED instead.
 */
static const struct {
    enum payment_status from;
    enum payment_step step;
    enum payment_status to;
} transitions[] = {
    {PAYMENT_PENDING, STEP_CAPTURE, PAYMENT_CAPTURED},
    {PAYMENT_PENDING, STEP_CANCEL, PAYMENT_CANCELED},
    {PAYMENT_PENDING, STEP_FAIL, PAYMENT_FAILED},
    {PAYMENT_CAPTURED, STEP_REFUND, PAYMENT_PARTIALLY_REFUNDED},
    {PAYMENT_PARTIALLY_REFUNDED, STEP_REFUND, PAYMENT_PARTIALLY_REFUNDED},
};

static const char *const status_names[] = {
    [PAYMENT_PENDING] = "pending",
    [PAYMENT_CAPTURED] = "captured",
    [PAYMENT_PARTIALLY_REFUNDED] = "partially_refunded",
    [PAYMENT_REFUNDED] = "refunded",
    [PAYMENT_CANCELED] = "canceled",
    [PAYMENT_FAILED] = "failed",
};

static const char *const event_names[] = {
    [STEP_CREATE] = "payment.created",  [STEP_CAPTURE] = "payment.captured",
    [STEP_CANCEL] = "payment.canceled", [STEP_REFUND] = "payment.refunded",
    [STEP_FAIL] = "payment.failed",
};

/* A number may come from a database that a later version wrote to. */
static const char *name_of(const char *const names[], size_t count, size_t number) {
    return number >= 1 && number < count ? names[number] : "unknown";
}

const char *payment_status_name(enum payment_status status) {
    return name_of(status_names, ARRAY_LEN(status_names), status);
}

const char *payment_event_name(enum payment_step step) {
    return name_of(event_names, ARRAY_LEN(event_names), step);
}

bool payment_status_parse(struct slice name, enum payment_status *status) {
    for (size_t i = PAYMENT_PENDING; i < ARRAY_LEN(status_names); i++) {
        if (slice_equal(name, slice_of(status_names[i]))) {
            *status = (enum payment_status)i;
            return true;
        }
    }
    return false;
}

/* Adds to *sum what is asked for (0: all that is left up to `limit`). */
static enum step_error add_amount(int64_t *sum, int64_t limit, int64_t amount_minor) {
    int64_t left = limit - *sum;
    if (amount_minor > left) {
        return STEP_AMOUNT_TOO_HIGH;
    }
    *sum += amount_minor == 0 ? left : amount_minor;
    return STEP_OK;
}

enum step_error payment_apply(struct payment *payment, enum payment_step step, int64_t amount_minor) {
    assert(amount_minor >= 0);
    enum step_error error = STEP_OK;
    size_t i = 0;
    while (i < ARRAY_LEN(transitions) &&
           (transitions[i].from != payment->status || transitions[i].step != step)) {
        i++;
    }
    if (i == ARRAY_LEN(transitions)) {
        return STEP_ILLEGAL_STATE;
    }
    if (step == STEP_CAPTURE) {
        error = add_amount(&payment->captured_minor, payment->amount_minor, amount_minor);
    } else if (step == STEP_REFUND) {
        error = add_amount(&payment->refunded_minor, payment->captured_minor, amount_minor);
    }
    if (error == STEP_OK) {
        bool all_refunded = step == STEP_REFUND && payment->refunded_minor == payment->captured_minor;
        payment->status = all_refunded ? PAYMENT_REFUNDED : transitions[i].to;
    }
    return error;
}
