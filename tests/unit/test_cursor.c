/* Cursors as a specification: they continue one list and no other. */
#include <check.h>
#include <stdio.h>

#include "core/cursor.h"
#include "exact.h"

#define ID "pay_01kb0a6v0rj4t2c7m9x3w5y8ze"
#define FILTER UINT32_C(0x12345678)

static const char url_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static bool parse(const char *text, size_t len, char id[ID_SIZE]) {
    struct slice copy = exact_copy(text, len);
    bool good = cursor_parse(copy, ID_PAYMENT, FILTER, id);
    exact_free(copy);
    return good;
}

START_TEST(a_cursor_brings_its_id_back) {
    char cursor[CURSOR_TEXT_MAX], id[ID_SIZE];
    cursor_format(ID, FILTER, cursor);
    ck_assert(parse(cursor, strlen(cursor), id));
    ck_assert_str_eq(id, ID);
    ck_assert_uint_eq(strspn(cursor, url_alphabet), strlen(cursor));
}
END_TEST

START_TEST(a_cursor_belongs_to_its_filter_and_its_kind_of_list) {
    char cursor[CURSOR_TEXT_MAX], id[ID_SIZE];
    struct feed_place place;
    cursor_format(ID, FILTER, cursor);
    ck_assert(!cursor_parse(slice_of(cursor), ID_PAYMENT, FILTER + 1, id));
    ck_assert(!cursor_parse(slice_of(cursor), ID_REFUND, FILTER, id));
    ck_assert(!feed_cursor_parse(slice_of(cursor), &place));
    feed_cursor_format((struct feed_place){1, 2, 3}, cursor);
    ck_assert(!cursor_parse(slice_of(cursor), ID_PAYMENT, CURSOR_HASH_SEED, id));
}
END_TEST

START_TEST(a_cursor_with_one_character_changed_is_refused) {
    char cursor[CURSOR_TEXT_MAX], id[ID_SIZE];
    cursor_format(ID, FILTER, cursor);
    size_t len = strlen(cursor);
    for (size_t i = 0; i < len; i++) {
        char before = cursor[i];
        for (int c = 0; c < 256; c++) {
            cursor[i] = (char)c;
            ck_assert_msg(cursor[i] == before || !parse(cursor, len, id), "%s", cursor);
        }
        cursor[i] = before;
    }
}
END_TEST

START_TEST(a_cursor_cut_or_lengthened_is_refused) {
    char cursor[CURSOR_TEXT_MAX + 2], id[ID_SIZE];
    cursor_format(ID, FILTER, cursor);
    size_t len = strlen(cursor);
    for (size_t shorter = 0; shorter < len; shorter++) {
        ck_assert(!parse(cursor, shorter, id));
    }
    for (const char *c = url_alphabet; *c != '\0'; c++) {
        cursor[len] = *c;
        ck_assert(!parse(cursor, len + 1, id));
    }
    char long_text[4096];
    memset(long_text, 'A', sizeof long_text);
    for (size_t longer = len + 1; longer <= sizeof long_text; longer += longer < 200 ? 1 : 500) {
        ck_assert(!parse(long_text, longer, id));
    }
    ck_assert(!cursor_parse((struct slice){NULL, 0}, ID_PAYMENT, FILTER, id));
}
END_TEST

/* A caller can work out the check, so what is inside is looked at too. */
START_TEST(a_well_made_cursor_with_something_else_inside_is_refused) {
    static const char *const inside[] = {"", "pay_", "pay_81kb0a6v0rj4t2c7m9x3w5y8ze",
                                         "pay_01kb0a6v0rj4t2c7m9x3w5y8z'", "pay_01kb0a6v0rj4t2c7m9x3w5y8z"};
    for (size_t i = 0; i < ARRAY_LEN(inside); i++) {
        char cursor[CURSOR_TEXT_MAX], id[ID_SIZE];
        cursor_format(inside[i], FILTER, cursor);
        ck_assert_msg(!cursor_parse(slice_of(cursor), ID_PAYMENT, FILTER, id), "%s", inside[i]);
    }
}
END_TEST

START_TEST(a_place_in_the_feed_comes_back_whole) {
    static const struct feed_place places[] = {{0, 0, 0},
                                               {1, 747, 1},
                                               {1, UINT64_C(0x123456789abcdef0), INT64_C(0x0fedcba987654321)},
                                               {INT32_MAX, UINT64_MAX, INT64_MAX},
                                               {INT32_MIN, 1, INT64_MIN}};
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        char cursor[CURSOR_TEXT_MAX];
        struct feed_place place = {77, 77, 77};
        feed_cursor_format(places[i], cursor);
        ck_assert(feed_cursor_parse(slice_of(cursor), &place));
        ck_assert_int_eq(place.epoch, places[i].epoch);
        ck_assert_uint_eq(place.xid, places[i].xid);
        ck_assert_int_eq(place.seq, places[i].seq);
        size_t len = strlen(cursor);
        for (size_t at = 0; at < len; at++) {
            char before = cursor[at];
            cursor[at] = before == 'A' ? 'B' : 'A';
            ck_assert(!feed_cursor_parse(slice_of(cursor), &place));
            cursor[at] = before;
        }
        for (size_t shorter = 0; shorter < len; shorter++) {
            struct slice copy = exact_copy(cursor, shorter);
            ck_assert(!feed_cursor_parse(copy, &place));
            exact_free(copy);
        }
    }
}
END_TEST

/* The published test values of FNV-1a, 32 bits. */
START_TEST(the_hash_is_fnv_1a) {
    ck_assert_uint_eq(cursor_hash(CURSOR_HASH_SEED, slice_of("")), UINT32_C(0x811c9dc5));
    ck_assert_uint_eq(cursor_hash(CURSOR_HASH_SEED, slice_of("a")), UINT32_C(0xe40c292c));
    ck_assert_uint_eq(cursor_hash(CURSOR_HASH_SEED, slice_of("foobar")), UINT32_C(0xbf9cf968));
    ck_assert_uint_eq(cursor_hash(cursor_hash(CURSOR_HASH_SEED, slice_of("foo")), slice_of("bar")),
                      UINT32_C(0xbf9cf968));
}
END_TEST

Suite *cursor_suite(void);
Suite *cursor_suite(void) {
    Suite *suite = suite_create("cursor");
    TCase *cases = tcase_create("cursor");
    tcase_add_test(cases, a_cursor_brings_its_id_back);
    tcase_add_test(cases, a_cursor_belongs_to_its_filter_and_its_kind_of_list);
    tcase_add_test(cases, a_cursor_with_one_character_changed_is_refused);
    tcase_add_test(cases, a_cursor_cut_or_lengthened_is_refused);
    tcase_add_test(cases, a_well_made_cursor_with_something_else_inside_is_refused);
    tcase_add_test(cases, a_place_in_the_feed_comes_back_whole);
    tcase_add_test(cases, the_hash_is_fnv_1a);
    suite_add_tcase(suite, cases);
    return suite;
}
