/* Request ids and trace contexts as a specification. */
#include <check.h>

#include "exact.h"
#include "obs/trace.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"
#define ZEROS "00000000000000000000000000000000"
#define GOOD "00-" TRACE "-" SPAN "-01"

static const struct slice none = {NULL, 0};

static struct slice copy_of(const char *text) {
    return text == NULL ? none : exact_copy(text, strlen(text));
}

static struct trace read_headers(const char *request_id, const char *traceparent, const char *cloud_trace) {
    struct slice one = copy_of(request_id), two = copy_of(traceparent), three = copy_of(cloud_trace);
    struct trace trace;
    memset(&trace, 0xff, sizeof trace);
    trace_read(one, two, three, &trace);
    exact_free(one);
    exact_free(two);
    exact_free(three);
    return trace;
}

static bool is_random_id(const char *id) {
    return strlen(id) == 32 && strspn(id, "0123456789abcdef") == 32 && strcmp(id, TRACE) != 0 &&
           strcmp(id, ZEROS) != 0;
}

START_TEST(without_headers_everything_is_made) {
    struct trace one = read_headers(NULL, NULL, NULL);
    struct trace other = read_headers(NULL, NULL, NULL);
    ck_assert(is_random_id(one.trace_id));
    ck_assert_str_eq(one.request_id, one.trace_id);
    ck_assert_str_eq(one.span_id, "");
    ck_assert(!one.sampled);
    ck_assert_str_ne(one.trace_id, other.trace_id);
}
END_TEST

START_TEST(a_traceparent_is_taken) {
    static const struct {
        const char *header;
        bool sampled;
    } headers[] = {{GOOD, true},
                   {"00-" TRACE "-" SPAN "-00", false},
                   {"00-" TRACE "-" SPAN "-02", false},
                   {"00-" TRACE "-" SPAN "-ff", true},
                   {"01-" TRACE "-" SPAN "-01", true},
                   {"cc-" TRACE "-" SPAN "-01-what-comes-later", true},
                   {"01-" TRACE "-" SPAN "-01-", true}};
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        struct trace trace = read_headers(NULL, headers[i].header, NULL);
        ck_assert_msg(strcmp(trace.trace_id, TRACE) == 0, "%s", headers[i].header);
        ck_assert_str_eq(trace.span_id, SPAN);
        ck_assert_int_eq(trace.sampled, headers[i].sampled);
        ck_assert_str_eq(trace.request_id, TRACE);
    }
}
END_TEST

START_TEST(a_malformed_traceparent_counts_as_absent) {
    static const char *const headers[] = {"",
                                          "00",
                                          "00-" TRACE "-" SPAN,
                                          "00-" TRACE "-" SPAN "-",
                                          "00-" TRACE "-" SPAN "-0",
                                          "00-" TRACE "-" SPAN "-01-",
                                          "00-" TRACE "-" SPAN "-01-x",
                                          "00-" TRACE "-" SPAN "-011",
                                          "01-" TRACE "-" SPAN "-01x",
                                          "ff-" TRACE "-" SPAN "-01",
                                          "FF-" TRACE "-" SPAN "-01",
                                          "0g-" TRACE "-" SPAN "-01",
                                          "00-" ZEROS "-" SPAN "-01",
                                          "00-" TRACE "-0000000000000000-01",
                                          "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01",
                                          "00-" TRACE "-00F067AA0BA902B7-01",
                                          "00-4bf92f3577b34da6a3ce929d0e0e473g-" SPAN "-01",
                                          "00-" TRACE "-" SPAN "-0g",
                                          "00-" TRACE "-" SPAN "-0A",
                                          "00_" TRACE "-" SPAN "-01",
                                          "00-" TRACE "_" SPAN "-01",
                                          "00-" TRACE "-" SPAN "_01",
                                          " " GOOD,
                                          GOOD " "};
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        struct trace trace = read_headers(NULL, headers[i], NULL);
        ck_assert_msg(is_random_id(trace.trace_id), "%s", headers[i]);
        ck_assert_str_eq(trace.span_id, "");
        ck_assert(!trace.sampled);
    }
}
END_TEST

START_TEST(googles_header_is_taken_where_there_is_no_good_traceparent) {
    static const struct {
        const char *header;
        const char *span;
        bool sampled;
    } headers[] = {{TRACE, "", false},
                   {TRACE "/0", "", false},
                   {TRACE "/1", "0000000000000001", false},
                   {TRACE "/67667974448284343;o=1", SPAN, true},
                   {TRACE "/67667974448284343;o=0", SPAN, false},
                   {TRACE "/18446744073709551615;o=1", "ffffffffffffffff", true},
                   {TRACE ";o=1", "", true},
                   {"4BF92F3577B34DA6A3CE929D0E0E4736/1;o=1", "0000000000000001", true}};
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        struct trace trace = read_headers(NULL, "00-" TRACE "-" SPAN, headers[i].header);
        ck_assert_msg(strcmp(trace.trace_id, TRACE) == 0, "%s", headers[i].header);
        ck_assert_str_eq(trace.span_id, headers[i].span);
        ck_assert_int_eq(trace.sampled, headers[i].sampled);
    }
    struct trace both = read_headers(NULL, GOOD, "00000000000000000000000000000001/5;o=0");
    ck_assert_str_eq(both.trace_id, TRACE);
    ck_assert_str_eq(both.span_id, SPAN);
    ck_assert(both.sampled);
}
END_TEST

START_TEST(a_malformed_google_header_counts_as_absent) {
    static const char *const headers[] = {"",
                                          "x",
                                          "4bf92f3577b34da6a3ce929d0e0e473",
                                          "4bf92f3577b34da6a3ce929d0e0e473g/1",
                                          ZEROS "/1;o=1",
                                          TRACE "0",
                                          TRACE "/",
                                          TRACE "/x",
                                          TRACE "/-1",
                                          TRACE "/1x",
                                          TRACE "/1;",
                                          TRACE "/1;o=",
                                          TRACE "/1;o=x",
                                          TRACE "/1;o=11",
                                          TRACE "/18446744073709551616",
                                          TRACE "/99999999999999999999999999"};
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        struct trace trace = read_headers(NULL, NULL, headers[i]);
        ck_assert_msg(is_random_id(trace.trace_id), "%s", headers[i]);
        ck_assert_str_eq(trace.span_id, "");
        ck_assert(!trace.sampled);
    }
}
END_TEST

START_TEST(a_request_id_is_taken_as_it_came_if_it_is_harmless) {
    static const char *const good[] = {"a", "Order-1042", "a.b_c~d:e/f+g=h-0", "AZaz09"};
    static const char *const bad[] = {"",      " ",           "a b", "a\"b", "a\nb",
                                      "a\x7f", "caf\xc3\xa9", "<a>", "a,b",  "a;b",
                                      "a%",    "{}",          "@",   "[",    "`"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct trace trace = read_headers(good[i], GOOD, NULL);
        ck_assert_str_eq(trace.request_id, good[i]);
        ck_assert_str_eq(trace.trace_id, TRACE);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        ck_assert_str_eq(read_headers(bad[i], GOOD, NULL).request_id, TRACE);
    }
    struct trace trace;
    trace_read((struct slice){"a\0b", 3}, slice_of(GOOD), none, &trace);
    ck_assert_str_eq(trace.request_id, TRACE);
}
END_TEST

START_TEST(a_request_id_has_at_most_128_characters) {
    char id[REQUEST_ID_MAX + 2];
    memset(id, 'x', sizeof id);
    id[REQUEST_ID_MAX + 1] = '\0';
    ck_assert_str_eq(read_headers(id, GOOD, NULL).request_id, TRACE);
    id[REQUEST_ID_MAX] = '\0';
    ck_assert_str_eq(read_headers(id, GOOD, NULL).request_id, id);
}
END_TEST

Suite *trace_suite(void);
Suite *trace_suite(void) {
    Suite *suite = suite_create("trace");
    TCase *cases = tcase_create("trace");
    tcase_add_test(cases, without_headers_everything_is_made);
    tcase_add_test(cases, a_traceparent_is_taken);
    tcase_add_test(cases, a_malformed_traceparent_counts_as_absent);
    tcase_add_test(cases, googles_header_is_taken_where_there_is_no_good_traceparent);
    tcase_add_test(cases, a_malformed_google_header_counts_as_absent);
    tcase_add_test(cases, a_request_id_is_taken_as_it_came_if_it_is_harmless);
    tcase_add_test(cases, a_request_id_has_at_most_128_characters);
    suite_add_tcase(suite, cases);
    return suite;
}
