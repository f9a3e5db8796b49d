/* Request heads as a specification: what RFC 9110 and 9112 allow, and nothing laxer. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "http/head.h"

static struct head head;
static struct problem problem;

static enum head_result parse(const char *text) {
    return head_parse(text, strlen(text), &head, &problem);
}

static void accept(const char *text) {
    ck_assert_msg(parse(text) == HEAD_ACCEPTED, "refused (%s): %s", problem.reason, text);
}

static void refuse(const char *text, enum problem_kind kind, const char *reason) {
    ck_assert_msg(parse(text) == HEAD_REFUSED, "not refused: %s", text);
    ck_assert_msg(problem.kind == kind, "%s instead of %s: %s", problem_slug(problem.kind),
                  problem_slug(kind), text);
    if (reason != NULL) {
        ck_assert_msg(problem.reason != NULL && strcmp(problem.reason, reason) == 0, "%s instead of %s: %s",
                      problem.reason, reason, text);
    }
}

/* The parser says HEAD_PARTIAL for every beginning of a head that it accepts, and looks at no byte behind the
 * end. */
static void accept_only_whole(const char *text) {
    size_t len = strlen(text);
    for (size_t cut = 0; cut < len; cut++) {
        char *exact = malloc(cut + 1); /* so that a sanitizer sees a read too far */
        ck_assert_ptr_nonnull(exact);
        memcpy(exact, text, cut);
        ck_assert_msg(head_parse(exact, cut, &head, &problem) == HEAD_PARTIAL, "cut at %zu: %s", cut, text);
        ck_assert_msg(!head_ready(text, cut, 0), "ready at %zu: %s", cut, text);
        free(exact);
    }
    ck_assert(head_ready(text, len, 0));
    accept(text);
    ck_assert_uint_eq(head.bytes, len);
}

static void is(struct slice slice, const char *expected) {
    ck_assert_msg(slice_equal(slice, slice_of(expected)), "%.*s instead of %s", (int)slice.len, slice.data,
                  expected);
}

START_TEST(a_head_is_read) {
    accept_only_whole(
        "POST /api/v1/payments?a=b&c HTTP/1.1\r\nHost: example.com:3000\r\ncontent-length: 12\r\n"
        "Content-Type:application/json\r\nIdempotency-Key: \t\"k 1\" \r\nAuthorization: Bearer x\r\n\r\n");
    ck_assert_int_eq(head.method, HTTP_POST);
    ck_assert_str_eq(head.method_name, "POST");
    is(head.path, "/api/v1/payments");
    is(head.query, "a=b&c");
    is(head.host, "example.com:3000");
    is(head.content_type, "application/json");
    is(head.idempotency_key, "\"k 1\"");
    is(head.authorization, "Bearer x");
    ck_assert_int_eq(head.content_length, 12);
    ck_assert(head.keep_alive && !head.chunked && !head.version_1_0);
    ck_assert_ptr_null(head.forwarded_for.data);
}
END_TEST

START_TEST(what_follows_the_head_is_not_part_of_it) {
    accept("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\n");
    ck_assert_uint_eq(head.bytes, strlen("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
}
END_TEST

START_TEST(one_empty_line_may_come_first) {
    accept_only_whole("\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n");
    refuse("\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", PROBLEM_MALFORMED_REQUEST, NULL);
}
END_TEST

START_TEST(methods_are_known_or_not) {
    static const char *const known[] = {"GET",    "POST",  "HEAD",  "OPTIONS", "PUT",
                                        "DELETE", "PATCH", "TRACE", "QUERY"};
    static const char *const unknown[] = {"get", "Get", "BREW",  "GETS",
                                          "GE",  "PRI", "G-E_T", "AAAAAAAAAAAAAAAAAAAAAAAA"};
    char text[100];
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        snprintf(text, sizeof text, "%s / HTTP/1.1\r\nHost: x\r\n\r\n", known[i]);
        accept(text);
        ck_assert(head.method_known);
        ck_assert_str_eq(head.method_name, known[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
        snprintf(text, sizeof text, "%s / HTTP/1.1\r\nHost: x\r\n\r\n", unknown[i]);
        accept(text);
        ck_assert(!head.method_known && head.method == 0);
        ck_assert_str_eq(head.method_name, "other");
    }
    accept("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n");
    ck_assert(!head.method_known);
}
END_TEST

START_TEST(request_lines_have_one_form) {
    static const char *const bad[] = {
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        " GET / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /\tHTTP/1.1",
        "GET / HTTP/1.",
        "GET / HTTP/1",
        "GET / HTTP/.1",
        "GET / HTTP/1,1",
        "GET / HTTP/1.10",
        "GET / http/1.1",
        "GET / HTTP/a.1",
        "GET / HTP/1.1",
        "GET /",
        "GET",
        "G(T / HTTP/1.1",
        "GET HTTP/1.1",
        "GET / HTTP/1.1 x",
        "AAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1",
        "/ HTTP/1.1",
        "",
        "GET / ",
        "GET / HTTP/1.1\t",
    };
    char text[100];
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        snprintf(text, sizeof text, "%s\r\nHost: x\r\n\r\n", bad[i]);
        ck_assert(head_ready(text, strlen(text), 0));
        refuse(text, PROBLEM_MALFORMED_REQUEST, NULL);
    }
}
END_TEST

START_TEST(versions_are_1_0_and_1_1) {
    accept("GET / HTTP/1.0\r\n\r\n");
    ck_assert(head.version_1_0 && !head.keep_alive);
    refuse("GET / HTTP/2.0\r\nHost: x\r\n\r\n", PROBLEM_HTTP_VERSION, NULL);
    refuse("GET / HTTP/1.2\r\nHost: x\r\n\r\n", PROBLEM_HTTP_VERSION, NULL);
    refuse("GET / HTTP/0.9\r\nHost: x\r\n\r\n", PROBLEM_HTTP_VERSION, NULL);
    refuse("GET / HTTP/9.9\r\nHost: x\r\n\r\n", PROBLEM_HTTP_VERSION, NULL);
}
END_TEST

START_TEST(targets_come_in_three_forms) {
    accept("GET http://example.com:80/a/b?c HTTP/1.1\r\nHost: y\r\n\r\n");
    is(head.path, "/a/b");
    is(head.query, "c");
    accept("GET https://[::1] HTTP/1.1\r\nHost: y\r\n\r\n");
    is(head.path, "/");
    ck_assert_ptr_null(head.query.data);
    accept("GET HTTP://a?q HTTP/1.1\r\nHost: y\r\n\r\n");
    is(head.path, "/");
    is(head.query, "q");
    accept("OPTIONS * HTTP/1.1\r\nHost: y\r\n\r\n");
    ck_assert(head.asterisk);
    accept("GET /a/../%2e//b;c? HTTP/1.1\r\nHost: y\r\n\r\n");
    is(head.path, "/a/../%2e//b;c");
    ck_assert_ptr_nonnull(head.query.data);
    ck_assert_uint_eq(head.query.len, 0);
}
END_TEST

START_TEST(other_targets_are_refused) {
    static const char *const bad[] = {
        "*",           "a",           "a/b",         "http:/a",     "http://",
        "http:///a",   "http://u@a/", "http://a:b/", "http://a b",  "ftp://a/",
        "/a#b",        "/\xc3\xa9",   "/a\x7f",      "?a",          "http://a:1234567/",
        "https://",    "https:///a",  "//a b",       "http://[::1", "http://[]/",
        "http://a,b/", "http://#",
    };
    char text[100];
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", bad[i]);
        refuse(text, PROBLEM_MALFORMED_REQUEST, NULL);
    }
    refuse("CONNECT /a HTTP/1.1\r\n\r\n", PROBLEM_MALFORMED_REQUEST, "missing_host");
    refuse("CONNECT a/b HTTP/1.1\r\nHost: x\r\n\r\n", PROBLEM_MALFORMED_REQUEST, "bad_target");
}
END_TEST

START_TEST(headers_have_one_form) {
    static const struct {
        const char *line;
        const char *reason;
    } bad[] = {
        {"X : y", "bad_header_name"},
        {"X\t: y", "bad_header_name"},
        {": y", "bad_header_name"},
        {"X Y: z", "bad_header_name"},
        {"X(: y", "bad_header_name"},
        {"X\"Y\": z", "bad_header_name"},
        {"X\xc3\xa9: y", "bad_header_name"},
        {"X", "bad_header"},
        {" X: y", "folded_header"},
        {"\tX: y", "folded_header"},
        {"X: a\n b", "bare_lf"},
        {"X: a\rb", "bare_cr"},
        {"X: \x01", "control_character"},
        {"X: \x7f", "control_character"},
        {"X: y\r", "bare_cr"},
        {"X: \x0b", "control_character"},
        {"X\x08: y", "control_character"},
    };
    char text[100];
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", bad[i].line);
        refuse(text, PROBLEM_MALFORMED_REQUEST, bad[i].reason);
        snprintf(text, sizeof text, "GET / HTTP/1.1\r\n%s\r\nHost: x\r\n\r\n", bad[i].line);
        refuse(text, PROBLEM_MALFORMED_REQUEST, bad[i].reason);
    }
    accept("GET / HTTP/1.1\r\nHost: x\r\nX:\r\nY: \xff\r\nZ:\ta\tb\t\r\n\r\n");
    ck_assert(head_parse("GET / HTTP/1.1\r\nHost: x\r\nX: \0\r\n\r\n", 32, &head, &problem) == HEAD_REFUSED);
}
END_TEST

START_TEST(what_can_never_be_a_head_is_ready_at_once) {
    static const char *const hopeless[] = {"\n",
                                           "\r\r",
                                           " ",
                                           "{",
                                           "\x16\x03",
                                           "GET\r",
                                           "GET\n",
                                           "GET /\n",
                                           "GET /\x01",
                                           "AAAAAAAAAAAAAAAAAAAAAAAAAA",
                                           "GET /\rx",
                                           "(",
                                           "GET / HTTP/1.1\r\nA\n"};
    static const char *const hopeful[] = {"",
                                          "\r",
                                          "\r\n",
                                          "G",
                                          "GET",
                                          "GET ",
                                          "\r\nGET /",
                                          "GET / HTTP/1.1\r",
                                          "GET / HTTP/1.1\r\nHost: x\r\n\r"};
    for (size_t i = 0; i < ARRAY_LEN(hopeless); i++) {
        ck_assert_msg(head_ready(hopeless[i], strlen(hopeless[i]), 0), "not ready: %s", hopeless[i]);
        ck_assert_msg(parse(hopeless[i]) == HEAD_REFUSED, "not refused: %s", hopeless[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(hopeful); i++) {
        ck_assert_msg(!head_ready(hopeful[i], strlen(hopeful[i]), 0), "ready: %s", hopeful[i]);
        ck_assert_msg(parse(hopeful[i]) == HEAD_PARTIAL, "not partial: %s", hopeful[i]);
    }
}
END_TEST

START_TEST(readiness_may_be_asked_byte_by_byte) {
    const char *text = "\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\nbody";
    size_t end = strlen(text) - 4;
    for (size_t len = 1; len < end; len++) {
        ck_assert(!head_ready(text, len, len - 1));
    }
    ck_assert(head_ready(text, end, end - 1));
}
END_TEST

START_TEST(hosts) {
    static const char *const good[] = {"a", "a.b-c_d", "127.0.0.1", "a:80", "a:", "[::1]", "[::1]:3000", "~"};
    static const char *const bad[] = {"",      "a b", "a,b",    "a/b",   "u@a", "a:b", "a:123456", "[::1",
                                      "::1",   "[]",  "[x]",    "a:1:2", "a?",  "a#",  "a\\b",     "\xc3\xa9",
                                      "a%20b", ":80", "[::1]x", "\"a\"", "<a>", "a&b"};
    char text[100];
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", good[i]);
        accept(text);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", bad[i]);
        refuse(text, PROBLEM_MALFORMED_REQUEST, "bad_host");
    }
    refuse("GET / HTTP/1.1\r\nX: y\r\n\r\n", PROBLEM_MALFORMED_REQUEST, "missing_host");
    refuse("GET http://a/ HTTP/1.1\r\nX: y\r\n\r\n", PROBLEM_MALFORMED_REQUEST, "missing_host");
    refuse("GET / HTTP/1.0\r\nHost: a/b\r\n\r\n", PROBLEM_MALFORMED_REQUEST, "bad_host");
}
END_TEST

START_TEST(lengths_are_plain_numbers) {
    static const struct {
        const char *value;
        int64_t length;
    } good[] = {{"0", 0}, {"5", 5}, {"0005", 5}, {"65536", 65536}, {"9223372036854775807", INT64_MAX / 10}};
    static const char *const bad[] = {"",    "+5",   "-5",  "5abc",  "0x5", "5 5",
                                      "5,5", "5, 5", "5.0", "\"5\"", "1e3", "\xd9\xa5"};
    char text[100];
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        snprintf(text, sizeof text, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %s \r\n\r\n",
                 good[i].value);
        accept(text);
        ck_assert_int_ge(head.content_length, good[i].length);
        ck_assert(good[i].length > 65536 || head.content_length == good[i].length);
    }
    accept("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999999999999999999999\r\n\r\n");
    ck_assert_int_gt(head.content_length, (int64_t)1 << 40);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        snprintf(text, sizeof text, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %s\r\n\r\n", bad[i]);
        refuse(text, PROBLEM_MALFORMED_REQUEST, "bad_content_length");
    }
    accept("POST / HTTP/1.1\r\nHost: x\r\n\r\n");
    ck_assert_int_eq(head.content_length, -1);
}
END_TEST

START_TEST(the_only_transfer_coding_is_chunked) {
    static const struct {
        const char *value;
        enum problem_kind kind;
    } cases[] = {
        {"chunked", PROBLEM_NONE},
        {"CHUNKED", PROBLEM_NONE},
        {"", PROBLEM_MALFORMED_REQUEST},
        {"identity", PROBLEM_MALFORMED_REQUEST},
        {"xchunked", PROBLEM_MALFORMED_REQUEST},
        {"chunkedx", PROBLEM_MALFORMED_REQUEST},
        {"chunked;a=b", PROBLEM_MALFORMED_REQUEST},
        {"\"chunked\"", PROBLEM_MALFORMED_REQUEST},
        {"chunked, chunked", PROBLEM_MALFORMED_REQUEST},
        {"chunked, gzip", PROBLEM_MALFORMED_REQUEST},
        {"chunked,", PROBLEM_MALFORMED_REQUEST},
        {"gzip, chunked", PROBLEM_METHOD_UNKNOWN},
        {", chunked", PROBLEM_METHOD_UNKNOWN},
    };
    char text[120];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        snprintf(text, sizeof text, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: %s\r\n\r\n",
                 cases[i].value);
        if (cases[i].kind == PROBLEM_NONE) {
            accept(text);
            ck_assert(head.chunked && head.content_length == -1);
        } else {
            refuse(text, cases[i].kind, NULL);
        }
    }
    refuse("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", PROBLEM_MALFORMED_REQUEST,
           "bad_transfer_encoding");
    refuse("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
           PROBLEM_MALFORMED_REQUEST, "two_lengths");
    refuse("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
           PROBLEM_MALFORMED_REQUEST, "two_lengths");
}
END_TEST

START_TEST(what_must_stand_once_stands_once) {
    static const char *const single[] = {
        "Host: x",         "Content-Length: 0",   "Transfer-Encoding: chunked", "Expect: x",
        "Content-Type: x", "Content-Encoding: x", "Idempotency-Key: x",         "Authorization: x"};
    static const char *const many[] = {"X-Request-Id: x", "traceparent: x", "Accept: x",
                                       "X-Cloud-Trace-Context: x"};
    char text[200];
    for (size_t i = 0; i < ARRAY_LEN(single); i++) {
        snprintf(text, sizeof text, "POST / HTTP/1.1\r\n%s\r\n%s\r\n\r\n", single[i], single[i]);
        refuse(text, PROBLEM_MALFORMED_REQUEST, "duplicate_header");
    }
    for (size_t i = 0; i < ARRAY_LEN(many); i++) {
        snprintf(text, sizeof text, "POST / HTTP/1.1\r\nHost: x\r\n%s1\r\n%s2\r\n\r\n", many[i], many[i]);
        accept(text);
    }
    accept("GET / HTTP/1.1\r\nHost: x\r\nx-request-id: first\r\nX-Request-ID: second\r\n\r\n");
    is(head.request_id, "first");
}
END_TEST

START_TEST(several_forwarded_lines_are_one_list) {
    accept("GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.1.1.1\r\nA: b\r\nX-Forwarded-For: 2.2.2.2, "
           "3.3.3.3\r\n"
           "x-forwarded-for: 4.4.4.4\r\n\r\n");
    is(head.forwarded_for, "1.1.1.1, 2.2.2.2, 3.3.3.3, 4.4.4.4");
}
END_TEST

START_TEST(a_long_forwarded_list_loses_its_left_end) {
    char text[4000] = "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: ";
    size_t start = strlen(text);
    for (size_t spare = 0; spare < 6; spare++) { /* all ways in which the joint can meet the limit */
        memset(text + start, 'a', 600);
        snprintf(text + start + 600, 1000, "\r\nX-Forwarded-For: %.*s9.9.9.9\r\n\r\n",
                 (int)(HEAD_FORWARDED_MAX - 10 + spare),
                 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
                 "bbbbbbbbbbbbbbbbbbbbbbbb"
                 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
                 "bbbbbbbbbbbbbbbbbbbbbbbb"
                 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
                 "bbbbbbbbbbbbbbbbbbbbbbbb"
                 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
                 "bbbbbbbbbbbbbbbbbbbbbbbb"
                 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
                 "bbbbbbbbbbbbbbbbbbbbbbbb");
        accept(text);
        ck_assert_uint_le(head.forwarded_for.len, HEAD_FORWARDED_MAX);
        ck_assert_uint_ge(head.forwarded_for.len, HEAD_FORWARDED_MAX - 2);
        ck_assert(memcmp(head.forwarded_for.data + head.forwarded_for.len - 7, "9.9.9.9", 7) == 0);
    }
}
END_TEST

START_TEST(the_connection_header_is_a_list_and_close_wins) {
    static const struct {
        const char *head;
        bool keep_alive;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", true},
        {"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: x\r\nConnection: a, CLOSE ,b\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: x\r\nConnection: closed,,\r\n\r\n", true},
        {"GET / HTTP/1.0\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true},
        {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        accept(cases[i].head);
        ck_assert_msg(head.keep_alive == cases[i].keep_alive, "%s", cases[i].head);
    }
}
END_TEST

START_TEST(expectations) {
    accept("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\n\r\n");
    ck_assert(head.expects_continue && !head.expects_other);
    accept("POST / HTTP/1.1\r\nHost: x\r\nExpect: 200-ok\r\n\r\n");
    ck_assert(!head.expects_continue && head.expects_other);
    accept("POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n");
    ck_assert(!head.expects_continue && !head.expects_other);
}
END_TEST

START_TEST(sizes_are_bounded) {
    static char text[HTTP_HEAD_BYTES_MAX + 100];
    const char *start = "GET / HTTP/1.1\r\nHost: x\r\nX: ";
    size_t start_len = strlen(start);
    for (int extra = -1; extra <= 1; extra++) { /* exactly the limit is fine */
        size_t len = (size_t)(HTTP_HEAD_BYTES_MAX + extra);
        memset(text, 'a', sizeof text);
        memcpy(text, start, start_len);
        memcpy(text + len - 4, "\r\n\r\n", 4);
        ck_assert(head_ready(text, len, 0));
        ck_assert_int_eq(head_parse(text, len, &head, &problem), extra <= 0 ? HEAD_ACCEPTED : HEAD_REFUSED);
    }
    ck_assert_int_eq(problem.kind, PROBLEM_HEADERS_TOO_LARGE);
    memset(text, 'a', sizeof text);
    memcpy(text, "GET /", 5);
    ck_assert(head_ready(text, sizeof text, 0));
    ck_assert_int_eq(head_parse(text, sizeof text, &head, &problem), HEAD_REFUSED);
    ck_assert_int_eq(problem.kind, PROBLEM_URI_TOO_LONG);
}
END_TEST

START_TEST(targets_are_bounded) {
    static char text[HTTP_TARGET_BYTES_MAX + 100];
    for (int extra = 0; extra <= 1; extra++) {
        snprintf(text, sizeof text, "GET /%0*d HTTP/1.1\r\nHost: x\r\n\r\n",
                 HTTP_TARGET_BYTES_MAX - 1 + extra, 0);
        ck_assert_int_eq(parse(text), extra == 0 ? HEAD_ACCEPTED : HEAD_REFUSED);
    }
    ck_assert_int_eq(problem.kind, PROBLEM_URI_TOO_LONG);
}
END_TEST

START_TEST(headers_are_counted) {
    for (int count = HTTP_HEADERS_MAX; count <= HTTP_HEADERS_MAX + 1; count++) {
        char text[2000] = "GET / HTTP/1.1\r\nHost: x\r\n";
        for (int i = 1; i < count; i++) {
            strcat(text, "X: y\r\n");
        }
        strcat(text, "\r\n");
        ck_assert_int_eq(parse(text), count == HTTP_HEADERS_MAX ? HEAD_ACCEPTED : HEAD_REFUSED);
    }
    ck_assert_int_eq(problem.kind, PROBLEM_HEADERS_TOO_LARGE);
}
END_TEST

START_TEST(json_has_one_media_type) {
    static const char *const good[] = {"application/json",
                                       "APPLICATION/Json",
                                       "application/json;charset=utf-8",
                                       "application/json ; Charset=\"UTF-8\"",
                                       "application/json;",
                                       "application/json; ;"};
    static const char *const bad[] = {"",
                                      "application/jsonx",
                                      "application/json; charset=latin1",
                                      "text/json",
                                      "application/json;charset",
                                      "application/json;charset=",
                                      "application/json, x",
                                      "application/json; charset=utf-8; a=b",
                                      ";charset=utf-8",
                                      "application / json",
                                      "application/json charset=utf-8",
                                      "application/json;charset=utf-8\"",
                                      "*/*"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        ck_assert_msg(head_media_is_json(slice_of(good[i])), "refused: %s", good[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        ck_assert_msg(!head_media_is_json(slice_of(bad[i])), "accepted: %s", bad[i]);
    }
    ck_assert(!head_media_is_json((struct slice){NULL, 0}));
}
END_TEST

Suite *http_head_suite(void);
Suite *http_head_suite(void) {
    Suite *suite = suite_create("http head");
    TCase *cases = tcase_create("head");
    tcase_add_test(cases, a_head_is_read);
    tcase_add_test(cases, what_follows_the_head_is_not_part_of_it);
    tcase_add_test(cases, one_empty_line_may_come_first);
    tcase_add_test(cases, methods_are_known_or_not);
    tcase_add_test(cases, request_lines_have_one_form);
    tcase_add_test(cases, versions_are_1_0_and_1_1);
    tcase_add_test(cases, targets_come_in_three_forms);
    tcase_add_test(cases, other_targets_are_refused);
    tcase_add_test(cases, headers_have_one_form);
    tcase_add_test(cases, what_can_never_be_a_head_is_ready_at_once);
    tcase_add_test(cases, readiness_may_be_asked_byte_by_byte);
    tcase_add_test(cases, hosts);
    tcase_add_test(cases, lengths_are_plain_numbers);
    tcase_add_test(cases, the_only_transfer_coding_is_chunked);
    tcase_add_test(cases, what_must_stand_once_stands_once);
    tcase_add_test(cases, several_forwarded_lines_are_one_list);
    tcase_add_test(cases, a_long_forwarded_list_loses_its_left_end);
    tcase_add_test(cases, the_connection_header_is_a_list_and_close_wins);
    tcase_add_test(cases, expectations);
    tcase_add_test(cases, sizes_are_bounded);
    tcase_add_test(cases, targets_are_bounded);
    tcase_add_test(cases, headers_are_counted);
    tcase_add_test(cases, json_has_one_media_type);
    suite_add_tcase(suite, cases);
    return suite;
}
