/* Chunked bodies as a specification. */
#include <check.h>
#include <stdlib.h>

#include "http/chunked.h"

static char buffer[64];
static struct text out;

/* Decodes text in pieces of `piece` bytes. */
static enum chunked_result decode(const char *text, size_t len, size_t piece, size_t *used) {
    struct chunked chunked = {0};
    enum chunked_result result = CHUNKED_MORE;
    *used = 0;
    text_init(&out, buffer, sizeof buffer, 32);
    while (*used < len && result == CHUNKED_MORE) {
        size_t part = 0;
        result =
            chunked_decode(&chunked, text + *used, len - *used < piece ? len - *used : piece, &part, &out);
        *used += part;
    }
    return result;
}

static void yields(const char *text, const char *body, size_t rest) {
    for (size_t piece = 1; piece <= strlen(text); piece++) {
        size_t used = 0;
        ck_assert_msg(decode(text, strlen(text), piece, &used) == CHUNKED_DONE, "not done: %s", text);
        ck_assert_str_eq(out.data, body);
        ck_assert_uint_eq(used, strlen(text) - rest);
    }
}

START_TEST(chunks_are_joined) {
    yields("5\r\nhello\r\n0\r\n\r\n", "hello", 0);
    yields("1\r\nh\r\n4\r\nello\r\n00000000\r\n\r\n", "hello", 0);
    yields("A\r\n0123456789\r\nb\r\n01234567890\r\n0\r\n\r\n", "012345678901234567890", 0);
    yields("5\r\n\r\n\r\n0\r\n0\r\n\r\n", "\r\n\r\n0", 0);
}
END_TEST

START_TEST(what_follows_is_left_alone) {
    yields("5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n", "hello", 16);
}
END_TEST

START_TEST(extensions_and_trailers_are_dropped) {
    yields("5;a=b;c=\"d;e\"\r\nhello\r\n0;x\r\nX: y\r\nEmpty:\r\n\r\n", "hello", 0);
    yields("5 \t;a\r\nhello\r\n0\r\n\r\n", "hello", 0);
}
END_TEST

START_TEST(an_empty_body_is_one) {
    size_t used = 0;
    ck_assert_int_eq(decode("0\r\n\r\n", 5, 5, &used), CHUNKED_DONE);
    ck_assert_uint_eq(out.len, 0);
    ck_assert_uint_eq(used, 5);
}
END_TEST

START_TEST(all_else_is_refused) {
    static const char *const bad[] = {
        "\r\n",          ";a\r\n",          "g\r\n",
        "+5\r\n",        "-5\r\n",          "0x5\r\n",
        " 5\r\n",        "5 \r\n",          "5\t\r\n",
        "5 5\r\n",       "000000005\r\n",   "5\n",
        "5\rh",          "5;a\n",           "5;\x01\r\n",
        "5;a\rb",        "5\r\nhello0",     "5\r\nhello\n",
        "5\r\nhello\rx", "0\r\n\rx",        "0\r\n\n",
        "0\r\nX\r\n",    "0\r\nX : y\r\n",  "0\r\n: y\r\n",
        "0\r\n X: y",    "0\r\nX: \x7f",    "0\r\nX: y\n\r\n",
        "0\r\nX: y\rZ",  "0\r\nX: y\r\n Z", "5\r\nhello\r\n\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        for (size_t piece = 1; piece <= strlen(bad[i]); piece++) {
            size_t used = 0;
            ck_assert_msg(decode(bad[i], strlen(bad[i]), piece, &used) == CHUNKED_BAD, "not refused: %s",
                          bad[i]);
        }
    }
}
END_TEST

START_TEST(every_beginning_wants_more) {
    const char *text = "5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n";
    for (size_t len = 0; len < strlen(text); len++) {
        size_t used = 0;
        ck_assert_int_eq(decode(text, len, len + 1, &used), CHUNKED_MORE);
        ck_assert_uint_eq(used, len);
    }
}
END_TEST

START_TEST(the_body_is_bounded) {
    static const char *const large[] = {"21\r\n", "ffffffff\r\n", "FFFFFFFFF\r\n",
                                        "20\r\n01234567890123456789012345678901\r\n1\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(large); i++) {
        size_t used = 0;
        ck_assert_msg(decode(large[i], strlen(large[i]), 100, &used) == CHUNKED_TOO_LARGE, "accepted: %s",
                      large[i]);
    }
    yields("20\r\n01234567890123456789012345678901\r\n0\r\n\r\n", "01234567890123456789012345678901", 0);
}
END_TEST

START_TEST(extensions_and_trailers_are_bounded) {
    static char text[CHUNKED_EXTRA_BYTES_MAX + 100];
    static const char *const starts[] = {"5;", "5 ", "0\r\nX", "0\r\nX:"};
    for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
        size_t used = 0;
        memset(text, starts[i][1] == ' ' ? ' ' : 'a', sizeof text);
        memcpy(text, starts[i], strlen(starts[i]));
        ck_assert_int_eq(decode(text, CHUNKED_EXTRA_BYTES_MAX, 1000, &used), CHUNKED_MORE);
        ck_assert_int_eq(decode(text, sizeof text, 1000, &used), CHUNKED_BAD);
    }
}
END_TEST

START_TEST(without_memory_the_body_is_too_large) {
    struct chunked chunked = {0};
    size_t used = 0;
    text_init(&out, NULL, 0, 32);
    out.failed = true;
    ck_assert_int_eq(chunked_decode(&chunked, "1\r\na\r\n", 6, &used, &out), CHUNKED_TOO_LARGE);
}
END_TEST

Suite *http_chunked_suite(void);
Suite *http_chunked_suite(void) {
    Suite *suite = suite_create("http chunked");
    TCase *cases = tcase_create("chunked");
    tcase_add_test(cases, chunks_are_joined);
    tcase_add_test(cases, what_follows_is_left_alone);
    tcase_add_test(cases, extensions_and_trailers_are_dropped);
    tcase_add_test(cases, an_empty_body_is_one);
    tcase_add_test(cases, all_else_is_refused);
    tcase_add_test(cases, every_beginning_wants_more);
    tcase_add_test(cases, the_body_is_bounded);
    tcase_add_test(cases, extensions_and_trailers_are_bounded);
    tcase_add_test(cases, without_memory_the_body_is_too_large);
    suite_add_tcase(suite, cases);
    return suite;
}
