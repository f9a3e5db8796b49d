/* The growing text as a specification. */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>

#include "core/json.h"
#include "core/text.h"
#include "exact.h"

/* The tests below ask for more memory than there is: with sanitizers, too, malloc is to say no and not to
 * stop. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "allocator_may_return_null=1";
}
const char *__tsan_default_options(void);
const char *__tsan_default_options(void) {
    return "allocator_may_return_null=1";
}

START_TEST(a_text_begins_in_the_callers_buffer_and_moves_to_the_heap) {
    char buffer[8];
    struct text text;
    text_init(&text, buffer, sizeof buffer, 1000);
    ck_assert_str_eq(text.data, "");
    text_add_string(&text, "1234567");
    ck_assert_ptr_eq(text.data, buffer);
    ck_assert(!text.on_heap);
    text_add(&text, "8", 1);
    ck_assert_ptr_ne(text.data, buffer);
    ck_assert(text.on_heap);
    ck_assert_str_eq(text.data, "12345678");
    ck_assert_uint_eq(text.len, 8);
    text_free(&text);
    ck_assert_ptr_null(text.data);
    text_free(&text);
}
END_TEST

START_TEST(a_text_needs_no_buffer) {
    struct text text;
    text_init(&text, NULL, 0, 100);
    text_add(&text, NULL, 0);
    ck_assert_str_eq(text.data, "");
    text_add_string(&text, "abc");
    ck_assert_str_eq(text.data, "abc");
    text_free(&text);
    text_init(&text, NULL, 0, 100);
    text_clear(&text);
    text_printf(&text, "%d", 5);
    ck_assert_str_eq(text.data, "5");
    text_free(&text);
}
END_TEST

START_TEST(a_text_grows_to_its_limit_and_not_beyond) {
    enum { LIMIT = 5000 };
    struct text text;
    text_init(&text, NULL, 0, LIMIT);
    for (size_t i = 0; i < LIMIT; i++) {
        text_add(&text, "x", 1);
        ck_assert_uint_eq(text.len, i + 1);
        ck_assert_int_eq(text.data[text.len], '\0');
    }
    ck_assert(!text.failed);
    text_add(&text, "y", 1);
    ck_assert(text.failed);
    ck_assert_uint_eq(text.len, LIMIT);
    ck_assert_uint_eq(strspn(text.data, "x"), LIMIT);
    text_free(&text);
}
END_TEST

START_TEST(an_append_fits_whole_or_changes_nothing) {
    char buffer[64];
    struct text text;
    text_init(&text, buffer, sizeof buffer, 10);
    text_add_string(&text, "12345678");
    text_add_string(&text, "9ab");
    ck_assert(text.failed);
    ck_assert_str_eq(text.data, "12345678");
    text_add(&text, "9", 1); /* would fit, but nothing follows a failure */
    text_printf(&text, "%d", 9);
    text_add_int(&text, 9);
    text_add_json(&text, slice_of(""));
    ck_assert_str_eq(text.data, "12345678");
    text_clear(&text);
    ck_assert(!text.failed);
    ck_assert_str_eq(text.data, "");
    text_add_string(&text, "123456789a");
    ck_assert(!text.failed);
    ck_assert_str_eq(text.data, "123456789a");
    text_free(&text);
}
END_TEST

START_TEST(printf_and_json_fit_whole_or_change_nothing_too) {
    char buffer[64];
    struct text text;
    text_init(&text, buffer, sizeof buffer, 10);
    text_add_string(&text, "1234567");
    text_printf(&text, "%s", "abcd");
    ck_assert(text.failed);
    ck_assert_str_eq(text.data, "1234567");
    text_clear(&text);
    text_add_string(&text, "1234567");
    text_add_json(&text, slice_of("ab")); /* both quotes and one letter would fit */
    ck_assert(text.failed);
    ck_assert_str_eq(text.data, "1234567");
    text_free(&text);
    text_init(&text, NULL, 0, 0);
    text_add_json(&text, slice_of("a"));
    ck_assert(text.failed);
    ck_assert_uint_eq(text.len, 0);
    text_free(&text);
}
END_TEST

START_TEST(printf_grows_the_text) {
    struct text text;
    text_init(&text, NULL, 0, 100000);
    for (int i = 0; i < 10; i++) {
        text_printf(&text, "%0*d", 1000 * i, i);
    }
    ck_assert(!text.failed);
    ck_assert_uint_eq(text.len, 45001);
    ck_assert_uint_eq(strlen(text.data), 45001);
    ck_assert_int_eq(text.data[text.len - 1], '9');
    text_free(&text);
}
END_TEST

START_TEST(a_shortage_of_memory_is_a_failure) {
    volatile size_t huge = (size_t)PTRDIFF_MAX / 2;
    struct text text;
    text_init(&text, NULL, 0, SIZE_MAX / 2);
    text_add_string(&text, "kept");
    text_add(&text, "", huge);
    ck_assert(text.failed);
    ck_assert_str_eq(text.data, "kept");
    text_free(&text);
}
END_TEST

START_TEST(integers_are_written_in_decimal) {
    static const int64_t values[] = {0, 1, -1, 9, 10, -10, 1234567890, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        char expected[32];
        struct text text;
        text_init(&text, NULL, 0, 100);
        text_add_int(&text, values[i]);
        snprintf(expected, sizeof expected, "%" PRId64, values[i]);
        ck_assert_str_eq(text.data, expected);
        text_free(&text);
    }
}
END_TEST

START_TEST(json_strings_are_escaped) {
    static const struct {
        struct slice value;
        const char *json;
    } strings[] = {
        {{NULL, 0}, "null"},
        {{"", 0}, "\"\""},
        {{"abc", 3}, "\"abc\""},
        {{"\"\\/", 3}, "\"\\\"\\\\/\""},
        {{"\b\f\n\r\t", 5}, "\"\\b\\f\\n\\r\\t\""},
        {{"\0\x01\x1f\x7f", 4}, "\"\\u0000\\u0001\\u001f\x7f\""},
        {{"\xc3\xa9\xf0\x9f\x98\x80", 6}, "\"\xc3\xa9\xf0\x9f\x98\x80\""},
        {{"a\xff\x62\xc3", 4}, "\"a\\ufffdb\\ufffd\""},
        {{"\xed\xa0\x80", 3}, "\"\\ufffd\\ufffd\\ufffd\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(strings); i++) {
        struct text text;
        text_init(&text, NULL, 0, 100);
        text_add_json(&text, strings[i].value);
        ck_assert_str_eq(text.data, strings[i].json);
        text_free(&text);
    }
}
END_TEST

START_TEST(every_text_comes_back_through_json) {
    uint64_t state = 88172645463325252u;
    for (int round = 0; round < 2000; round++) {
        char value[64];
        size_t len = 0;
        while (len < 40) { /* characters of all lengths, but for NUL */
            static const char *const pieces[] = {
                "a", "\"", "\\", "\n", "\x01", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "/"};
            len += (size_t)sprintf(value + len, "%s", pieces[next_random(&state) % ARRAY_LEN(pieces)]);
        }
        struct text text;
        struct json_object object;
        text_init(&text, NULL, 0, 1000);
        text_add_string(&text, "{\"v\":");
        text_add_json(&text, slice_of(value));
        text_add_string(&text, "}");
        ck_assert_int_eq(json_parse((struct slice){text.data, text.len}, &object), JSON_OK);
        ck_assert_str_eq(object.members[0].string, value);
        json_free(&object);
        text_free(&text);
    }
}
END_TEST

Suite *text_suite(void);
Suite *text_suite(void) {
    Suite *suite = suite_create("text");
    TCase *cases = tcase_create("text");
    tcase_add_test(cases, a_text_begins_in_the_callers_buffer_and_moves_to_the_heap);
    tcase_add_test(cases, a_text_needs_no_buffer);
    tcase_add_test(cases, a_text_grows_to_its_limit_and_not_beyond);
    tcase_add_test(cases, an_append_fits_whole_or_changes_nothing);
    tcase_add_test(cases, printf_and_json_fit_whole_or_change_nothing_too);
    tcase_add_test(cases, printf_grows_the_text);
    tcase_add_test(cases, a_shortage_of_memory_is_a_failure);
    tcase_add_test(cases, integers_are_written_in_decimal);
    tcase_add_test(cases, json_strings_are_escaped);
    tcase_add_test(cases, every_text_comes_back_through_json);
    suite_add_tcase(suite, cases);
    return suite;
}
