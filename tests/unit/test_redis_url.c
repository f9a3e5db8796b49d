/* REDIS_URL as a specification. */
#include <check.h>

#include "core/redis_url.h"

START_TEST(urls_are_taken_apart) {
    static const struct {
        const char *text;
        struct redis_url url;
    } good[] = {
        {"redis://cache", {.host = "cache", .port = 6379}},
        {"redis://cache/", {.host = "cache", .port = 6379}},
        {"rediss://cache.example:6380/3",
         {.tls = true, .host = "cache.example", .port = 6380, .database = 3}},
        {"redis://:p@10.0.0.1:1", {.host = "10.0.0.1", .port = 1, .password = "p"}},
        {"redis://ann:b%3a%40%2F@[fd00::1]:65535/15",
         {.host = "fd00::1", .port = 65535, .user = "ann", .password = "b:@/", .database = 15}},
        {"redis://[::1]", {.host = "::1", .port = 6379}},
        {"redis://u:a@b:c@h", {.host = "h", .port = 6379, .user = "u", .password = "a@b:c"}},
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct redis_url url;
        const struct redis_url *want = &good[i].url;
        const char *wrong = redis_url_parse(good[i].text, &url);
        ck_assert_msg(wrong == NULL, "%s: %s", good[i].text, wrong);
        ck_assert_int_eq(url.tls, want->tls);
        ck_assert_str_eq(url.host, want->host);
        ck_assert_int_eq(url.port, want->port);
        ck_assert_str_eq(url.user, want->user);
        ck_assert_str_eq(url.password, want->password);
        ck_assert_int_eq(url.database, want->database);
    }
}
END_TEST

START_TEST(what_is_no_url_is_refused_without_being_repeated) {
    static const char *const bad[] = {
        "",
        "cache:6379",
        "http://cache",
        "redis://",
        "redis://:6379",
        "redis://:secret@",
        "redis://secret@host:0",
        "redis://:secret@host:65536",
        "redis://:secret@host:12x",
        "redis://:secret@host:",
        "redis://:secret@host/x",
        "redis://:secret@host/123456",
        "redis://:secret%@host",
        "redis://:secret%4@host",
        "redis://:secret%00@host",
        "redis://:secret%zz@host",
        "redis://:secret@[::1",
        "redis://:secret@[::1]6379",
        "redis://:secret@[]:6379",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct redis_url url;
        const char *wrong = redis_url_parse(bad[i], &url);
        ck_assert_msg(wrong != NULL, "%s", bad[i]);
        ck_assert_ptr_null(strstr(wrong, "secret"));
    }
}
END_TEST

START_TEST(what_is_too_long_is_refused) {
    char text[2000];
    struct redis_url url;
    const struct {
        const char *before, *after;
        size_t fits;
    } parts[] = {{"redis://", "", 255}, {"redis://:", "@h", 511}, {"redis://", ":p@h", 127}};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        for (size_t len = parts[i].fits; len <= parts[i].fits + 1; len++) {
            size_t before = strlen(parts[i].before);
            memcpy(text, parts[i].before, before);
            memset(text + before, 'a', len);
            strcpy(text + before + len, parts[i].after);
            ck_assert_int_eq(redis_url_parse(text, &url) == NULL, len == parts[i].fits);
        }
    }
}
END_TEST

Suite *redis_url_suite(void);
Suite *redis_url_suite(void) {
    Suite *suite = suite_create("redis url");
    TCase *cases = tcase_create("url");
    tcase_add_test(cases, urls_are_taken_apart);
    tcase_add_test(cases, what_is_no_url_is_refused_without_being_repeated);
    tcase_add_test(cases, what_is_too_long_is_refused);
    suite_add_tcase(suite, cases);
    return suite;
}
