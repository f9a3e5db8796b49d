#include "core/payment_json.h"

#include <stdlib.h>

#include "core/money.h"
#include "core/timestamp.h"

#define REASON_CHARS_MAX 500

static void add_amount(struct text *out, const char *name, int64_t amount_minor,
                       const struct currency *currency) {
    char amount[MONEY_TEXT_MAX];
    size_t len = money_format(amount_minor, currency->exponent, amount);
    text_add_string(out, name);
    text_add(out, amount, len);
}

static void add_text(struct text *out, const char *name, struct slice value) {
    if (value.data != NULL) {
        text_add_string(out, name);
        text_add_json(out, value);
    }
}

void payment_write(const struct payment *payment, struct text *out) {
    char created_at[TIMESTAMP_SIZE];
    timestamp_format(payment->created_at_ms, created_at);
    text_add_string(out, "{\"id\":\"");
    text_add_string(out, payment->id);
    add_amount(out, "\",\"amount\":", payment->amount_minor, payment->currency);
    text_add_string(out, ",\"currency\":\"");
    text_add_string(out, payment->currency->code);
    text_add_string(out, "\",\"status\":\"");
    text_add_string(out, payment_status_name(payment->status));
    text_add_string(out, "\",\"created_at\":\"");
    text_add_string(out, created_at);
    text_add_string(out, payment->livemode ? "\",\"livemode\":true" : "\",\"livemode\":false");
    if (payment->captured_minor > 0) {
        add_amount(out, ",\"amount_captured\":", payment->captured_minor, payment->currency);
    }
    if (payment->refunded_minor > 0) {
        add_amount(out, ",\"amount_refunded\":", payment->refunded_minor, payment->currency);
    }
    add_text(out, ",\"description\":", payment->description);
    add_text(out, ",\"reference\":", payment->reference);
    if (payment->metadata.data != NULL) {
        text_add_string(out, ",\"metadata\":");
        text_add(out, payment->metadata.data, payment->metadata.len);
    }
    text_add_string(out, "}");
}

static bool refuse(struct problem *problem, const char *field, const char *reason, const char *detail) {
    return problem_set(problem, PROBLEM_INVALID_FIELD, field, reason, "%s", detail);
}

static bool refuse_memory(struct problem *problem) {
    return problem_set(problem, PROBLEM_OVERLOADED, NULL, "no_memory", "Memory is short; nothing was done.");
}

static bool parse(struct slice text, struct body *body, struct problem *problem) {
    enum json_error error = json_parse(text, &body->json);
    if (error == JSON_NO_MEMORY) {
        return refuse_memory(problem);
    }
    return error == JSON_OK ||
           problem_set(problem, PROBLEM_INVALID_JSON, NULL, json_error_name(error),
                       "The body %s; seen at byte %zu.", json_error_text(error), body->json.error_offset);
}

/* The member of that name; NULL if it is absent or null. */
static const struct json_member *find(const struct body *body, const char *name) {
    const struct json_member *member = json_find(&body->json, name);
    return member != NULL && member->type == JSON_NULL ? NULL : member;
}

/* Keeps as much of the name as fits, in whole characters. */
static void keep_unknown(struct body *body, const char *name) {
    struct slice left = slice_of(name);
    size_t kept = 0;
    for (size_t len; (len = utf8_len(left)) > 0 && kept + len < sizeof body->unknown_field; kept += len) {
        memcpy(body->unknown_field + kept, left.data, len);
        left.data += len;
        left.len -= len;
    }
    body->unknown_field[kept] = '\0';
}

/* Refuses a body with a field that is not one of `names` (a typo in "currency" must not become EUR). */
static bool check_names(struct body *body, const char *const names[], size_t count, struct problem *problem) {
    for (size_t i = 0; i < body->json.count; i++) {
        const char *name = body->json.members[i].name;
        size_t known = 0;
        while (known < count && strcmp(name, names[known]) != 0) {
            known++;
        }
        if (known == count) {
            keep_unknown(body, name);
            return refuse(problem, body->unknown_field, "unknown_field",
                          "The body has a field that is not known here.");
        }
    }
    return true;
}

static bool refuse_amount(struct problem *problem, enum money_error error, const char *detail) {
    return problem_set(problem, PROBLEM_INVALID_AMOUNT, "amount", money_error_name(error), "%s", detail);
}

/* Checks what can be said of an amount before its currency is known. */
static bool check_amount(const struct json_member *amount, struct problem *problem) {
    int64_t amount_minor;
    switch (money_parse(amount->raw, 0, &amount_minor)) {
    case MONEY_NOT_A_NUMBER:
        return refuse_amount(problem, MONEY_NOT_A_NUMBER,
                             "amount must be a JSON number, like 49.99, and no string.");
    case MONEY_NOT_POSITIVE:
        return refuse_amount(problem, MONEY_NOT_POSITIVE, "amount must be more than 0.");
    case MONEY_OK:
    case MONEY_TOO_MANY_DECIMALS:
    case MONEY_TOO_LARGE:
        break;
    }
    return true;
}

static bool convert(struct slice amount, const struct currency *currency, int64_t *amount_minor,
                    struct problem *problem) {
    char most[MONEY_TEXT_MAX];
    enum money_error error = money_parse(amount, currency->exponent, amount_minor);
    if (error == MONEY_OK) {
        return true;
    }
    if (error == MONEY_TOO_MANY_DECIMALS) {
        return problem_set(problem, PROBLEM_INVALID_AMOUNT, "amount", money_error_name(error),
                           "amount has more decimals than the %u of %s.", currency->exponent, currency->code);
    }
    money_format(MONEY_MINOR_MAX, currency->exponent, most);
    return problem_set(problem, PROBLEM_INVALID_AMOUNT, "amount", money_error_name(error),
                       "amount must be a number above 0 and at most %s %s.", most, currency->code);
}

static bool read_currency(const struct body *body, const struct currency **currency,
                          struct problem *problem) {
    const struct json_member *member = find(body, "currency");
    struct slice code = slice_of("EUR");
    if (member != NULL && member->type != JSON_STRING) {
        return refuse(problem, "currency", "not_a_string", "currency must be a string.");
    }
    if (member != NULL) {
        code = (struct slice){member->string, member->string_len};
    }
    *currency = currency_find(code);
    return *currency != NULL || refuse(problem, "currency", "unknown_currency",
                                       "currency must be an active ISO 4217 code in capitals, like EUR.");
}

/* Reads an optional string of at most chars_max code points. `name` outlives the problem. */
static bool read_text(const struct body *body, const char *name, size_t chars_max, struct slice *value,
                      struct problem *problem) {
    const struct json_member *member = find(body, name);
    if (member == NULL) {
        return true;
    }
    if (member->type != JSON_STRING) {
        return problem_set(problem, PROBLEM_INVALID_FIELD, name, "not_a_string", "%s must be a string.",
                           name);
    }
    if (member->string_chars > chars_max) {
        return problem_set(problem, PROBLEM_INVALID_FIELD, name, "too_long", "%s may have %zu characters.",
                           name, chars_max);
    }
    *value = (struct slice){member->string, member->string_len};
    return true;
}

static bool check_metadata(const struct json_object *metadata, struct problem *problem) {
    if (metadata->count > PAYMENT_METADATA_KEYS_MAX) {
        return refuse(problem, "metadata", "too_many_keys", "metadata may have 50 keys.");
    }
    for (size_t i = 0; i < metadata->count; i++) {
        const struct json_member *member = &metadata->members[i];
        size_t name_chars = utf8_chars(slice_of(member->name));
        if (name_chars == 0 || name_chars > PAYMENT_METADATA_KEY_CHARS_MAX) {
            return refuse(problem, "metadata", "key_length",
                          "A key of metadata must have 1 to 40 characters.");
        }
        if (member->type != JSON_STRING) {
            return refuse(problem, "metadata", "value_not_a_string",
                          "The values of metadata must be strings.");
        }
        if (member->string_chars > PAYMENT_METADATA_VALUE_CHARS_MAX) {
            return refuse(problem, "metadata", "value_too_long",
                          "A value of metadata may have 500 characters.");
        }
    }
    return true;
}

static int by_name(const void *left, const void *right) {
    return strcmp(((const struct json_member *)left)->name, ((const struct json_member *)right)->name);
}

static void write_metadata(const struct json_object *metadata, struct text *out) {
    qsort(metadata->members, metadata->count, sizeof metadata->members[0], by_name);
    for (size_t i = 0; i < metadata->count; i++) {
        const struct json_member *member = &metadata->members[i];
        text_add_string(out, i == 0 ? "{" : ",");
        text_add_json(out, slice_of(member->name));
        text_add_string(out, ":");
        text_add_json(out, (struct slice){member->string, member->string_len});
    }
    text_add_string(out, metadata->count == 0 ? "{}" : "}");
}

static bool read_metadata(struct payment_draft *draft, struct problem *problem) {
    const struct json_member *member = find(&draft->body, "metadata");
    struct json_object metadata;
    if (member == NULL) {
        return true;
    }
    if (member->type != JSON_OBJECT) {
        return refuse(problem, "metadata", "not_an_object", "metadata must be an object of strings.");
    }
    if (json_parse(member->raw, &metadata) != JSON_OK) {
        return refuse_memory(problem); /* it was read once already, as a part of the body */
    }
    bool good = check_metadata(&metadata, problem);
    if (good) {
        text_init(&draft->metadata, NULL, 0, member->raw.len); /* no form is shorter than the canonical one */
        write_metadata(&metadata, &draft->metadata);
        good = !draft->metadata.failed || refuse_memory(problem);
        draft->payment.metadata = (struct slice){draft->metadata.data, draft->metadata.len};
    }
    json_free(&metadata);
    return good;
}

bool payment_read(struct slice body, struct payment_draft *draft, struct problem *problem) {
    static const char *const names[] = {"amount", "currency", "description", "reference", "metadata"};
    struct payment *payment = &draft->payment;
    *draft = (struct payment_draft){.payment = {.amount_minor = 0}};
    if (!parse(body, &draft->body, problem)) {
        return false;
    }
    const struct json_member *amount = find(&draft->body, "amount");
    if (amount == NULL) {
        return problem_set(problem, PROBLEM_INVALID_AMOUNT, "amount", "missing", "amount is required.");
    }
    return check_amount(amount, problem) && check_names(&draft->body, names, ARRAY_LEN(names), problem) &&
           read_currency(&draft->body, &payment->currency, problem) &&
           convert(amount->raw, payment->currency, &payment->amount_minor, problem) &&
           read_text(&draft->body, "description", PAYMENT_DESCRIPTION_CHARS_MAX, &payment->description,
                     problem) &&
           read_text(&draft->body, "reference", PAYMENT_REFERENCE_CHARS_MAX, &payment->reference, problem) &&
           read_metadata(draft, problem);
}

void payment_draft_free(struct payment_draft *draft) {
    json_free(&draft->body.json);
    text_free(&draft->metadata);
}

void payment_draft_fingerprint(const struct payment_draft *draft, uint8_t out[FINGERPRINT_BYTES]) {
    const struct payment *payment = &draft->payment;
    char digits[24];
    struct text amount;
    text_init(&amount, digits, sizeof digits, sizeof digits - 1);
    text_add_int(&amount, payment->amount_minor);
    const struct slice fields[] = {{amount.data, amount.len},
                                   slice_of(payment->currency->code),
                                   payment->description,
                                   payment->reference,
                                   payment->metadata};
    fingerprint_make(fields, ARRAY_LEN(fields), out);
}

bool amount_read(struct slice body, bool with_amount, bool with_reason, struct amount_request *request,
                 struct problem *problem) {
    const char *names[2];
    size_t count = 0;
    *request = (struct amount_request){.has_amount = false};
    if (with_amount) {
        names[count++] = "amount";
    }
    if (with_reason) {
        names[count++] = "reason";
    }
    if (body.len == 0) {
        return true;
    }
    if (!parse(body, &request->body, problem)) {
        return false;
    }
    /* null is no amount here: somebody's lost value must not capture or refund everything */
    const struct json_member *amount = with_amount ? json_find(&request->body.json, "amount") : NULL;
    if (amount != NULL) {
        request->has_amount = true;
        request->amount = amount->raw;
        if (!check_amount(amount, problem)) {
            return false;
        }
    }
    return check_names(&request->body, names, count, problem) &&
           (!with_reason || read_text(&request->body, "reason", REASON_CHARS_MAX, &request->reason, problem));
}

bool amount_convert(const struct amount_request *request, const struct currency *currency,
                    int64_t *amount_minor, struct problem *problem) {
    return convert(request->amount, currency, amount_minor, problem);
}

void amount_request_free(struct amount_request *request) {
    json_free(&request->body.json);
}
