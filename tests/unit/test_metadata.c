/* What counts as an answer of the metadata server. */
#include <check.h>
#include <stdio.h>

#include "cloud/metadata.h"
#include "exact.h"

static const char *read_exactly(const char *data, size_t len, struct token *token) {
    struct slice copy = exact_copy(data, len);
    const char *wrong = metadata_read(copy, token);
    exact_free(copy);
    return wrong;
}

static const char *read_body(const char *body, struct token *token) {
    char answer[20000];
    int len = snprintf(answer, sizeof answer,
                       "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nmetadata-flavor:  Google\r\n"
                       "content-length: %zu\r\n\r\n%s",
                       strlen(body), body);
    return read_exactly(answer, (size_t)len, token);
}

START_TEST(a_token_is_taken_with_its_lifetime) {
    struct token token;
    ck_assert_ptr_null(
        read_body("{\"access_token\":\"ya29.a-b_c\",\"expires_in\":3599,\"token_type\":\"Bearer\"}", &token));
    ck_assert_str_eq(token.text, "ya29.a-b_c");
    ck_assert_int_eq(token.lifetime_s, 3599);
}
END_TEST

START_TEST(what_is_no_token_is_refused) {
    static const char *const bodies[] = {
        "",
        "x",
        "[]",
        "{}",
        "{\"access_token\":\"a\"}",
        "{\"expires_in\":3599}",
        "{\"access_token\":1,\"expires_in\":3599}",
        "{\"access_token\":\"\",\"expires_in\":3599}",
        "{\"access_token\":\"a b\",\"expires_in\":3599}",
        "{\"access_token\":\"a\\n\",\"expires_in\":3599}",
        "{\"access_token\":\"\\u00e9\",\"expires_in\":3599}",
        "{\"access_token\":\"a\",\"expires_in\":\"3599\"}",
        "{\"access_token\":\"a\",\"expires_in\":0}",
        "{\"access_token\":\"a\",\"expires_in\":-1}",
        "{\"access_token\":\"a\",\"expires_in\":1.5}",
        "{\"access_token\":\"a\",\"expires_in\":86401}",
        "{\"access_token\":\"a\",\"expires_in\":99999999999}",
        "{\"access_token\":\"a\",\"access_token\":\"b\",\"expires_in\":1}",
    };
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        struct token token;
        ck_assert_msg(read_body(bodies[i], &token) != NULL, "%s", bodies[i]);
    }
}
END_TEST

START_TEST(a_token_has_a_longest_length) {
    char body[TOKEN_MAX + 100];
    for (int len = TOKEN_MAX; len <= TOKEN_MAX + 1; len++) {
        struct token token;
        snprintf(body, sizeof body, "{\"access_token\":\"%0*d\",\"expires_in\":1}", len, 0);
        ck_assert_int_eq(read_body(body, &token) == NULL, len == TOKEN_MAX);
    }
}
END_TEST

START_TEST(only_a_whole_answer_of_a_metadata_server_counts) {
    static const char good[] = "HTTP/1.1 200 OK\r\nMetadata-Flavor: Google\r\nContent-Length: 36\r\n\r\n"
                               "{\"access_token\":\"a\",\"expires_in\":60}";
    static const char *const answers[] = {
        "HTTP/1.1 403 Forbidden\r\nMetadata-Flavor: Google\r\nContent-Length: 36\r\n\r\n"
        "{\"access_token\":\"a\",\"expires_in\":60}",
        "HTTP/1.1 200 OK\r\nContent-Length: 36\r\n\r\n{\"access_token\":\"a\",\"expires_in\":60}",
        "HTTP/1.1 200 OK\r\nMetadata-Flavor: Other\r\nContent-Length: 36\r\n\r\n"
        "{\"access_token\":\"a\",\"expires_in\":60}",
        "HTTP/1.1 200 OK\r\nMetadata-Flavor: Google\r\n\r\n{\"access_token\":\"a\",\"expires_in\":60}",
        "HTTP/1.1 200 OK\r\nMetadata-Flavor: Google\r\nContent-Length: 37\r\n\r\n"
        "{\"access_token\":\"a\",\"expires_in\":60}",
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/1.1",
    };
    struct token token;
    ck_assert_ptr_null(read_exactly(good, sizeof good - 1, &token));
    for (size_t len = 0; len < sizeof good - 1; len++) {
        ck_assert_msg(read_exactly(good, len, &token) != NULL, "cut after %zu bytes", len);
    }
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        ck_assert_msg(read_exactly(answers[i], strlen(answers[i]), &token) != NULL, "%s", answers[i]);
    }
}
END_TEST

Suite *metadata_suite(void);
Suite *metadata_suite(void) {
    Suite *suite = suite_create("metadata");
    TCase *cases = tcase_create("metadata");
    tcase_add_test(cases, a_token_is_taken_with_its_lifetime);
    tcase_add_test(cases, what_is_no_token_is_refused);
    tcase_add_test(cases, a_token_has_a_longest_length);
    tcase_add_test(cases, only_a_whole_answer_of_a_metadata_server_counts);
    suite_add_tcase(suite, cases);
    return suite;
}
