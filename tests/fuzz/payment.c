/* Bodies of requests: a payment that was accepted is within its bounds, and what is printed of it is read
 * back the same. */
#include "core/currency.h"
#include "core/id.h"
#include "core/money.h"
#include "core/payment_json.h"
#include "fuzz.h"

static void check_printed(const struct payment *payment) {
    struct payment shown = *payment;
    struct json_object object;
    struct text out;
    int64_t amount_minor = 0;
    const uint8_t random[ID_RANDOM_BYTES] = {0};
    shown.status = PAYMENT_PENDING;
    shown.created_at_ms = 1764056533456;
    id_make(ID_PAYMENT, shown.created_at_ms, random, shown.id);
    text_init(&out, NULL, 0, 1 << 20);
    payment_write(&shown, &out);
    MUST(!out.failed);
    MUST(json_parse((struct slice){out.data, out.len}, &object) == JSON_OK);
    const struct json_member *amount = json_find(&object, "amount");
    MUST(amount != NULL && money_parse(amount->raw, payment->currency->exponent, &amount_minor) == MONEY_OK);
    MUST(amount_minor == payment->amount_minor);
    const struct json_member *description = json_find(&object, "description");
    MUST((description == NULL) == (payment->description.data == NULL));
    MUST(description == NULL ||
         (description->string_len == payment->description.len &&
          memcmp(description->string, payment->description.data, description->string_len) == 0));
    json_free(&object);
    text_free(&out);
}

static void check_payment(struct slice input) {
    struct payment_draft draft;
    struct problem problem;
    if (payment_read(input, &draft, &problem)) {
        uint8_t fingerprint[FINGERPRINT_BYTES];
        MUST(draft.payment.amount_minor >= 1 && draft.payment.amount_minor <= MONEY_MINOR_MAX);
        MUST(draft.payment.currency != NULL);
        payment_draft_fingerprint(&draft, fingerprint);
        check_printed(&draft.payment);
    }
    payment_draft_free(&draft);
}

static void check_step(struct slice input, bool with_amount, bool with_reason) {
    struct amount_request request;
    struct problem problem;
    if (amount_read(input, with_amount, with_reason, &request, &problem)) {
        int64_t amount_minor = 0;
        MUST(!request.has_amount || within(request.amount, input));
        if (request.has_amount &&
            amount_convert(&request, currency_find(slice_of("JPY")), &amount_minor, &problem)) {
            MUST(amount_minor >= 1 && amount_minor <= MONEY_MINOR_MAX);
        }
    }
    amount_request_free(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice input = input_of(data, size);
    check_payment(input);
    check_step(input, true, true);
    check_step(input, true, false);
    check_step(input, false, false);
    return 0;
}
