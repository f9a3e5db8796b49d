/* The payment, its states and what may follow what. Pure; thread-safe. */
#ifndef PAYFLOW_CORE_PAYMENT_H
#define PAYFLOW_CORE_PAYMENT_H

#include "core/base.h"
#include "core/currency.h"
#include "core/id.h"

#define PAYMENT_DESCRIPTION_CHARS_MAX 500
#define PAYMENT_REFERENCE_CHARS_MAX 100
#define PAYMENT_METADATA_KEYS_MAX 50
#define PAYMENT_METADATA_KEY_CHARS_MAX 40
#define PAYMENT_METADATA_VALUE_CHARS_MAX 500

/* A payment's states. Their numbers are stored: append only. */
enum payment_status {
    PAYMENT_PENDING = 1,            /* recorded, nothing captured */
    PAYMENT_CAPTURED = 2,           /* captured in full or in part, nothing refunded */
    PAYMENT_PARTIALLY_REFUNDED = 3, /* 0 < refunded < captured */
    PAYMENT_REFUNDED = 4,           /* refunded = captured; final */
    PAYMENT_CANCELED = 5,           /* given up before capture; final */
    PAYMENT_FAILED = 6,             /* refused by the processor before capture; final */
};

/* The steps of a payment's life; each is an event. Their numbers are stored: append only. */
enum payment_step {
    STEP_CREATE = 1,
    STEP_CAPTURE = 2,
    STEP_CANCEL = 3,
    STEP_REFUND = 4,
    STEP_FAIL = 5,
};

struct payment {
    char id[ID_SIZE];
    int64_t amount_minor;   /* 1 .. MONEY_MINOR_MAX, minor units of currency */
    int64_t captured_minor; /* 0 .. amount_minor */
    int64_t refunded_minor; /* 0 .. captured_minor */
    const struct currency *currency;
    enum payment_status status;
    bool livemode;
    int64_t created_at_ms; /* always the id's own time */
    /* Optional texts, absent when data is NULL; who holds the payment says how long they live. */
    struct slice description;
    struct slice reference;
    struct slice metadata; /* a JSON object of strings, keys sorted, no spaces */
};

/* The wire names: "pending", "payment.captured". Never NULL for a member of the enum. */
const char *payment_status_name(enum payment_status status);
const char *payment_event_name(enum payment_step step);

/* The status of a wire name; false if there is none of that name. */
MUST_CHECK bool payment_status_parse(struct slice name, enum payment_status *status);

enum step_error {
    STEP_OK = 0,
    STEP_ILLEGAL_STATE,   /* nothing of that kind may follow this state */
    STEP_AMOUNT_TOO_HIGH, /* capture above the amount, or refund above what is left of the capture */
};

/* Applies one step to a payment in place: the one table of what may follow what. `amount_minor` is what is
 * captured or refunded (0: all that is left; ignored by other steps). On anything but STEP_OK the payment is
 * unchanged. */
MUST_CHECK enum step_error payment_apply(struct payment *payment, enum payment_step step,
                                         int64_t amount_minor);

#endif
