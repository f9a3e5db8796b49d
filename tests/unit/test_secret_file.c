/* Secrets that come from files, as a specification. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "settings.h"

static char path[] = "/tmp/payflow-secret-XXXXXX";
static struct settings settings;
static struct text errors;

static void write_file(const char *content, size_t len) {
    snprintf(path, sizeof path, "/tmp/payflow-secret-XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, content, len), (ssize_t)len);
    close(fd);
}

static void setup(void) {
    text_init(&errors, NULL, 0, 65536);
    unsetenv("DB_PASSWORD");
    unsetenv("REDIS_URL");
    setenv("DB_PASSWORD_FILE", path, 1);
}

static void teardown(void) {
    text_free(&errors);
    unlink(path);
    unsetenv("DB_PASSWORD_FILE");
    unsetenv("REDIS_URL_FILE");
}

static bool read_with_file(const char *content, size_t len) {
    write_file(content, len);
    setenv("DB_PASSWORD_FILE", path, 1);
    return settings_read(&settings, &errors);
}

START_TEST(a_secret_is_read_from_its_file_without_the_line_end) {
    ck_assert(read_with_file("p4ss word\n", 10));
    ck_assert_str_eq(settings.db_password, "p4ss word");
}
END_TEST

START_TEST(two_secrets_have_two_files) {
    char first[sizeof path];
    write_file("redis://:x@redis:6379", 21);
    memcpy(first, path, sizeof first);
    setenv("REDIS_URL_FILE", first, 1);
    ck_assert(read_with_file("one", 3));
    ck_assert_str_eq(settings.db_password, "one");
    ck_assert_str_eq(settings.redis_url, "redis://:x@redis:6379");
    unlink(first);
}
END_TEST

START_TEST(the_variable_itself_wins) {
    setenv("DB_PASSWORD", "here", 1);
    ck_assert(read_with_file("there", 5));
    ck_assert_str_eq(settings.db_password, "here");
}
END_TEST

START_TEST(a_missing_an_empty_and_a_long_file_are_refused_by_name) {
    char long_one[5000];
    memset(long_one, 'x', sizeof long_one);
    static const struct {
        const char *content;
        size_t len;
    } bad[] = {{"", 0}, {"\n", 1}, {"a\nb", 3}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        ck_assert(!read_with_file(bad[i].content, bad[i].len));
        unlink(path);
    }
    ck_assert(!read_with_file(long_one, sizeof long_one));
    unlink(path);
    ck_assert(!settings_read(&settings, &errors));
    ck_assert_ptr_nonnull(strstr(errors.data, "DB_PASSWORD_FILE: "));
    ck_assert_ptr_null(strstr(errors.data, "xxxx"));
}
END_TEST

START_TEST(what_is_no_secret_has_no_file) {
    ck_assert(read_with_file("x", 1));
    setenv("DB_HOST_FILE", path, 1);
    ck_assert(settings_read(&settings, &errors));
    ck_assert_str_eq(settings.db_host, "");
    unsetenv("DB_HOST_FILE");
}
END_TEST

Suite *secret_file_suite(void);
Suite *secret_file_suite(void) {
    Suite *suite = suite_create("secret_file");
    TCase *cases = tcase_create("secret_file");
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, a_secret_is_read_from_its_file_without_the_line_end);
    tcase_add_test(cases, two_secrets_have_two_files);
    tcase_add_test(cases, the_variable_itself_wins);
    tcase_add_test(cases, a_missing_an_empty_and_a_long_file_are_refused_by_name);
    tcase_add_test(cases, what_is_no_secret_has_no_file);
    suite_add_tcase(suite, cases);
    return suite;
}
