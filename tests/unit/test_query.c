/* Query strings as a specification. */
#include <check.h>
#include <stdlib.h>

#include "core/query.h"

static enum query_result first(const char *text, struct query_pair *pair) {
    struct slice rest = slice_of(text);
    return query_next(&rest, pair);
}

START_TEST(pairs_come_in_order_and_empty_parts_are_passed_over) {
    struct slice rest = slice_of("&limit=10&&cursor=&flag&a=b=c&");
    static const char *const expected[][2] = {{"limit", "10"}, {"cursor", ""}, {"flag", ""}, {"a", "b=c"}};
    struct query_pair pair;
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        ck_assert_int_eq(query_next(&rest, &pair), QUERY_PAIR);
        ck_assert_str_eq(pair.name, expected[i][0]);
        ck_assert_str_eq(pair.value, expected[i][1]);
    }
    ck_assert_int_eq(query_next(&rest, &pair), QUERY_END);
}
END_TEST

START_TEST(escapes_and_plus_are_decoded) {
    struct query_pair pair;
    ck_assert_int_eq(first("created%5Ffrom=2026-01-01T00%3a00:00%2B01:00+x", &pair), QUERY_PAIR);
    ck_assert_str_eq(pair.name, "created_from");
    ck_assert_str_eq(pair.value, "2026-01-01T00:00:00+01:00 x");
}
END_TEST

START_TEST(what_is_malformed_is_refused) {
    static const char *const bad[] = {"a=%", "a=%4", "a=%zz", "a=%4g", "%=1", "a=%00", "a=%ff", "a=%c0%80"};
    struct query_pair pair;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        ck_assert_msg(first(bad[i], &pair) == QUERY_MALFORMED, "%s was accepted", bad[i]);
    }
}
END_TEST

START_TEST(parts_are_bounded) {
    char text[QUERY_VALUE_MAX + 8] = "a=";
    struct query_pair pair;
    memset(text + 2, 'x', QUERY_VALUE_MAX - 1);
    ck_assert_int_eq(first(text, &pair), QUERY_PAIR);
    ck_assert_uint_eq(strlen(pair.value), QUERY_VALUE_MAX - 1);
    text[2 + QUERY_VALUE_MAX - 1] = 'x';
    ck_assert_int_eq(first(text, &pair), QUERY_MALFORMED);
}
END_TEST

Suite *query_suite(void);
Suite *query_suite(void) {
    Suite *suite = suite_create("query");
    TCase *cases = tcase_create("query");
    tcase_add_test(cases, pairs_come_in_order_and_empty_parts_are_passed_over);
    tcase_add_test(cases, escapes_and_plus_are_decoded);
    tcase_add_test(cases, what_is_malformed_is_refused);
    tcase_add_test(cases, parts_are_bounded);
    suite_add_tcase(suite, cases);
    return suite;
}
