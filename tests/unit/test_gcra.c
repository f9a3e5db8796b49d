/* Rate limits as a specification. */
#include <check.h>

#include "cache/gcra.h"
#include "exact.h"

#define SECOND (INT64_C(1000000) * TICKS_PER_US)
#define START (INT64_C(1000) * SECOND)

static const struct rate_limit sixty = {.limit = 60, .window_ms = 60000, .burst = 3};

START_TEST(a_burst_passes_at_once_and_then_one_an_interval) {
    struct gcra gcra = gcra_of(&sixty, 1);
    int64_t whole_at = 0;
    for (int i = 0; i < 3; i++) {
        struct rate_answer answer = gcra_take(&gcra, &whole_at, START);
        ck_assert(answer.allowed);
        ck_assert_int_eq(answer.remaining, 2 - i);
        ck_assert_int_eq(answer.reset_ms, 1000 * (i + 1));
        ck_assert_int_eq(answer.retry_after_ms, 0);
    }
    struct rate_answer refused = gcra_take(&gcra, &whole_at, START);
    ck_assert(!refused.allowed);
    ck_assert_int_eq(refused.remaining, 0);
    ck_assert_int_eq(refused.reset_ms, 3000);
    ck_assert_int_eq(refused.retry_after_ms, 1000);
    ck_assert(!gcra_take(&gcra, &whole_at, START + SECOND - 1).allowed);
    ck_assert(gcra_take(&gcra, &whole_at, START + SECOND).allowed);
    ck_assert(!gcra_take(&gcra, &whole_at, START + SECOND).allowed);
}
END_TEST

START_TEST(a_refusal_costs_nothing) {
    struct gcra gcra = gcra_of(&sixty, 1);
    int64_t whole_at = START + 3 * SECOND;
    for (int i = 0; i < 1000; i++) {
        ck_assert(!gcra_take(&gcra, &whole_at, START).allowed);
    }
    ck_assert_int_eq(whole_at, START + 3 * SECOND);
}
END_TEST

START_TEST(who_waits_as_long_as_told_is_allowed) {
    uint64_t random = 1;
    for (int i = 0; i < 10000; i++) {
        struct rate_limit limit = {.limit = 1 + (int64_t)(next_random(&random) % 5000), .window_ms = 60000};
        limit.burst = 1 + (int64_t)(next_random(&random) % 100);
        struct gcra gcra = gcra_of(&limit, 1);
        int64_t now = START + (int64_t)(next_random(&random) % 100000);
        int64_t whole_at = now + (int64_t)(next_random(&random) % (uint64_t)gcra.tolerance);
        struct rate_answer answer = gcra_take(&gcra, &whole_at, now);
        while (answer.allowed) {
            answer = gcra_take(&gcra, &whole_at, now);
        }
        ck_assert_int_gt(answer.retry_after_ms, 0);
        ck_assert(gcra_take(&gcra, &whole_at, now + answer.retry_after_ms * SECOND / 1000).allowed);
    }
}
END_TEST

START_TEST(in_any_hour_a_greedy_caller_gets_the_limit_and_one_burst) {
    static const int64_t limits[] = {1, 7, 60, 999, 30011, 600000, 3000000};
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        struct rate_limit limit = {.limit = limits[i], .window_ms = 60000, .burst = 50};
        struct gcra gcra = gcra_of(&limit, 1);
        int64_t whole_at = 0, allowed = 0, minutes = limits[i] < 100000 ? 60 : 1;
        int64_t step = gcra.interval / 3 + 1;
        for (int64_t now = START; now < START + minutes * 60 * SECOND; now += step) {
            allowed += gcra_take(&gcra, &whole_at, now).allowed ? 1 : 0;
        }
        int64_t burst = limits[i] < 50 ? limits[i] : 50;
        ck_assert_int_ge(allowed, limits[i] * minutes * 99 / 100);
        ck_assert_int_le(allowed, limits[i] * minutes * 101 / 100 + burst + 1);
    }
}
END_TEST

START_TEST(a_burst_is_never_more_than_the_limit_and_a_share_never_less_than_one) {
    struct rate_limit small = {.limit = 2, .window_ms = 60000, .burst = 50};
    struct gcra gcra = gcra_of(&small, 1);
    ck_assert_int_eq(gcra.tolerance, 2 * gcra.interval);
    struct gcra shared = gcra_of(&small, 10);
    ck_assert_int_eq(shared.interval, 300 * SECOND);
    ck_assert_int_eq(shared.tolerance, shared.interval);
    struct rate_limit large = {.limit = 600, .window_ms = 60000, .burst = 100};
    struct gcra half = gcra_of(&large, 2);
    ck_assert_int_eq(half.interval, SECOND / 5);
    ck_assert_int_eq(half.tolerance, 50 * half.interval);
}
END_TEST

START_TEST(a_debt_from_the_future_is_no_more_than_a_burst) {
    struct gcra gcra = gcra_of(&sixty, 1);
    int64_t whole_at = START + 100000 * SECOND;
    struct rate_answer answer = gcra_take(&gcra, &whole_at, START);
    ck_assert(!answer.allowed);
    ck_assert_int_eq(answer.retry_after_ms, 1000);
    ck_assert(gcra_take(&gcra, &whole_at, START + SECOND).allowed);
}
END_TEST

Suite *gcra_suite(void);
Suite *gcra_suite(void) {
    Suite *suite = suite_create("gcra");
    TCase *cases = tcase_create("gcra");
    tcase_add_test(cases, a_burst_passes_at_once_and_then_one_an_interval);
    tcase_add_test(cases, a_refusal_costs_nothing);
    tcase_add_test(cases, who_waits_as_long_as_told_is_allowed);
    tcase_add_test(cases, in_any_hour_a_greedy_caller_gets_the_limit_and_one_burst);
    tcase_add_test(cases, a_burst_is_never_more_than_the_limit_and_a_share_never_less_than_one);
    tcase_add_test(cases, a_debt_from_the_future_is_no_more_than_a_burst);
    suite_add_tcase(suite, cases);
    return suite;
}
