/* Ids as a specification. */
#include <check.h>

#include "core/id.h"
#include "exact.h"

#define TIME_MS INT64_C(1795507933456)
#define TIME_MS_MAX ((INT64_C(1) << 48) - 1)

static const uint8_t zeros[ID_RANDOM_BYTES] = {0};
static const uint8_t ones[ID_RANDOM_BYTES] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255};

static bool valid(const char *prefix, const char *text, size_t len) {
    struct slice copy = exact_copy(text, len);
    bool is_valid = id_valid(prefix, copy);
    exact_free(copy);
    return is_valid;
}

START_TEST(an_id_is_its_prefix_and_128_bits_in_base_32) {
    char id[ID_SIZE];
    static const uint8_t bytes[ID_RANDOM_BYTES] = {0x01, 0x23, 0x45, 0x67, 0x89,
                                                   0xab, 0xcd, 0xef, 0x10, 0x32};
    id_make(ID_PAYMENT, 0, zeros, id);
    ck_assert_str_eq(id, "pay_00000000000000000000000000");
    id_make(ID_REFUND, TIME_MS_MAX, ones, id);
    ck_assert_str_eq(id, "ref_7zzzzzzzzzzzzzzzzzzzzzzzzz");
    /* 0x0102030405060123456789abcdef1032 in digits of 5 bits, worked out by other means. */
    id_make(ID_PAYMENT, INT64_C(0x010203040506), bytes, id);
    ck_assert_str_eq(id, "pay_01081g818604hmasw9nf6yy41j");
    id_make("", 1, zeros, id);
    ck_assert_str_eq(id, "00000000010000000000000000");
}
END_TEST

START_TEST(ids_sort_by_time_then_by_their_random_bits) {
    char earlier[ID_SIZE], later[ID_SIZE];
    for (int64_t step = 1; step < TIME_MS_MAX - TIME_MS; step *= 7) {
        id_make(ID_PAYMENT, TIME_MS, ones, earlier);
        id_make(ID_PAYMENT, TIME_MS + step, zeros, later);
        ck_assert_msg(strcmp(earlier, later) < 0, "%s and %s", earlier, later);
    }
    id_make(ID_PAYMENT, TIME_MS, zeros, earlier);
    for (size_t byte = ID_RANDOM_BYTES; byte > 0; byte--) {
        uint8_t random[ID_RANDOM_BYTES] = {0};
        random[byte - 1] = 1;
        id_make(ID_PAYMENT, TIME_MS, random, later);
        ck_assert_int_lt(strcmp(earlier, later), 0);
        memcpy(earlier, later, sizeof earlier);
    }
}
END_TEST

START_TEST(every_bit_of_time_and_randomness_is_in_the_id) {
    char plain[ID_SIZE], other[ID_SIZE];
    id_make(ID_PAYMENT, 0, zeros, plain);
    for (unsigned bit = 0; bit < 128; bit++) {
        uint8_t random[ID_RANDOM_BYTES] = {0};
        int64_t time_ms = bit < 48 ? INT64_C(1) << bit : 0;
        if (bit >= 48) {
            random[(bit - 48) / 8] = (uint8_t)(1u << (bit % 8));
        }
        id_make(ID_PAYMENT, time_ms, random, other);
        ck_assert_str_ne(plain, other);
        ck_assert(valid(ID_PAYMENT, other, strlen(other)));
    }
}
END_TEST

START_TEST(the_time_comes_back_from_the_id) {
    static const int64_t times_ms[] = {0, 1, 999, TIME_MS, INT64_C(253402300799999), TIME_MS_MAX};
    for (size_t i = 0; i < ARRAY_LEN(times_ms); i++) {
        char id[ID_SIZE];
        id_make(ID_PAYMENT, times_ms[i], ones, id);
        ck_assert_int_eq(id_time_ms(slice_of(id)), times_ms[i]);
    }
}
END_TEST

START_TEST(the_lowest_id_of_a_time_is_not_above_any_of_that_time) {
    char lowest[ID_SIZE], id[ID_SIZE];
    id_lowest(ID_PAYMENT, TIME_MS, lowest);
    id_make(ID_PAYMENT, TIME_MS, zeros, id);
    ck_assert_str_eq(lowest, id);
    id_make(ID_PAYMENT, TIME_MS - 1, ones, id);
    ck_assert_int_gt(strcmp(lowest, id), 0);
}
END_TEST

START_TEST(only_what_id_make_writes_is_valid) {
    static const char good[] = "pay_01kb0a6v0rj4t2c7m9x3w5y8ze";
    static const char *const bad[] = {"",
                                      "pay_",
                                      "pay_01kb0a6v0rj4t2c7m9x3w5y8z",
                                      "pay_01kb0a6v0rj4t2c7m9x3w5y8zee",
                                      "ref_01kb0a6v0rj4t2c7m9x3w5y8ze",
                                      "PAY_01kb0a6v0rj4t2c7m9x3w5y8ze",
                                      "pay-01kb0a6v0rj4t2c7m9x3w5y8ze",
                                      "pay_81kb0a6v0rj4t2c7m9x3w5y8ze",
                                      "pay_z1kb0a6v0rj4t2c7m9x3w5y8ze",
                                      "pay_01KB0A6V0RJ4T2C7M9X3W5Y8ZE",
                                      "pay_01kb0a6v0rj4t2c7m9x3w5y8zi",
                                      "pay_01kb0a6v0rj4t2c7m9x3w5y8zl",
                                      "pay_01kb0a6v0rj4t2c7m9x3w5y8zo",
                                      "pay_01kb0a6v0rj4t2c7m9x3w5y8zu",
                                      "pay_01kb0a6v0rj4t2c7m9x3w5y8z ",
                                      "pay_01kb0a6v0rj4t2c7m9x3w5y8z'"};
    ck_assert(valid(ID_PAYMENT, good, sizeof good - 1));
    ck_assert(!valid(ID_PAYMENT, good, sizeof good - 2));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        ck_assert_msg(!valid(ID_PAYMENT, bad[i], strlen(bad[i])), "%s", bad[i]);
    }
    ck_assert(!valid(ID_PAYMENT, "pay_01kb0a6v0rj4t2c7m9x3w5y8z\0", 30));
    ck_assert(!id_valid(ID_PAYMENT, (struct slice){NULL, 0}));
}
END_TEST

Suite *id_suite(void);
Suite *id_suite(void) {
    Suite *suite = suite_create("id");
    TCase *cases = tcase_create("id");
    tcase_add_test(cases, an_id_is_its_prefix_and_128_bits_in_base_32);
    tcase_add_test(cases, ids_sort_by_time_then_by_their_random_bits);
    tcase_add_test(cases, every_bit_of_time_and_randomness_is_in_the_id);
    tcase_add_test(cases, the_time_comes_back_from_the_id);
    tcase_add_test(cases, the_lowest_id_of_a_time_is_not_above_any_of_that_time);
    tcase_add_test(cases, only_what_id_make_writes_is_valid);
    suite_add_tcase(suite, cases);
    return suite;
}
