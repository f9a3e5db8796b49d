/* Bodies in and payments out as a specification. */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>

#include "core/payment_json.h"
#include "exact.h"

#define ID "pay_01kb0a6v0rj4t2c7m9x3w5y8ze"

static struct payment sample(const char *currency, int64_t amount_minor) {
    struct payment payment = {.amount_minor = amount_minor,
                              .currency = currency_find(slice_of(currency)),
                              .status = PAYMENT_PENDING,
                              .created_at_ms = INT64_C(1795507933456)};
    memcpy(payment.id, ID, sizeof ID);
    return payment;
}

static void expect_written(const struct payment *payment, const char *json) {
    struct text out;
    text_init(&out, NULL, 0, 10000);
    payment_write(payment, &out);
    ck_assert(!out.failed);
    ck_assert_str_eq(out.data, json);
    text_free(&out);
}

START_TEST(a_payment_is_written_in_the_order_of_the_first_api) {
    struct payment payment = sample("EUR", 4990);
    expect_written(&payment, "{\"id\":\"" ID "\",\"amount\":49.9,\"currency\":\"EUR\",\"status\":\"pending\","
                             "\"created_at\":\"2026-11-24T08:12:13.456Z\",\"livemode\":false}");
}
END_TEST

START_TEST(what_a_payment_has_besides_follows) {
    struct payment payment = sample("KWD", 1234567);
    payment.status = PAYMENT_PARTIALLY_REFUNDED;
    payment.livemode = true;
    payment.captured_minor = 1000000;
    payment.refunded_minor = 1;
    payment.description = slice_of("A \"quoted\" text");
    payment.reference = slice_of("");
    payment.metadata = slice_of("{\"a\":\"1\"}");
    expect_written(&payment,
                   "{\"id\":\"" ID
                   "\",\"amount\":1234.567,\"currency\":\"KWD\",\"status\":\"partially_refunded\","
                   "\"created_at\":\"2026-11-24T08:12:13.456Z\",\"livemode\":true,\"amount_captured\":1000,"
                   "\"amount_refunded\":0.001,\"description\":\"A \\\"quoted\\\" text\",\"reference\":\"\","
                   "\"metadata\":{\"a\":\"1\"}}");
}
END_TEST

/* Reads a body that lies in a block of just its size. */
static bool read_body(const char *text, struct payment_draft *draft, struct problem *problem) {
    struct slice copy = exact_copy(text, strlen(text));
    memset(draft, 0xff, sizeof *draft);
    bool good = payment_read(copy, draft, problem);
    exact_free(copy); /* the draft holds nothing of the body */
    return good;
}

static bool absent(struct slice slice) {
    return slice.data == NULL;
}

START_TEST(amount_alone_is_enough) {
    struct payment_draft draft;
    struct problem problem;
    ck_assert(read_body("{\"amount\":49.99}", &draft, &problem));
    ck_assert_int_eq(draft.payment.amount_minor, 4999);
    ck_assert_str_eq(draft.payment.currency->code, "EUR");
    ck_assert(absent(draft.payment.description) && absent(draft.payment.reference) &&
              absent(draft.payment.metadata));
    ck_assert_int_eq(draft.payment.captured_minor, 0);
    payment_draft_free(&draft);
}
END_TEST

START_TEST(all_fields_are_read_in_any_order) {
    struct payment_draft draft;
    struct problem problem;
    ck_assert(read_body(" {\"metadata\": {\"b\": \"2\", \"a\":\"\"}, "
                        "\"reference\":\"order-7\",\"description\":\"T\\u00e9a\", "
                        "\"currency\":\"JPY\",\"amount\": 1250 } ",
                        &draft, &problem));
    ck_assert_int_eq(draft.payment.amount_minor, 1250);
    ck_assert_str_eq(draft.payment.currency->code, "JPY");
    ck_assert(slice_equal(draft.payment.description, slice_of("T\xc3\xa9"
                                                              "a")));
    ck_assert(slice_equal(draft.payment.reference, slice_of("order-7")));
    ck_assert(slice_equal(draft.payment.metadata, slice_of("{\"a\":\"\",\"b\":\"2\"}")));
    payment_draft_free(&draft);
    payment_draft_free(&draft);
}
END_TEST

START_TEST(null_counts_as_absent_and_an_empty_text_does_not) {
    struct payment_draft draft;
    struct problem problem;
    ck_assert(read_body(
        "{\"amount\":1,\"currency\":null,\"description\":null,\"reference\":null,\"metadata\":null}", &draft,
        &problem));
    ck_assert_str_eq(draft.payment.currency->code, "EUR");
    ck_assert(absent(draft.payment.description) && absent(draft.payment.reference) &&
              absent(draft.payment.metadata));
    payment_draft_free(&draft);
    ck_assert(read_body("{\"amount\":1,\"description\":\"\",\"reference\":\"\",\"metadata\":{}}", &draft,
                        &problem));
    ck_assert(!absent(draft.payment.description) && draft.payment.description.len == 0);
    ck_assert(!absent(draft.payment.reference) && draft.payment.reference.len == 0);
    ck_assert(slice_equal(draft.payment.metadata, slice_of("{}")));
    payment_draft_free(&draft);
}
END_TEST

START_TEST(a_body_that_is_wrong_is_refused_with_its_field_and_reason) {
    static const struct {
        const char *body;
        enum problem_kind kind;
        const char *field;
        const char *reason;
    } refused[] = {
        {"", PROBLEM_INVALID_JSON, NULL, "syntax"},
        {"{\"amount\":01}", PROBLEM_INVALID_JSON, NULL, "syntax"},
        {"{\"amount\":1.}", PROBLEM_INVALID_JSON, NULL, "syntax"},
        {"{\"amount\":1,\"amount\":2}", PROBLEM_INVALID_JSON, NULL, "duplicate_key"},
        {"{\"amount\":1,\"description\":\"\xff\"}", PROBLEM_INVALID_JSON, NULL, "not_utf8"},
        {"{\"amount\":1,\"description\":\"\\u0000\"}", PROBLEM_INVALID_JSON, NULL, "nul"},
        {"[]", PROBLEM_INVALID_JSON, NULL, "not_an_object"},
        {"{}", PROBLEM_INVALID_AMOUNT, "amount", "missing"},
        {"{\"amount\":null}", PROBLEM_INVALID_AMOUNT, "amount", "missing"},
        {"{\"ammount\":5}", PROBLEM_INVALID_AMOUNT, "amount", "missing"},
        {"{\"amount\":\"49.99\"}", PROBLEM_INVALID_AMOUNT, "amount", "not_a_number"},
        {"{\"amount\":true}", PROBLEM_INVALID_AMOUNT, "amount", "not_a_number"},
        {"{\"amount\":[1]}", PROBLEM_INVALID_AMOUNT, "amount", "not_a_number"},
        {"{\"amount\":{}}", PROBLEM_INVALID_AMOUNT, "amount", "not_a_number"},
        {"{\"amount\":0}", PROBLEM_INVALID_AMOUNT, "amount", "not_positive"},
        {"{\"amount\":-5}", PROBLEM_INVALID_AMOUNT, "amount", "not_positive"},
        {"{\"amount\":49.999}", PROBLEM_INVALID_AMOUNT, "amount", "too_many_decimals"},
        {"{\"amount\":1.5,\"currency\":\"JPY\"}", PROBLEM_INVALID_AMOUNT, "amount", "too_many_decimals"},
        {"{\"amount\":1e400}", PROBLEM_INVALID_AMOUNT, "amount", "too_large"},
        {"{\"amount\":10000000000000}", PROBLEM_INVALID_AMOUNT, "amount", "too_large"},
        /* what is wrong with the amount alone comes first */
        {"{\"amount\":0,\"currency\":\"XXX\",\"x\":1}", PROBLEM_INVALID_AMOUNT, "amount", "not_positive"},
        {"{\"amount\":\"1\",\"currency\":5}", PROBLEM_INVALID_AMOUNT, "amount", "not_a_number"},
        /* then unknown fields, the currency, and what depends on it */
        {"{\"amount\":1,\"curency\":\"USD\"}", PROBLEM_INVALID_FIELD, "curency", "unknown_field"},
        {"{\"amount\":1,\"Currency\":\"USD\"}", PROBLEM_INVALID_FIELD, "Currency", "unknown_field"},
        {"{\"amount\":1,\"\":null}", PROBLEM_INVALID_FIELD, "", "unknown_field"},
        {"{\"amount\":1,\"currency\":\"XXX\",\"id\":1}", PROBLEM_INVALID_FIELD, "id", "unknown_field"},
        {"{\"amount\":1.001,\"currency\":\"XXX\"}", PROBLEM_INVALID_FIELD, "currency", "unknown_currency"},
        {"{\"amount\":1,\"currency\":\"eur\"}", PROBLEM_INVALID_FIELD, "currency", "unknown_currency"},
        {"{\"amount\":1,\"currency\":\"\"}", PROBLEM_INVALID_FIELD, "currency", "unknown_currency"},
        {"{\"amount\":1,\"currency\":\"EURO\"}", PROBLEM_INVALID_FIELD, "currency", "unknown_currency"},
        {"{\"amount\":1,\"currency\":978}", PROBLEM_INVALID_FIELD, "currency", "not_a_string"},
        {"{\"amount\":1,\"currency\":[\"EUR\"]}", PROBLEM_INVALID_FIELD, "currency", "not_a_string"},
        {"{\"amount\":1,\"description\":5}", PROBLEM_INVALID_FIELD, "description", "not_a_string"},
        {"{\"amount\":1,\"reference\":{}}", PROBLEM_INVALID_FIELD, "reference", "not_a_string"},
        {"{\"amount\":1,\"metadata\":[]}", PROBLEM_INVALID_FIELD, "metadata", "not_an_object"},
        {"{\"amount\":1,\"metadata\":\"{}\"}", PROBLEM_INVALID_FIELD, "metadata", "not_an_object"},
        {"{\"amount\":1,\"metadata\":{\"a\":1}}", PROBLEM_INVALID_FIELD, "metadata", "value_not_a_string"},
        {"{\"amount\":1,\"metadata\":{\"a\":null}}", PROBLEM_INVALID_FIELD, "metadata", "value_not_a_string"},
        {"{\"amount\":1,\"metadata\":{\"a\":{}}}", PROBLEM_INVALID_FIELD, "metadata", "value_not_a_string"},
        {"{\"amount\":1,\"metadata\":{\"\":\"x\"}}", PROBLEM_INVALID_FIELD, "metadata", "key_length"},
    };
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct payment_draft draft;
        struct problem problem;
        ck_assert_msg(!read_body(refused[i].body, &draft, &problem), "%s", refused[i].body);
        ck_assert_msg(problem.kind == refused[i].kind, "%s: %s", refused[i].body, problem_slug(problem.kind));
        ck_assert_pstr_eq(problem.field, refused[i].field);
        ck_assert_str_eq(problem.reason, refused[i].reason);
        ck_assert_uint_gt(strlen(problem.detail), 10);
        payment_draft_free(&draft);
    }
}
END_TEST

START_TEST(the_detail_says_where_the_json_is_wrong_and_what_a_currency_allows) {
    struct payment_draft draft;
    struct problem problem;
    ck_assert(!read_body("{\"amount\":1,}", &draft, &problem));
    ck_assert_str_eq(problem.detail, "The body is not JSON (RFC 8259); seen at byte 12.");
    payment_draft_free(&draft);
    ck_assert(!read_body("{\"amount\":0.5,\"currency\":\"JPY\"}", &draft, &problem));
    ck_assert_str_eq(problem.detail, "amount has more decimals than the 0 of JPY.");
    payment_draft_free(&draft);
    ck_assert(!read_body("{\"amount\":1e12,\"currency\":\"KWD\"}", &draft, &problem));
    ck_assert_str_eq(problem.detail, "amount must be a number above 0 and at most 999999999999.999 KWD.");
    payment_draft_free(&draft);
}
END_TEST

START_TEST(a_long_unknown_name_is_cut_between_characters) {
    struct payment_draft draft;
    struct problem problem;
    char body[300], name[201] = "";
    for (int i = 0; i < 100; i++) {
        strcat(name, "\xc3\xa9");
    }
    snprintf(body, sizeof body, "{\"amount\":1,\"x%s\":1}", name);
    ck_assert(!read_body(body, &draft, &problem));
    ck_assert_uint_eq(strlen(problem.field), 63); /* the x and 31 characters of two bytes */
    ck_assert(utf8_valid(slice_of(problem.field)));
    payment_draft_free(&draft);
    snprintf(body, sizeof body, "{\"amount\":1,\"%s\":1}", name);
    ck_assert(!read_body(body, &draft, &problem));
    ck_assert_uint_eq(strlen(problem.field), 62);
    payment_draft_free(&draft);
}
END_TEST

/* Writes `count` times a character of two bytes. */
static void repeat(char *out, size_t count) {
    for (size_t i = 0; i < count; i++) {
        memcpy(out + 2 * i, "\xc3\xa9", 2);
    }
    out[2 * count] = '\0';
}

START_TEST(texts_are_bounded_in_characters_not_bytes) {
    static const struct {
        const char *template;
        size_t most;
        const char *field;
        const char *reason;
    } bounds[] = {
        {"{\"amount\":1,\"description\":\"%s\"}", 500, "description", "too_long"},
        {"{\"amount\":1,\"reference\":\"%s\"}", 100, "reference", "too_long"},
        {"{\"amount\":1,\"metadata\":{\"k\":\"%s\"}}", 500, "metadata", "value_too_long"},
        {"{\"amount\":1,\"metadata\":{\"%s\":\"v\"}}", 40, "metadata", "key_length"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
        for (size_t over = 0; over < 2; over++) {
            char value[1100], body[1200];
            struct payment_draft draft;
            struct problem problem;
            const char *hole = strstr(bounds[i].template, "%s");
            repeat(value, bounds[i].most + over);
            snprintf(body, sizeof body, "%.*s%s%s", (int)(hole - bounds[i].template), bounds[i].template,
                     value, hole + 2);
            ck_assert_msg(read_body(body, &draft, &problem) == (over == 0), "%s", bounds[i].template);
            if (over != 0) {
                ck_assert_str_eq(problem.field, bounds[i].field);
                ck_assert_str_eq(problem.reason, bounds[i].reason);
            }
            payment_draft_free(&draft);
        }
    }
}
END_TEST

static void write_metadata(char *body, int count) {
    int len = sprintf(body, "{\"amount\":1,\"metadata\":{");
    for (int i = 0; i < count; i++) {
        len += sprintf(body + len, "%s\"k%d\":\"v\"", i == 0 ? "" : ",", i);
    }
    sprintf(body + len, "}}");
}

START_TEST(metadata_has_at_most_50_keys) {
    char body[2000];
    struct payment_draft draft;
    struct problem problem;
    write_metadata(body, PAYMENT_METADATA_KEYS_MAX);
    ck_assert(read_body(body, &draft, &problem));
    payment_draft_free(&draft);
    write_metadata(body, PAYMENT_METADATA_KEYS_MAX + 1);
    ck_assert(!read_body(body, &draft, &problem));
    ck_assert_str_eq(problem.reason, "too_many_keys");
    payment_draft_free(&draft);
}
END_TEST

START_TEST(metadata_has_one_canonical_form) {
    static const struct {
        const char *metadata;
        const char *canonical;
    } forms[] = {
        {"{ }", "{}"},
        {"{\"b\":\"1\" , \"a\" :\"2\"}", "{\"a\":\"2\",\"b\":\"1\"}"},
        {"{\"b\":\"\",\"aa\":\"\",\"B\":\"\",\"a\":\"\"}", "{\"B\":\"\",\"a\":\"\",\"aa\":\"\",\"b\":\"\"}"},
        {"{\"\xf0\x9f\x98\x80\":\"4\",\"\xef\xbf\xbd\":\"3\",\"\xc3\xa9\":\"2\",\"z\":\"1\"}",
         "{\"z\":\"1\",\"\xc3\xa9\":\"2\",\"\xef\xbf\xbd\":\"3\",\"\xf0\x9f\x98\x80\":\"4\"}"},
        {"{\"\\u0061\\/\":\"\\u00e9\\u000a\\u0007\\\"\"}", "{\"a/\":\"\xc3\xa9\\n\\u0007\\\"\"}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        char body[300];
        struct payment_draft draft;
        struct problem problem;
        snprintf(body, sizeof body, "{\"amount\":1,\"metadata\":%s}", forms[i].metadata);
        ck_assert(read_body(body, &draft, &problem));
        ck_assert_str_eq(draft.payment.metadata.data, forms[i].canonical);
        payment_draft_free(&draft);
    }
}
END_TEST

static void fingerprint_of(const char *body, uint8_t out[FINGERPRINT_BYTES]) {
    struct payment_draft draft;
    struct problem problem;
    ck_assert_msg(read_body(body, &draft, &problem), "%s", body);
    payment_draft_fingerprint(&draft, out);
    payment_draft_free(&draft);
}

START_TEST(the_same_request_otherwise_written_has_the_same_fingerprint) {
    static const char *const same[] = {
        "{\"amount\":49.9,\"currency\":\"EUR\",\"metadata\":{\"a\":\"1\",\"b\":\"\xc3\xa9\"}}",
        "{\"amount\":49.90,\"metadata\":{\"b\":\"\\u00e9\",\"a\":\"1\"}}",
        " { \"metadata\" : { \"b\" : \"\xc3\xa9\" , \"a\" : \"\\u0031\" } , \"amount\" : 4.99e1 , "
        "\"reference\" : null } "};
    uint8_t one[FINGERPRINT_BYTES], other[FINGERPRINT_BYTES];
    fingerprint_of(same[0], one);
    for (size_t i = 1; i < ARRAY_LEN(same); i++) {
        fingerprint_of(same[i], other);
        ck_assert_mem_eq(one, other, sizeof one);
    }
}
END_TEST

START_TEST(another_request_has_another_fingerprint) {
    static const char *const different[] = {
        "{\"amount\":49.9}",
        "{\"amount\":49.91}",
        "{\"amount\":49.9,\"currency\":\"USD\"}",
        "{\"amount\":4990,\"currency\":\"JPY\"}", /* the same minor units */
        "{\"amount\":49.9,\"description\":\"\"}",
        "{\"amount\":49.9,\"description\":\"a\"}",
        "{\"amount\":49.9,\"reference\":\"a\"}",
        "{\"amount\":49.9,\"description\":\"a\",\"reference\":\"a\"}",
        "{\"amount\":49.9,\"description\":\"aa\"}",
        "{\"amount\":49.9,\"metadata\":{}}",
        "{\"amount\":49.9,\"metadata\":{\"a\":\"\"}}",
        "{\"amount\":49.9,\"metadata\":{\"a\":\"b\"}}",
        "{\"amount\":49.9,\"description\":\"{}\"}"};
    for (size_t i = 0; i < ARRAY_LEN(different); i++) {
        for (size_t j = 0; j < i; j++) {
            uint8_t one[FINGERPRINT_BYTES], other[FINGERPRINT_BYTES];
            fingerprint_of(different[i], one);
            fingerprint_of(different[j], other);
            ck_assert_msg(memcmp(one, other, sizeof one) != 0, "%s and %s", different[i], different[j]);
        }
    }
}
END_TEST

START_TEST(a_shortage_of_memory_is_no_fault_of_the_callers) {
    struct payment_draft draft;
    struct problem problem;
    ck_assert(!payment_read((struct slice){"{}", (size_t)PTRDIFF_MAX / 2}, &draft, &problem));
    ck_assert_int_eq(problem.kind, PROBLEM_OVERLOADED);
    payment_draft_free(&draft);
}
END_TEST

/* The body of a step. */
static bool read_step(const char *text, bool with_amount, bool with_reason, struct slice *copy,
                      struct amount_request *request, struct problem *problem) {
    *copy = exact_copy(text, strlen(text));
    memset(request, 0xff, sizeof *request);
    return amount_read(*copy, with_amount, with_reason, request, problem);
}

START_TEST(a_step_without_an_amount_asks_for_all) {
    static const char *const bodies[] = {"", "{}", " { } ", "{\"reason\":null}"};
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        struct amount_request request;
        struct problem problem;
        struct slice copy;
        ck_assert(read_step(bodies[i], true, true, &copy, &request, &problem));
        ck_assert(!request.has_amount);
        ck_assert(absent(request.reason));
        amount_request_free(&request);
        exact_free(copy);
    }
}
END_TEST

START_TEST(a_steps_amount_is_converted_once_the_currency_is_known) {
    struct amount_request request;
    struct problem problem;
    struct slice copy;
    int64_t minor = 0;
    ck_assert(
        read_step("{\"reason\":\"d\\u00e9fect\", \"amount\": 1.50}", true, true, &copy, &request, &problem));
    ck_assert(request.has_amount);
    ck_assert(slice_equal(request.reason, slice_of("d\xc3\xa9"
                                                   "fect")));
    ck_assert(amount_convert(&request, currency_find(slice_of("EUR")), &minor, &problem));
    ck_assert_int_eq(minor, 150);
    ck_assert(amount_convert(&request, currency_find(slice_of("KWD")), &minor, &problem));
    ck_assert_int_eq(minor, 1500);
    ck_assert(!amount_convert(&request, currency_find(slice_of("JPY")), &minor, &problem));
    ck_assert_int_eq(problem.kind, PROBLEM_INVALID_AMOUNT);
    ck_assert_str_eq(problem.reason, "too_many_decimals");
    ck_assert_int_eq(minor, 1500);
    amount_request_free(&request);
    amount_request_free(&request);
    exact_free(copy);
}
END_TEST

START_TEST(a_steps_amount_is_as_large_as_any) {
    struct amount_request request;
    struct problem problem;
    struct slice copy;
    int64_t minor = 0;
    ck_assert(read_step("{\"amount\":1e400}", true, false, &copy, &request, &problem));
    ck_assert(!amount_convert(&request, currency_find(slice_of("EUR")), &minor, &problem));
    ck_assert_str_eq(problem.reason, "too_large");
    amount_request_free(&request);
    exact_free(copy);
}
END_TEST

START_TEST(a_steps_body_that_is_wrong_is_refused) {
    static const struct {
        const char *body;
        bool with_amount, with_reason;
        enum problem_kind kind;
        const char *field;
        const char *reason;
    } refused[] = {
        {" ", true, true, PROBLEM_INVALID_JSON, NULL, "syntax"},
        {"null", true, true, PROBLEM_INVALID_JSON, NULL, "not_an_object"},
        /* a lost value must not move everything */
        {"{\"amount\":null}", true, true, PROBLEM_INVALID_AMOUNT, "amount", "not_a_number"},
        {"{\"amount\":\"5\"}", true, true, PROBLEM_INVALID_AMOUNT, "amount", "not_a_number"},
        {"{\"amount\":0}", true, true, PROBLEM_INVALID_AMOUNT, "amount", "not_positive"},
        {"{\"amount\":-0.00}", true, true, PROBLEM_INVALID_AMOUNT, "amount", "not_positive"},
        {"{\"ammount\":5}", true, true, PROBLEM_INVALID_FIELD, "ammount", "unknown_field"},
        {"{\"amount\":5,\"reason\":\"x\"}", true, false, PROBLEM_INVALID_FIELD, "reason", "unknown_field"},
        {"{\"amount\":5}", false, false, PROBLEM_INVALID_FIELD, "amount", "unknown_field"},
        {"{\"amount\":0}", false, false, PROBLEM_INVALID_FIELD, "amount", "unknown_field"},
        {"{\"reason\":5}", true, true, PROBLEM_INVALID_FIELD, "reason", "not_a_string"},
    };
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct amount_request request;
        struct problem problem;
        struct slice copy;
        ck_assert_msg(!read_step(refused[i].body, refused[i].with_amount, refused[i].with_reason, &copy,
                                 &request, &problem),
                      "%s", refused[i].body);
        ck_assert_msg(problem.kind == refused[i].kind, "%s: %s", refused[i].body, problem_slug(problem.kind));
        ck_assert_pstr_eq(problem.field, refused[i].field);
        ck_assert_str_eq(problem.reason, refused[i].reason);
        amount_request_free(&request);
        exact_free(copy);
    }
}
END_TEST

START_TEST(a_reason_is_bounded) {
    for (size_t over = 0; over < 2; over++) {
        char value[1100], body[1200];
        struct amount_request request;
        struct problem problem;
        struct slice copy;
        repeat(value, 500 + over);
        snprintf(body, sizeof body, "{\"reason\":\"%s\"}", value);
        ck_assert(read_step(body, true, true, &copy, &request, &problem) == (over == 0));
        ck_assert(over == 0 || strcmp(problem.reason, "too_long") == 0);
        amount_request_free(&request);
        exact_free(copy);
    }
}
END_TEST

/* Every amount that payment_read takes is written as the same number. */
START_TEST(what_is_read_is_written_again) {
    static const char *const amounts[] = {"0.01", "1", "49.9", "49.99", "9999999999999.99"};
    for (size_t i = 0; i < ARRAY_LEN(amounts); i++) {
        char body[200];
        struct payment_draft draft;
        struct problem problem;
        struct text out;
        struct json_object object;
        snprintf(body, sizeof body,
                 "{\"amount\":%s,\"metadata\":{\"k\\n\":\"\\\\\"},\"description\":\"\\u0007\"}", amounts[i]);
        ck_assert(read_body(body, &draft, &problem));
        text_init(&out, NULL, 0, 10000);
        payment_write(&draft.payment, &out);
        ck_assert_int_eq(json_parse((struct slice){out.data, out.len}, &object), JSON_OK);
        ck_assert(slice_equal(json_find(&object, "amount")->raw, slice_of(amounts[i])));
        ck_assert_str_eq(json_find(&object, "description")->string, "\a");
        json_free(&object);
        text_free(&out);
        payment_draft_free(&draft);
    }
}
END_TEST

Suite *payment_json_suite(void);
Suite *payment_json_suite(void) {
    Suite *suite = suite_create("payment_json");
    TCase *cases = tcase_create("payment_json");
    tcase_add_test(cases, a_payment_is_written_in_the_order_of_the_first_api);
    tcase_add_test(cases, what_a_payment_has_besides_follows);
    tcase_add_test(cases, amount_alone_is_enough);
    tcase_add_test(cases, all_fields_are_read_in_any_order);
    tcase_add_test(cases, null_counts_as_absent_and_an_empty_text_does_not);
    tcase_add_test(cases, a_body_that_is_wrong_is_refused_with_its_field_and_reason);
    tcase_add_test(cases, the_detail_says_where_the_json_is_wrong_and_what_a_currency_allows);
    tcase_add_test(cases, a_long_unknown_name_is_cut_between_characters);
    tcase_add_test(cases, texts_are_bounded_in_characters_not_bytes);
    tcase_add_test(cases, metadata_has_at_most_50_keys);
    tcase_add_test(cases, metadata_has_one_canonical_form);
    tcase_add_test(cases, the_same_request_otherwise_written_has_the_same_fingerprint);
    tcase_add_test(cases, another_request_has_another_fingerprint);
    tcase_add_test(cases, a_shortage_of_memory_is_no_fault_of_the_callers);
    tcase_add_test(cases, a_step_without_an_amount_asks_for_all);
    tcase_add_test(cases, a_steps_amount_is_converted_once_the_currency_is_known);
    tcase_add_test(cases, a_steps_amount_is_as_large_as_any);
    tcase_add_test(cases, a_steps_body_that_is_wrong_is_refused);
    tcase_add_test(cases, a_reason_is_bounded);
    tcase_add_test(cases, what_is_read_is_written_again);
    suite_add_tcase(suite, cases);
    return suite;
}
