/* Fingerprints and idempotency keys as a specification. */
#include <check.h>
#include <stdio.h>

#include "core/fingerprint.h"
#include "exact.h"

static void to_hex(const uint8_t bytes[FINGERPRINT_BYTES], char out[2 * FINGERPRINT_BYTES + 1]) {
    for (size_t i = 0; i < FINGERPRINT_BYTES; i++) {
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    }
}

/* FIPS 180-4's own examples. */
START_TEST(the_hash_is_sha_256) {
    static const char *const known[][2] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"}};
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        uint8_t hash[FINGERPRINT_BYTES];
        char hex[2 * FINGERPRINT_BYTES + 1];
        fingerprint_sha256(slice_of(known[i][0]), hash);
        to_hex(hash, hex);
        ck_assert_str_eq(hex, known[i][1]);
    }
}
END_TEST

/* Stored with every key: another value for the same request would refuse every retry over a deployment. */
START_TEST(a_fingerprint_never_changes_between_versions) {
    const struct slice fields[] = {slice_of("4990"), slice_of("EUR"), {NULL, 0}, slice_of("")};
    uint8_t hash[FINGERPRINT_BYTES];
    char hex[2 * FINGERPRINT_BYTES + 1];
    fingerprint_make(fields, ARRAY_LEN(fields), hash);
    to_hex(hash, hex);
    ck_assert_str_eq(hex, "2bee3852eff20485ac55a5b7cb7420df2cace7d0124b8e002ba81e102b581800");
}
END_TEST

START_TEST(no_two_lists_of_fields_share_a_fingerprint) {
    const struct slice none = {NULL, 0};
    const struct {
        struct slice fields[3];
        size_t count;
    } lists[] = {
        {{slice_of("ab"), slice_of("c")}, 2},
        {{slice_of("a"), slice_of("bc")}, 2}, /* the boundary moved */
        {{slice_of("abc"), slice_of("")}, 2},
        {{slice_of(""), slice_of("abc")}, 2},
        {{slice_of("abc"), none}, 2}, /* absent is not empty */
        {{none, slice_of("abc")}, 2},
        {{slice_of("abc")}, 1},
        {{slice_of("abc"), slice_of(""), slice_of("")}, 3},
        {{slice_of("abc"), none, none}, 3},
        {{slice_of("c"), slice_of("ab")}, 2}, /* the order counts */
        {{slice_of("")}, 1},
        {{none}, 1},
        {{none}, 0},
        /* text that looks like the mark and the length of a field */
        {{(struct slice){"a\1\0\0\0\0\0\0\0\2bc", 12}}, 1},
        {{(struct slice){"a\0\0\0\0\0\0\0\0\0", 10}}, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        uint8_t one[FINGERPRINT_BYTES], again[FINGERPRINT_BYTES];
        fingerprint_make(lists[i].fields, lists[i].count, one);
        fingerprint_make(lists[i].fields, lists[i].count, again);
        ck_assert_mem_eq(one, again, sizeof one);
        for (size_t j = 0; j < i; j++) {
            fingerprint_make(lists[j].fields, lists[j].count, again);
            ck_assert_msg(memcmp(one, again, sizeof one) != 0, "lists %zu and %zu", i, j);
        }
    }
}
END_TEST

static bool parse_key(const char *header, size_t len, char key[IDEMPOTENCY_KEY_MAX + 1]) {
    struct slice copy = exact_copy(header, len);
    bool good = idempotency_key_parse(copy, key);
    exact_free(copy);
    return good;
}

START_TEST(a_key_is_bare_or_quoted) {
    static const char *const keys[][2] = {
        {"abc", "abc"},
        {"\"abc\"", "abc"},
        {"8e03978e-40d5-43e8-bc93-6894a57f9324", "8e03978e-40d5-43e8-bc93-6894a57f9324"},
        {"\"8e03978e-40d5-43e8-bc93-6894a57f9324\"", "8e03978e-40d5-43e8-bc93-6894a57f9324"},
        {"  abc\t ", "abc"},
        {" \"abc\" ", "abc"},
        {"\"a b\"", "a b"},
        {"\" \"", " "},
        {"\"a\\\"b\"", "a\"b"},
        {"\"a\\\\b\"", "a\\b"},
        {"\"\\\"\"", "\""},
        {"\"\\\\\"", "\\"},
        {"!", "!"},
        {"~", "~"},
        {"a,b;c=d", "a,b;c=d"},
    };
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        char key[IDEMPOTENCY_KEY_MAX + 1];
        ck_assert_msg(parse_key(keys[i][0], strlen(keys[i][0]), key), "%s was refused", keys[i][0]);
        ck_assert_str_eq(key, keys[i][1]);
    }
}
END_TEST

START_TEST(a_malformed_key_is_refused) {
    static const char *const headers[] = {
        "",           " ",        "\t",        "\"\"",        "\"",
        "\"abc",      "abc\"",    "a\"b",      "a\\b",        "\\",
        "a b",        "a\tb",     "\"a\tb\"",  "\"a\"b",      "\"a\" b",
        "\"a\"\"b\"", "\"a\\\"",  "\"a\\b\"",  "\"a\\",       "\"\\",
        "\"a\\n\"",   "a\x7f",    "\"a\x7f\"", "caf\xc3\xa9", "\"caf\xc3\xa9\"",
        "a\x01",      "\"a\";b=c"};
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        char key[IDEMPOTENCY_KEY_MAX + 1];
        ck_assert_msg(!parse_key(headers[i], strlen(headers[i]), key), "%s was accepted", headers[i]);
    }
    char key[IDEMPOTENCY_KEY_MAX + 1];
    ck_assert(!parse_key("a\0b", 3, key));
    ck_assert(!idempotency_key_parse((struct slice){NULL, 0}, key));
}
END_TEST

START_TEST(a_key_has_at_most_255_characters_after_unquoting) {
    char header[2 * IDEMPOTENCY_KEY_MAX + 4];
    char *key = malloc(IDEMPOTENCY_KEY_MAX + 1);
    memset(header, 'k', sizeof header);
    ck_assert(parse_key(header, IDEMPOTENCY_KEY_MAX, key));
    ck_assert_uint_eq(strlen(key), IDEMPOTENCY_KEY_MAX);
    ck_assert(!parse_key(header, IDEMPOTENCY_KEY_MAX + 1, key));
    header[0] = '"';
    header[IDEMPOTENCY_KEY_MAX + 1] = '"';
    ck_assert(parse_key(header, IDEMPOTENCY_KEY_MAX + 2, key));
    ck_assert_uint_eq(strlen(key), IDEMPOTENCY_KEY_MAX);
    header[IDEMPOTENCY_KEY_MAX + 1] = 'k';
    header[IDEMPOTENCY_KEY_MAX + 2] = '"';
    ck_assert(!parse_key(header, IDEMPOTENCY_KEY_MAX + 3, key));
    for (size_t i = 0; i < IDEMPOTENCY_KEY_MAX; i++) {
        memcpy(header + 1 + 2 * i, "\\\"", 2);
    }
    header[1 + 2 * IDEMPOTENCY_KEY_MAX] = '"';
    ck_assert(parse_key(header, 2 * IDEMPOTENCY_KEY_MAX + 2, key));
    ck_assert_uint_eq(strlen(key), IDEMPOTENCY_KEY_MAX);
    free(key);
}
END_TEST

Suite *fingerprint_suite(void);
Suite *fingerprint_suite(void) {
    Suite *suite = suite_create("fingerprint");
    TCase *cases = tcase_create("fingerprint");
    tcase_add_test(cases, the_hash_is_sha_256);
    tcase_add_test(cases, a_fingerprint_never_changes_between_versions);
    tcase_add_test(cases, no_two_lists_of_fields_share_a_fingerprint);
    tcase_add_test(cases, a_key_is_bare_or_quoted);
    tcase_add_test(cases, a_malformed_key_is_refused);
    tcase_add_test(cases, a_key_has_at_most_255_characters_after_unquoting);
    suite_add_tcase(suite, cases);
    return suite;
}
