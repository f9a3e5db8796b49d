/* Currencies as a specification. */
#include <check.h>

#include "core/currency.h"
#include "exact.h"

static const char *const without_decimals[] = {"BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG",
                                               "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"};
static const char *const with_three[] = {"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"};
static const char *const with_four[] = {"CLF", "UYW"};

static void check_exponent(const char *const codes[], size_t count, unsigned exponent) {
    for (size_t i = 0; i < count; i++) {
        const struct currency *currency = currency_find(slice_of(codes[i]));
        ck_assert_msg(currency != NULL && currency->exponent == exponent, "%s", codes[i]);
        ck_assert_str_eq(currency->code, codes[i]);
    }
}

START_TEST(currencies_have_the_decimals_of_iso_4217) {
    static const char *const with_two[] = {"EUR", "USD", "GBP", "CHF", "CNY",
                                           "MXN", "HUF", "TWD", "MGA", "MRU"};
    check_exponent(without_decimals, ARRAY_LEN(without_decimals), 0);
    check_exponent(with_two, ARRAY_LEN(with_two), 2);
    check_exponent(with_three, ARRAY_LEN(with_three), 3);
    check_exponent(with_four, ARRAY_LEN(with_four), 4);
}
END_TEST

START_TEST(all_others_have_two) {
    size_t count, two = 0;
    const struct currency *table = currency_table(&count);
    for (size_t i = 0; i < count; i++) {
        two += table[i].exponent == 2 ? 1 : 0;
    }
    ck_assert_uint_eq(two,
                      count - ARRAY_LEN(without_decimals) - ARRAY_LEN(with_three) - ARRAY_LEN(with_four));
}
END_TEST

START_TEST(the_table_is_sorted_without_duplicates_and_every_code_is_found) {
    size_t count;
    const struct currency *table = currency_table(&count);
    ck_assert_uint_eq(count, 161);
    for (size_t i = 0; i < count; i++) {
        ck_assert_uint_eq(strlen(table[i].code), 3);
        ck_assert_uint_eq(strspn(table[i].code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"), 3);
        ck_assert_msg(i == 0 || strcmp(table[i - 1].code, table[i].code) < 0, "%s", table[i].code);
        ck_assert_ptr_eq(currency_find(slice_of(table[i].code)), &table[i]);
    }
}
END_TEST

START_TEST(new_currencies_are_there_and_old_ones_are_gone) {
    static const char *const here[] = {"VED", "VES", "SLE", "ZWG", "XCG", "BOV", "CLF", "COU", "MXV"};
    static const char *const gone[] = {"BGN", "HRK", "SLL", "ANG", "CUC", "ZWL", "DEM", "FRF", "BYR"};
    for (size_t i = 0; i < ARRAY_LEN(here); i++) {
        ck_assert_msg(currency_find(slice_of(here[i])) != NULL, "%s is missing", here[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(gone); i++) {
        ck_assert_msg(currency_find(slice_of(gone[i])) == NULL, "%s is still there", gone[i]);
    }
}
END_TEST

START_TEST(what_nobody_pays_in_is_no_currency) {
    static const char *const codes[] = {"XXX", "XTS", "XAU", "XAG", "XPD", "XPT", "XBA", "XBB", "XBC",
                                        "XBD", "XDR", "XSU", "XUA", "XAD", "CHE", "CHW", "USN"};
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        ck_assert_msg(currency_find(slice_of(codes[i])) == NULL, "%s", codes[i]);
    }
}
END_TEST

START_TEST(a_code_is_exactly_three_capitals) {
    static const char *const texts[] = {"",    "E",    "EU",   "EURO",      "eur", "Eur",
                                        "EUr", " EUR", "EUR ", "E\xc3\x9c", "978"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct slice copy = exact_copy(texts[i], strlen(texts[i]));
        ck_assert_msg(currency_find(copy) == NULL, "%s", texts[i]);
        exact_free(copy);
    }
    ck_assert_ptr_null(currency_find((struct slice){NULL, 0}));
    ck_assert_ptr_null(currency_find((struct slice){"EU\0", 3}));
    ck_assert_ptr_nonnull(currency_find((struct slice){"EURO", 3}));
}
END_TEST

Suite *currency_suite(void);
Suite *currency_suite(void) {
    Suite *suite = suite_create("currency");
    TCase *cases = tcase_create("currency");
    tcase_add_test(cases, currencies_have_the_decimals_of_iso_4217);
    tcase_add_test(cases, all_others_have_two);
    tcase_add_test(cases, the_table_is_sorted_without_duplicates_and_every_code_is_found);
    tcase_add_test(cases, new_currencies_are_there_and_old_ones_are_gone);
    tcase_add_test(cases, what_nobody_pays_in_is_no_currency);
    tcase_add_test(cases, a_code_is_exactly_three_capitals);
    suite_add_tcase(suite, cases);
    return suite;
}
