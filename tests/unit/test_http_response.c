/* Answers on the wire, and the census of addresses. */
#include <arpa/inet.h>
#include <check.h>

#include "http/census.h"
#include "http/http.h"
#include "http/response.h"

static char buffer[1024];
static char headers_buffer[64];
static char body_buffer[512];

static const char *head_of(const struct reply *reply) {
    static struct text out;
    text_init(&out, buffer, sizeof buffer, sizeof buffer - 1);
    response_head(reply, &out);
    return out.data;
}

static struct reply reply_of(int status) {
    return (struct reply){
        .status = status, .content_type = "a/b", .body_bytes = 7, .request_id = "r", .date = "D"};
}

START_TEST(a_head_says_it_all) {
    struct reply reply = reply_of(201);
    reply.headers = slice_of("Location: /x\r\n");
    ck_assert_str_eq(head_of(&reply),
                     "HTTP/1.1 201 Created\r\nDate: D\r\nContent-Type: a/b\r\nContent-Length: 7\r\n"
                     "X-Request-Id: r\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n"
                     "Location: /x\r\n\r\n");
}
END_TEST

START_TEST(no_content_has_neither_type_nor_length) {
    struct reply reply = reply_of(204);
    const char *head = head_of(&reply);
    ck_assert_ptr_null(strstr(head, "Content-Type:"));
    ck_assert_ptr_null(strstr(head, "Content-Length"));
}
END_TEST

START_TEST(connections_end_or_are_confirmed) {
    struct reply reply = reply_of(200);
    ck_assert_ptr_null(strstr(head_of(&reply), "Connection"));
    reply.keep_alive = true;
    ck_assert_ptr_nonnull(strstr(head_of(&reply), "\r\nConnection: keep-alive\r\n"));
    reply.close = true;
    ck_assert_ptr_nonnull(strstr(head_of(&reply), "\r\nConnection: close\r\n"));
    ck_assert_ptr_null(strstr(head_of(&reply), "keep-alive"));
}
END_TEST

START_TEST(a_handler_may_allow_caching) {
    struct reply reply = reply_of(200);
    reply.headers = slice_of("cache-control: max-age=60\r\n");
    ck_assert_ptr_null(strstr(head_of(&reply), "no-store"));
}
END_TEST

START_TEST(an_unknown_status_has_no_phrase) {
    struct reply reply = reply_of(299);
    ck_assert(strncmp(head_of(&reply), "HTTP/1.1 299 \r\n", 15) == 0);
}
END_TEST

START_TEST(headers_are_found_by_name) {
    struct slice headers = slice_of("A: Retry-After: 1\r\nretry-AFTER: 2\r\nB:\r\n");
    ck_assert(response_has(headers, "Retry-After"));
    ck_assert(response_has(headers, "a") && response_has(headers, "B"));
    ck_assert(!response_has(headers, "Retry") && !response_has(headers, "After") &&
              !response_has(headers, "1"));
    ck_assert(!response_has((struct slice){NULL, 0}, "A"));
}
END_TEST

START_TEST(dates_are_written_as_the_rfc_wants) {
    char date[RESPONSE_DATE_SIZE];
    response_date(784111777, date);
    ck_assert_str_eq(date, "Sun, 06 Nov 1994 08:49:37 GMT");
    response_date(0, date);
    ck_assert_str_eq(date, "Thu, 01 Jan 1970 00:00:00 GMT");
    response_date(951782400, date);
    ck_assert_str_eq(date, "Tue, 29 Feb 2000 00:00:00 GMT");
}
END_TEST

static struct http_response response;

static void start(void) {
    response = (struct http_response){0};
    text_init(&response.headers, headers_buffer, sizeof headers_buffer, 1000);
    text_init(&response.body, body_buffer, sizeof body_buffer, 4000);
}

START_TEST(a_header_cannot_split_the_response) {
    start();
    http_header(&response, "A", "b");
    http_header(&response, "X", "y\r\nEvil: z");
    http_header(&response, "X", "y\n");
    http_header(&response, "X", "\r");
    ck_assert_str_eq(response.headers.data, "A: b\r\n");
    text_free(&response.headers);
}
END_TEST

START_TEST(a_problem_is_a_whole_answer) {
    static const struct http_request request = {.trace.request_id = "r-1"};
    struct problem problem;
    start();
    text_add_string(&response.body, "half a list");
    problem_set(&problem, PROBLEM_OVERLOADED, NULL, "queue_full", "Later.");
    http_problem(&request, &response, &problem);
    ck_assert_int_eq(response.status, 503);
    ck_assert_str_eq(response.content_type, "application/problem+json");
    ck_assert_str_eq(response.problem, "overloaded");
    ck_assert_str_eq(response.headers.data, "Retry-After: 1\r\n");
    ck_assert_ptr_nonnull(strstr(response.body.data, "\"request_id\":\"r-1\""));
    ck_assert_ptr_null(strstr(response.body.data, "half"));
}
END_TEST

START_TEST(retry_after_stands_where_trying_again_helps) {
    static const struct http_request request = {0};
    static const enum problem_kind later[] = {PROBLEM_IN_FLIGHT, PROBLEM_RATE_LIMITED, PROBLEM_OVERLOADED,
                                              PROBLEM_UNAVAILABLE, PROBLEM_OUTCOME_UNKNOWN};
    static const enum problem_kind never[] = {PROBLEM_ILLEGAL_STATE, PROBLEM_NOT_FOUND, PROBLEM_INTERNAL,
                                              PROBLEM_KEY_REUSED, PROBLEM_UNAUTHENTICATED};
    struct problem problem;
    for (size_t i = 0; i < ARRAY_LEN(later) + ARRAY_LEN(never); i++) {
        bool expected = i < ARRAY_LEN(later);
        start();
        problem_set(&problem, expected ? later[i] : never[i - ARRAY_LEN(later)], NULL, NULL, "x");
        http_problem(&request, &response, &problem);
        ck_assert_int_eq(
            response_has((struct slice){response.headers.data, response.headers.len}, "Retry-After"),
            expected);
    }
    ck_assert_str_eq(response.headers.data, "WWW-Authenticate: Bearer\r\n");
    start();
    http_header(&response, "Retry-After", "30");
    problem_set(&problem, PROBLEM_RATE_LIMITED, NULL, NULL, "x");
    http_problem(&request, &response, &problem);
    ck_assert_str_eq(response.headers.data, "Retry-After: 30\r\n");
}
END_TEST

static struct sockaddr_storage address(const char *text) {
    struct sockaddr_storage storage = {0};
    struct sockaddr_in *four = (struct sockaddr_in *)(void *)&storage;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)(void *)&storage;
    if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
    } else {
        ck_assert_int_eq(inet_pton(AF_INET6, text, &six->sin6_addr), 1);
        six->sin6_family = AF_INET6;
    }
    return storage;
}

static bool enter(struct census *census, const char *text, uint32_t *bucket) {
    struct sockaddr_storage from = address(text);
    return census_enter(census, &from, bucket);
}

START_TEST(each_address_has_its_own_cap) {
    struct census *census = census_new(2);
    uint32_t first = 0;
    uint32_t other = 0;
    ck_assert(enter(census, "10.0.0.1", &first) && enter(census, "::ffff:10.0.0.1", &other));
    ck_assert_uint_eq(first, other);
    ck_assert(!enter(census, "10.0.0.1", &other));
    ck_assert(enter(census, "10.0.0.2", &other));
    census_leave(census, first);
    ck_assert(enter(census, "10.0.0.1", &first));
    ck_assert(enter(census, "2001:db8::1", &other) && enter(census, "2001:db8::ffff:2", &other));
    ck_assert(!enter(census, "2001:db8::3", &other));
    ck_assert(enter(census, "2001:db8:0:1::3", &other));
    census_free(census);
}
END_TEST

START_TEST(addresses_are_named_in_numbers) {
    static const char *const names[][2] = {
        {"10.0.0.1", "10.0.0.1"}, {"::ffff:10.0.0.1", "10.0.0.1"}, {"2001:db8::1", "2001:db8::1"}};
    char name[INET6_ADDRSTRLEN];
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct sockaddr_storage from = address(names[i][0]);
        census_name(&from, name);
        ck_assert_str_eq(name, names[i][1]);
    }
}
END_TEST

Suite *http_response_suite(void);
Suite *http_response_suite(void) {
    Suite *suite = suite_create("http response");
    TCase *cases = tcase_create("response");
    tcase_add_test(cases, a_head_says_it_all);
    tcase_add_test(cases, no_content_has_neither_type_nor_length);
    tcase_add_test(cases, connections_end_or_are_confirmed);
    tcase_add_test(cases, a_handler_may_allow_caching);
    tcase_add_test(cases, an_unknown_status_has_no_phrase);
    tcase_add_test(cases, headers_are_found_by_name);
    tcase_add_test(cases, dates_are_written_as_the_rfc_wants);
    tcase_add_test(cases, a_header_cannot_split_the_response);
    tcase_add_test(cases, a_problem_is_a_whole_answer);
    tcase_add_test(cases, retry_after_stands_where_trying_again_helps);
    tcase_add_test(cases, each_address_has_its_own_cap);
    tcase_add_test(cases, addresses_are_named_in_numbers);
    suite_add_tcase(suite, cases);
    return suite;
}
