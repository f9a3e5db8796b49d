/* Payments as JSON: written for answers, read from the bodies of requests. Pure; thread-safe. */
#ifndef PAYFLOW_CORE_PAYMENT_JSON_H
#define PAYFLOW_CORE_PAYMENT_JSON_H

#include "core/base.h"
#include "core/fingerprint.h"
#include "core/json.h"
#include "core/payment.h"
#include "core/problem.h"
#include "core/text.h"

#define BODY_FIELD_BYTES 64

/* Writes a payment as the API shows it: id, amount, currency, status, created_at, livemode, and then, where
 * there is one, amount_captured, amount_refunded, description, reference, metadata. */
void payment_write(const struct payment *payment, struct text *out);

/* A body that was read: what the texts taken from it live in. */
struct body {
    struct json_object json;
    char unknown_field[BODY_FIELD_BYTES]; /* the name that was refused, cut to fit: the problem's `field`
                                             points here */
};

/* A payment that a request asks for: amount, currency and texts are filled, the rest is zero. The texts are
 * valid until payment_draft_free. An empty description or reference is a text like any other: stored and
 * shown as "". */
struct payment_draft {
    struct payment payment;
    struct body body;
    struct text metadata;
};

/* Reads the body of a request for a payment. The caller calls payment_draft_free in any case, and not before
 * it is done with the problem, whose field may point into the draft. False sets *problem, in this order: the
 * JSON; an amount that is missing, no number or not positive; an unknown field; the currency (default EUR);
 * the amount's decimals and size; the texts; the metadata. A null counts as absent. Metadata is an object of
 * at most 50 strings; names have 1 to 40 characters, values at most 500; it is kept with its names sorted by
 * their bytes and without spaces. */
MUST_CHECK bool payment_read(struct slice body, struct payment_draft *draft, struct problem *problem);

/* Frees what payment_read allocated. */
void payment_draft_free(struct payment_draft *draft);

/* Writes the fingerprint of what is asked for: 49.9 and 49.90, or metadata in another order, are the same
 * request. */
void payment_draft_fingerprint(const struct payment_draft *draft, uint8_t out[FINGERPRINT_BYTES]);

/* What a capture or a refund asks for. The reason is valid until amount_request_free, the amount as long as
 * the body is. */
struct amount_request {
    bool has_amount; /* false: all that is left */
    struct slice
        amount; /* the number's own text: its decimals can be judged once the payment's currency is known */
    struct slice reason; /* absent if there is none */
    struct body body;
};

/* Reads the body of a step: an object that may have "amount" and "reason" where the step takes them; an empty
 * body counts as {}. A null amount is refused, so that a caller's lost value never moves everything; a null
 * reason counts as absent. The caller calls amount_request_free in any case, as above. False sets *problem:
 * the JSON; an amount that is no number or not positive; an unknown field; a reason that is no string or
 * longer than 500 characters. */
MUST_CHECK bool amount_read(struct slice body, bool with_amount, bool with_reason,
                            struct amount_request *request, struct problem *problem);

/* Converts the amount, which must be there, to minor units of `currency`. False sets *problem. */
MUST_CHECK bool amount_convert(const struct amount_request *request, const struct currency *currency,
                               int64_t *amount_minor, struct problem *problem);

/* Frees what amount_read allocated. */
void amount_request_free(struct amount_request *request);

#endif
