/* Times on the wire as a specification. */
#include <check.h>
#include <inttypes.h>
#include <time.h>

#include "core/timestamp.h"
#include "exact.h"

#define MS_PER_DAY INT64_C(86400000)
#define LAST_MS INT64_C(253402300799999)

struct moment {
    const char *text;
    int64_t time_ms;
};

static bool parse(const char *text, int64_t *time_ms) {
    struct slice copy = exact_copy(text, strlen(text));
    bool good = timestamp_parse(copy, time_ms);
    exact_free(copy);
    return good;
}

START_TEST(times_are_written_as_javascript_does) {
    static const struct moment moments[] = {
        {"1970-01-01T00:00:00.000Z", 0},
        {"1970-01-01T00:00:00.001Z", 1},
        {"1999-12-31T23:59:59.999Z", INT64_C(946684799999)},
        {"2000-02-29T12:00:00.000Z", INT64_C(951825600000)},
        {"2026-11-24T08:12:13.456Z", INT64_C(1795507933456)},
        {"2100-03-01T00:00:00.000Z", INT64_C(4107542400000)},
        {"9999-12-31T23:59:59.999Z", LAST_MS},
        {"1970-01-01T00:00:00.000Z", -1},
        {"1970-01-01T00:00:00.000Z", INT64_MIN},
        {"9999-12-31T23:59:59.999Z", LAST_MS + 1},
        {"9999-12-31T23:59:59.999Z", INT64_MAX},
    };
    for (size_t i = 0; i < ARRAY_LEN(moments); i++) {
        char *out = malloc(TIMESTAMP_SIZE);
        timestamp_format(moments[i].time_ms, out);
        ck_assert_str_eq(out, moments[i].text);
        free(out);
    }
}
END_TEST

START_TEST(every_day_until_9999_is_the_calendars_and_comes_back) {
    for (int64_t day = 0; day * MS_PER_DAY < LAST_MS; day++) {
        int64_t time_ms = day * MS_PER_DAY + day * 7919 % MS_PER_DAY;
        time_t seconds = (time_t)(time_ms / 1000);
        struct tm tm;
        char text[TIMESTAMP_SIZE];
        char expected[32];
        int64_t back = -1;
        gmtime_r(&seconds, &tm);
        strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S", &tm);
        timestamp_format(time_ms, text);
        if (memcmp(text, expected, 19) != 0 || !timestamp_parse(slice_of(text), &back) || back != time_ms) {
            ck_abort_msg("%s instead of %s, and back %" PRId64, text, expected, back);
        }
    }
}
END_TEST

START_TEST(rfc_3339_is_read) {
    static const struct moment moments[] = {
        {"2026-11-24T08:12:13Z", INT64_C(1795507933000)},
        {"2026-11-24t08:12:13z", INT64_C(1795507933000)},
        {"2026-11-24T08:12:13.4Z", INT64_C(1795507933400)},
        {"2026-11-24T08:12:13.45Z", INT64_C(1795507933450)},
        {"2026-11-24T08:12:13.456789999Z", INT64_C(1795507933456)},
        {"2026-11-24T08:12:13.000999999Z", INT64_C(1795507933000)},
        {"2026-11-24T09:12:13+01:00", INT64_C(1795507933000)},
        {"2026-11-24T13:57:13+05:45", INT64_C(1795507933000)},
        {"2026-11-23T22:12:13-10:00", INT64_C(1795507933000)},
        {"2026-11-24T08:12:13-00:00", INT64_C(1795507933000)},
        {"2026-11-24", INT64_C(1795478400000)},
        {"1970-01-01T00:00:00+00:01", -60000},
        {"1969-12-31", -MS_PER_DAY},
        {"0000-01-01T00:00:00Z", INT64_C(-62167219200000)},
        {"0000-03-01", INT64_C(-62162035200000)},
        {"0001-01-01", INT64_C(-62135596800000)},
        {"9999-12-31T23:59:59.999Z", LAST_MS},
        {"9999-12-31T23:59:59-23:59", LAST_MS - 999 + 86340000},
    };
    for (size_t i = 0; i < ARRAY_LEN(moments); i++) {
        int64_t time_ms = 77;
        ck_assert_msg(parse(moments[i].text, &time_ms), "%s was refused", moments[i].text);
        ck_assert_msg(time_ms == moments[i].time_ms, "%s is not %" PRId64, moments[i].text, time_ms);
    }
}
END_TEST

START_TEST(leap_years_are_every_fourth_but_three_centuries_of_four) {
    static const struct {
        const char *text;
        bool exists;
    } days[] = {{"2024-02-29", true},  {"2023-02-29", false}, {"2000-02-29", true},  {"1900-02-29", false},
                {"2100-02-29", false}, {"2400-02-29", true},  {"2024-02-30", false}, {"0000-02-29", true},
                {"2024-12-31", true},  {"2023-02-28", true}};
    for (size_t i = 0; i < ARRAY_LEN(days); i++) {
        int64_t time_ms;
        ck_assert_msg(parse(days[i].text, &time_ms) == days[i].exists, "%s", days[i].text);
    }
}
END_TEST

START_TEST(a_leap_second_is_the_next_second_at_the_end_of_a_utc_day_only) {
    static const struct moment moments[] = {{"2016-12-31T23:59:60Z", INT64_C(1483228800000)},
                                            {"2017-01-01T00:59:60+01:00", INT64_C(1483228800000)},
                                            {"2016-12-31T23:59:60.500Z", INT64_C(1483228800500)}};
    static const char *const refused[] = {"2016-12-31T23:58:60Z", "2016-12-31T12:00:60Z",
                                          "2016-12-31T23:59:60+01:00", "2016-12-31T23:59:61Z"};
    int64_t time_ms = 77;
    for (size_t i = 0; i < ARRAY_LEN(moments); i++) {
        ck_assert_msg(parse(moments[i].text, &time_ms) && time_ms == moments[i].time_ms, "%s",
                      moments[i].text);
    }
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        ck_assert_msg(!parse(refused[i], &time_ms), "%s", refused[i]);
    }
}
END_TEST

START_TEST(what_is_no_time_is_refused_and_changes_nothing) {
    static const char *const texts[] = {"",
                                        "x",
                                        "2026",
                                        "2026-11",
                                        "2026-1-24",
                                        "2026-11-2",
                                        "2026/11/24",
                                        "2026-11/24",
                                        "20261124",
                                        "+2026-11-24",
                                        "12026-11-24",
                                        "2026-00-10",
                                        "2026-13-10",
                                        "2026-11-00",
                                        "2026-11-31",
                                        "2026-04-31",
                                        "2026-01-32",
                                        "2026-11-24T",
                                        "2026-11-24 08:12:13Z",
                                        "2026-11-24T08:12Z",
                                        "2026-11-24T0812:13Z",
                                        "2026-11-24T08:1213Z",
                                        "2026-11-24T08:12:13",
                                        "2026-11-24T24:00:00Z",
                                        "2026-11-24T23:60:00Z",
                                        "2026-11-24T08:12:1xZ",
                                        "2026-11-24T08:12:13.Z",
                                        "2026-11-24T08:12:13,5Z",
                                        "2026-11-24T08:12:13.1234567890Z",
                                        "2026-11-24T08:12:13.5",
                                        "2026-11-24T08:12:13+01",
                                        "2026-11-24T08:12:13+0100",
                                        "2026-11-24T08:12:13+01:0",
                                        "2026-11-24T08:12:13+24:00",
                                        "2026-11-24T08:12:13+01:60",
                                        "2026-11-24T08:12:13*01:00",
                                        "2026-11-24T08:12:13Z ",
                                        "2026-11-24T08:12:13ZZ",
                                        " 2026-11-24"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        int64_t time_ms = 77;
        ck_assert_msg(!parse(texts[i], &time_ms), "%s was accepted", texts[i]);
        ck_assert_int_eq(time_ms, 77);
    }
}
END_TEST

Suite *timestamp_suite(void);
Suite *timestamp_suite(void) {
    Suite *suite = suite_create("timestamp");
    TCase *cases = tcase_create("timestamp");
    tcase_set_timeout(cases, 60); /* three million days, also under sanitizers on a busy machine */
    tcase_add_test(cases, times_are_written_as_javascript_does);
    tcase_add_test(cases, every_day_until_9999_is_the_calendars_and_comes_back);
    tcase_add_test(cases, rfc_3339_is_read);
    tcase_add_test(cases, leap_years_are_every_fourth_but_three_centuries_of_four);
    tcase_add_test(cases, a_leap_second_is_the_next_second_at_the_end_of_a_utc_day_only);
    tcase_add_test(cases, what_is_no_time_is_refused_and_changes_nothing);
    suite_add_tcase(suite, cases);
    return suite;
}
