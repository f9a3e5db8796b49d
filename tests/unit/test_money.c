/* Money as a specification: what is an amount, and that none ever changes by a digit. */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>

#include "core/money.h"
#include "exact.h"

#define UNTOUCHED INT64_C(-77)
#define ROUND_TRIPS 1000000

struct amount {
    const char *text;
    unsigned exponent;
    int64_t minor;
};

static void expect(const char *text, unsigned exponent, enum money_error error, int64_t expected) {
    struct slice copy = exact_copy(text, strlen(text));
    int64_t minor = UNTOUCHED;
    enum money_error got = money_parse(copy, exponent, &minor);
    ck_assert_msg(got == error, "%s with %u decimals: %s instead of %s", text, exponent,
                  money_error_name(got), money_error_name(error));
    ck_assert_msg(minor == expected, "%s with %u decimals: %" PRId64, text, exponent, minor);
    exact_free(copy);
}

static void expect_error(const char *text, unsigned exponent, enum money_error error) {
    expect(text, exponent, error, UNTOUCHED);
}

START_TEST(a_number_is_converted_with_its_currencys_decimals) {
    static const struct amount amounts[] = {
        {"49.99", 2, 4999},
        {"49.9", 2, 4990},
        {"50", 2, 5000},
        {"0.01", 2, 1},
        {"1", 0, 1},
        {"1250", 0, 1250},
        {"1.234", 3, 1234},
        {"0.001", 3, 1},
        {"1.2345", 4, 12345},
        {"0.0001", 4, 1},
        {"10000000", 2, 1000000000},
        {"100.10", 2, 10010},
        {"1000.001", 3, 1000001},
        {"0.5", 2, 50},
        {"7", 4, 70000},
    };
    for (size_t i = 0; i < ARRAY_LEN(amounts); i++) {
        expect(amounts[i].text, amounts[i].exponent, MONEY_OK, amounts[i].minor);
    }
}
END_TEST

START_TEST(the_same_amount_may_be_written_in_many_ways) {
    static const char *const texts[] = {"49.9",
                                        "49.90",
                                        "49.900000000000000000000000000",
                                        "4.99e1",
                                        "4.99E1",
                                        "4.99e+1",
                                        "4.99e01",
                                        "499e-1",
                                        "4990e-2",
                                        "0.499e2",
                                        "0.000499e5",
                                        "49900000e-6",
                                        "0.0000000000000000000000499e24"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        expect(texts[i], 2, MONEY_OK, 4990);
    }
}
END_TEST

START_TEST(what_is_no_json_number_is_refused) {
    static const char *const texts[] = {
        "",    "-",   "+1",    "01",       "-01",       "00",   "1.",          ".5",    "-.5",
        "1e",  "1e+", "1E-",   "1.e1",     "1e1.5",     "0x10", "1_000",       "1,5",   "1 ",
        " 1",  "1 2", "NaN",   "Infinity", "-Infinity", "null", "true",        "\"1\"", "{}",
        "[1]", "1f",  "1e1e1", "1.2.3",    "--1",       "1-",   "\xef\xbc\x91"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        expect_error(texts[i], 2, MONEY_NOT_A_NUMBER);
    }
    int64_t minor = UNTOUCHED;
    ck_assert_int_eq(money_parse((struct slice){"1\0", 2}, 2, &minor), MONEY_NOT_A_NUMBER);
    ck_assert_int_eq(money_parse((struct slice){NULL, 0}, 2, &minor), MONEY_NOT_A_NUMBER);
}
END_TEST

START_TEST(nothing_and_less_than_nothing_is_refused) {
    static const char *const texts[] = {
        "0",      "-0", "0.0",    "0.00000",  "-0.0",   "0e5",    "0e999999999999999999999",
        "0.0e-9", "-1", "-49.99", "-0.00001", "-1e400", "-1e-400"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        expect_error(texts[i], 2, MONEY_NOT_POSITIVE);
    }
}
END_TEST

START_TEST(a_digit_beyond_the_currencys_decimals_is_refused_and_a_zero_is_not) {
    static const struct amount refused[] = {{"49.999", 2, 0},
                                            {"0.001", 2, 0},
                                            {"1.5", 0, 0},
                                            {"0.1", 0, 0},
                                            {"1.2345", 3, 0},
                                            {"0.00001", 4, 0},
                                            {"1e-3", 2, 0},
                                            {"1e-400", 2, 0},
                                            {"15e-1", 0, 0},
                                            {"1.0000000000000000000000000001", 2, 0},
                                            {"1e-99999999999999999999999999", 2, 0}};
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        expect_error(refused[i].text, refused[i].exponent, MONEY_TOO_MANY_DECIMALS);
    }
    expect("1.0", 0, MONEY_OK, 1);
    expect("1.230", 2, MONEY_OK, 123);
    expect("10e-1", 0, MONEY_OK, 1);
}
END_TEST

START_TEST(the_largest_amount_has_fifteen_digits) {
    static const struct amount most[] = {
        {"999999999999999", 0, MONEY_MINOR_MAX},     {"9999999999999.99", 2, MONEY_MINOR_MAX},
        {"999999999999.999", 3, MONEY_MINOR_MAX},    {"99999999999.9999", 4, MONEY_MINOR_MAX},
        {"9.99999999999999e14", 0, MONEY_MINOR_MAX}, {"1e14", 0, INT64_C(100000000000000)}};
    static const struct amount more[] = {{"1000000000000000", 0, 0},
                                         {"10000000000000", 2, 0},
                                         {"1000000000000", 3, 0},
                                         {"100000000000", 4, 0},
                                         {"1e15", 0, 0},
                                         {"1e13", 2, 0},
                                         {"1e400", 2, 0},
                                         {"1E+400", 0, 0},
                                         {"9223372036854775807", 0, 0},
                                         {"9223372036854775808", 0, 0},
                                         {"18446744073709551617", 0, 0},
                                         {"1e99999999999999999999999", 2, 0},
                                         {"123456789012345678901234567890", 2, 0},
                                         {"1e9223372036854775807", 2, 0},
                                         {"1e18446744073709551617", 2, 0},
                                         {"10000000000000.001", 2, 0}};
    for (size_t i = 0; i < ARRAY_LEN(most); i++) {
        expect(most[i].text, most[i].exponent, MONEY_OK, most[i].minor);
    }
    for (size_t i = 0; i < ARRAY_LEN(more); i++) {
        expect_error(more[i].text, more[i].exponent, MONEY_TOO_LARGE);
    }
}
END_TEST

START_TEST(a_number_of_any_length_is_exact) {
    enum { ZEROS = 60000 };
    char *text = malloc(ZEROS + 32);
    memset(text, '0', ZEROS + 32);
    memcpy(text, "0.", 2); /* 0.000…001e60001 */
    snprintf(text + 2 + ZEROS, 30, "1e%d", ZEROS + 1);
    expect(text, 2, MONEY_OK, 100);
    memset(text + 2, '0', ZEROS); /* 1000…000e-60000 */
    text[0] = '1';
    text[1] = '0';
    snprintf(text + 2 + ZEROS, 30, "e-%d", ZEROS + 1);
    expect(text, 2, MONEY_OK, 100);
    snprintf(text + 2 + ZEROS, 30, "e-%d", ZEROS + 4);
    expect_error(text, 2, MONEY_TOO_MANY_DECIMALS);
    free(text);
}
END_TEST

/* Near 2^53 minor units (and a few below), doubles round wrongly what is written with decimals. */
START_TEST(the_neighbourhood_of_2_to_the_53_is_exact) {
    static const int64_t centres[] = {INT64_C(1) << 49, INT64_C(900719925474099), MONEY_MINOR_MAX - 5000};
    for (size_t i = 0; i < ARRAY_LEN(centres); i++) {
        for (int64_t minor = centres[i] - 5000; minor <= centres[i] + 5000; minor++) {
            char text[40];
            snprintf(text, sizeof text, "%" PRId64 ".%02" PRId64, minor / 100, minor % 100);
            expect(text, 2, MONEY_OK, minor);
        }
    }
}
END_TEST

START_TEST(amounts_are_written_without_trailing_zeros) {
    static const struct amount amounts[] = {
        {"49.99", 2, 4999},
        {"49.9", 2, 4990},
        {"50", 2, 5000},
        {"0.01", 2, 1},
        {"0.1", 2, 10},
        {"0", 2, 0},
        {"0", 0, 0},
        {"0", 4, 0},
        {"1", 0, 1},
        {"1000", 0, 1000},
        {"1000", 2, 100000},
        {"1.001", 3, 1001},
        {"0.0001", 4, 1},
        {"10.01", 2, 1001},
        {"999999999999999", 0, MONEY_MINOR_MAX},
        {"9999999999999.99", 2, MONEY_MINOR_MAX},
        {"999999999999.999", 3, MONEY_MINOR_MAX},
        {"99999999999.9999", 4, MONEY_MINOR_MAX},
        {"9223372036854775807", 0, INT64_MAX},
        {"9.223372036854775807", 18, INT64_MAX},
    };
    for (size_t i = 0; i < ARRAY_LEN(amounts); i++) {
        char *out = malloc(MONEY_TEXT_MAX);
        size_t len = money_format(amounts[i].minor, amounts[i].exponent, out);
        ck_assert_str_eq(out, amounts[i].text);
        ck_assert_uint_eq(len, strlen(amounts[i].text));
        free(out);
    }
}
END_TEST

/* The same amount, written by other means than money_format. */
static void write_otherwise(int64_t minor, unsigned exponent, unsigned way, char *out, size_t size) {
    int64_t scale = 1;
    for (unsigned i = 0; i < exponent; i++) {
        scale *= 10;
    }
    int decimals = (int)exponent;
    switch (way) {
    case 0: /* all decimals, and zeros behind */
        snprintf(out, size, "%" PRId64 ".%0*" PRId64 "00", minor / scale, decimals,
                 exponent == 0 ? 0 : minor % scale);
        break;
    case 1:
        snprintf(out, size, "%" PRId64 "e-%d", minor, decimals);
        break;
    case 2:
        snprintf(out, size, "%" PRId64 "000E-%d", minor, decimals + 3);
        break;
    default:
        snprintf(out, size, "0.0%015" PRId64 "e%d", minor, 16 - decimals);
        break;
    }
}

START_TEST(a_million_random_amounts_come_back_digit_for_digit) {
    static const unsigned exponents[] = {0, 2, 3, 4};
    uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
    for (int i = 0; i < ROUND_TRIPS; i++) {
        unsigned exponent = exponents[i % 4];
        int64_t limit = 10;
        for (uint64_t digits = next_random(&state) % 15; digits > 0; digits--) {
            limit *= 10;
        }
        int64_t minor = 1 + (int64_t)(next_random(&state) % (uint64_t)(limit - 1));
        char text[MONEY_TEXT_MAX];
        char other[64];
        int64_t back = 0;
        size_t len = money_format(minor, exponent, text);
        ck_assert(money_parse((struct slice){text, len}, exponent, &back) == MONEY_OK && back == minor);
        write_otherwise(minor, exponent, (unsigned)(i / 4) % 4, other, sizeof other);
        back = 0;
        if (money_parse(slice_of(other), exponent, &back) != MONEY_OK || back != minor) {
            ck_abort_msg("%s with %u decimals gave %" PRId64 " instead of %" PRId64, other, exponent, back,
                         minor);
        }
    }
}
END_TEST

START_TEST(every_error_has_a_stable_name) {
    ck_assert_str_eq(money_error_name(MONEY_OK), "ok");
    ck_assert_str_eq(money_error_name(MONEY_NOT_A_NUMBER), "not_a_number");
    ck_assert_str_eq(money_error_name(MONEY_NOT_POSITIVE), "not_positive");
    ck_assert_str_eq(money_error_name(MONEY_TOO_MANY_DECIMALS), "too_many_decimals");
    ck_assert_str_eq(money_error_name(MONEY_TOO_LARGE), "too_large");
}
END_TEST

Suite *money_suite(void);
Suite *money_suite(void) {
    Suite *suite = suite_create("money");
    TCase *cases = tcase_create("money");
    tcase_set_timeout(cases, 60); /* a million round trips, also under sanitizers on a busy machine */
    tcase_add_test(cases, a_number_is_converted_with_its_currencys_decimals);
    tcase_add_test(cases, the_same_amount_may_be_written_in_many_ways);
    tcase_add_test(cases, what_is_no_json_number_is_refused);
    tcase_add_test(cases, nothing_and_less_than_nothing_is_refused);
    tcase_add_test(cases, a_digit_beyond_the_currencys_decimals_is_refused_and_a_zero_is_not);
    tcase_add_test(cases, the_largest_amount_has_fifteen_digits);
    tcase_add_test(cases, a_number_of_any_length_is_exact);
    tcase_add_test(cases, the_neighbourhood_of_2_to_the_53_is_exact);
    tcase_add_test(cases, amounts_are_written_without_trailing_zeros);
    tcase_add_test(cases, a_million_random_amounts_come_back_digit_for_digit);
    tcase_add_test(cases, every_error_has_a_stable_name);
    suite_add_tcase(suite, cases);
    return suite;
}
