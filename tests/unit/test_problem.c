/* Problems as a specification. */
#include <check.h>
#include <stdio.h>

#include "core/json.h"
#include "core/problem.h"
#include "exact.h"

static const struct {
    enum problem_kind kind;
    int status;
} kinds[] = {
    {PROBLEM_INVALID_AMOUNT, 400},    {PROBLEM_INVALID_FIELD, 400},      {PROBLEM_INVALID_JSON, 400},
    {PROBLEM_MALFORMED_REQUEST, 400}, {PROBLEM_INVALID_KEY, 400},        {PROBLEM_UNAUTHENTICATED, 401},
    {PROBLEM_FORBIDDEN, 403},         {PROBLEM_NOT_FOUND, 404},          {PROBLEM_METHOD_NOT_ALLOWED, 405},
    {PROBLEM_REQUEST_TIMEOUT, 408},   {PROBLEM_IN_FLIGHT, 409},          {PROBLEM_ILLEGAL_STATE, 409},
    {PROBLEM_LENGTH_REQUIRED, 411},   {PROBLEM_BODY_TOO_LARGE, 413},     {PROBLEM_URI_TOO_LONG, 414},
    {PROBLEM_UNSUPPORTED_MEDIA, 415}, {PROBLEM_EXPECTATION_FAILED, 417}, {PROBLEM_KEY_REUSED, 422},
    {PROBLEM_AMOUNT_TOO_HIGH, 422},   {PROBLEM_RATE_LIMITED, 429},       {PROBLEM_HEADERS_TOO_LARGE, 431},
    {PROBLEM_INTERNAL, 500},          {PROBLEM_METHOD_UNKNOWN, 501},     {PROBLEM_OVERLOADED, 503},
    {PROBLEM_UNAVAILABLE, 503},       {PROBLEM_OUTCOME_UNKNOWN, 503},    {PROBLEM_HTTP_VERSION, 505},
};

/* The string of a member, which must be there. */
static const char *string_of(const struct json_object *object, const char *name) {
    const struct json_member *member = json_find(object, name);
    ck_assert_msg(member != NULL && member->type == JSON_STRING, "%s", name);
    return member->string;
}

static void write_and_parse(const struct problem *problem, const char *request_id, struct text *text,
                            struct json_object *object) {
    text_init(text, NULL, 0, 10000);
    problem_write(problem, request_id, text);
    ck_assert(!text->failed);
    ck_assert_int_eq(json_parse((struct slice){text->data, text->len}, object), JSON_OK);
}

START_TEST(every_kind_has_a_status_a_slug_and_a_title) {
    ck_assert_uint_eq(ARRAY_LEN(kinds), PROBLEM_KINDS - 1);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const char *slug = problem_slug(kinds[i].kind);
        struct problem problem;
        struct text text;
        struct json_object object;
        char type[100], status[8];
        ck_assert_int_eq(problem_status(kinds[i].kind), kinds[i].status);
        ck_assert_uint_gt(strlen(slug), 2);
        ck_assert_uint_eq(strspn(slug, "abcdefghijklmnopqrstuvwxyz-"), strlen(slug));
        problem_set(&problem, kinds[i].kind, NULL, NULL, "Why.");
        write_and_parse(&problem, "r-1", &text, &object);
        snprintf(type, sizeof type, "urn:payflow:problem:%s", slug);
        snprintf(status, sizeof status, "%d", kinds[i].status);
        ck_assert_str_eq(string_of(&object, "type"), type);
        ck_assert(slice_equal(json_find(&object, "status")->raw, slice_of(status)));
        ck_assert_uint_gt(strlen(string_of(&object, "title")), 2);
        ck_assert_str_eq(string_of(&object, "error"), string_of(&object, "title"));
        json_free(&object);
        text_free(&text);
    }
}
END_TEST

START_TEST(no_two_kinds_share_a_slug) {
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        for (size_t j = 0; j < i; j++) {
            ck_assert_str_ne(problem_slug(kinds[i].kind), problem_slug(kinds[j].kind));
        }
    }
}
END_TEST

START_TEST(an_invalid_amount_is_answered_in_the_words_of_the_first_api) {
    struct problem problem;
    struct text text;
    ck_assert(!problem_set(&problem, PROBLEM_INVALID_AMOUNT, "amount", "not_positive",
                           "amount must be more than %d.", 0));
    text_init(&text, NULL, 0, 10000);
    problem_write(&problem, "4bf92f3577b34da6a3ce929d0e0e4736", &text);
    ck_assert_str_eq(
        text.data,
        "{\"type\":\"urn:payflow:problem:invalid-amount\",\"title\":\"Invalid amount\",\"status\":400,"
        "\"detail\":\"amount must be more than 0.\",\"error\":\"Invalid amount\",\"field\":\"amount\","
        "\"reason\":\"not_positive\",\"request_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\"}");
    text_free(&text);
}
END_TEST

START_TEST(what_a_problem_has_not_is_left_out) {
    struct problem problem;
    struct text text;
    memset(&problem, 0xff, sizeof problem);
    problem_set(&problem, PROBLEM_NOT_FOUND, NULL, NULL, "There is no such payment.");
    text_init(&text, NULL, 0, 10000);
    problem_write(&problem, NULL, &text);
    ck_assert_str_eq(text.data,
                     "{\"type\":\"urn:payflow:problem:not-found\",\"title\":\"Not found\",\"status\":404,"
                     "\"detail\":\"There is no such payment.\",\"error\":\"Not found\"}");
    text_free(&text);
}
END_TEST

START_TEST(the_payment_and_its_state_are_named) {
    struct problem problem;
    struct text text;
    struct json_object object;
    problem_set(&problem, PROBLEM_ILLEGAL_STATE, NULL, "illegal_state", "No.");
    problem.id = "pay_01kb0a6v0rj4t2c7m9x3w5y8ze";
    problem.state = "canceled";
    write_and_parse(&problem, NULL, &text, &object);
    ck_assert_str_eq(string_of(&object, "id"), "pay_01kb0a6v0rj4t2c7m9x3w5y8ze");
    ck_assert_str_eq(string_of(&object, "state"), "canceled");
    json_free(&object);
    text_free(&text);
}
END_TEST

START_TEST(whatever_a_caller_sent_is_escaped_and_cut) {
    struct problem problem;
    struct text text;
    struct json_object object;
    char long_detail[3 * sizeof problem.detail] = "";
    for (size_t i = 0; i + 3 < sizeof long_detail; i += 3) {
        memcpy(long_detail + i, "\xe2\x82\xac", 4); /* is cut within a character */
    }
    problem_set(&problem, PROBLEM_INVALID_FIELD, "a\"b\\c\n\xff", NULL, "%s", long_detail);
    write_and_parse(&problem, "\"", &text, &object);
    ck_assert_str_eq(string_of(&object, "field"), "a\"b\\c\n\xef\xbf\xbd");
    ck_assert_str_eq(string_of(&object, "request_id"), "\"");
    ck_assert_int_eq(strncmp(string_of(&object, "detail"), long_detail, sizeof problem.detail - 4), 0);
    json_free(&object);
    text_free(&text);
}
END_TEST

START_TEST(a_problem_without_a_kind_is_an_internal_error) {
    ck_assert_int_eq(problem_status(PROBLEM_NONE), 500);
}
END_TEST

Suite *problem_suite(void);
Suite *problem_suite(void) {
    Suite *suite = suite_create("problem");
    TCase *cases = tcase_create("problem");
    tcase_add_test(cases, every_kind_has_a_status_a_slug_and_a_title);
    tcase_add_test(cases, no_two_kinds_share_a_slug);
    tcase_add_test(cases, an_invalid_amount_is_answered_in_the_words_of_the_first_api);
    tcase_add_test(cases, what_a_problem_has_not_is_left_out);
    tcase_add_test(cases, the_payment_and_its_state_are_named);
    tcase_add_test(cases, whatever_a_caller_sent_is_escaped_and_cut);
    tcase_add_test(cases, a_problem_without_a_kind_is_an_internal_error);
    suite_add_tcase(suite, cases);
    return suite;
}
