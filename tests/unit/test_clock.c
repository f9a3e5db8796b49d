/* Clocks and randomness as a specification. */
#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "exact.h"
#include "sys/clock.h"

#define THREADS 4
#define DRAWS 2000
#define DRAW_BYTES 10

START_TEST(monotonic_time_never_goes_back) {
    int64_t before_us = clock_monotonic_us();
    for (int i = 0; i < 10000; i++) {
        int64_t now_us = clock_monotonic_us();
        ck_assert_int_ge(now_us, before_us);
        before_us = now_us;
    }
}
END_TEST

START_TEST(wall_time_is_in_milliseconds_since_1970) {
    ck_assert_int_gt(clock_wall_ms(), INT64_C(1700000000000)); /* November 2023 */
    ck_assert_int_lt(clock_wall_ms(), INT64_C(253402300800000));
}
END_TEST

START_TEST(sleeping_takes_at_least_its_time) {
    int64_t before_us = clock_monotonic_us();
    clock_sleep_ms(20);
    ck_assert_int_ge(clock_monotonic_us() - before_us, 20000);
    clock_sleep_ms(0);
    clock_sleep_ms(-5);
}
END_TEST

START_TEST(random_bytes_fills_just_what_it_is_asked_for) {
    static const size_t lengths[] = {0, 1, 10, 255, 256, 257, 1000, 100000};
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        size_t len = lengths[i];
        uint8_t *bytes = calloc(len + 1, 1);
        size_t zeros = 0;
        random_bytes(bytes, len);
        for (size_t at = 0; at < len; at++) {
            zeros += bytes[at] == 0 ? 1 : 0;
        }
        ck_assert_uint_eq(bytes[len], 0);
        ck_assert_msg(len < 10 || zeros < len / 4 + 2, "%zu zeros of %zu bytes", zeros, len);
        free(bytes);
    }
}
END_TEST

static uint8_t draws[THREADS][DRAWS][DRAW_BYTES];

static void *draw(void *thread) {
    uint8_t (*mine)[DRAW_BYTES] = thread;
    for (int i = 0; i < DRAWS; i++) {
        random_bytes(mine[i], DRAW_BYTES);
    }
    return NULL;
}

static int by_bytes(const void *left, const void *right) {
    return memcmp(left, right, DRAW_BYTES);
}

START_TEST(waiting_for_a_file_ends_with_it_or_with_the_deadline) {
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    int64_t begun_us = clock_monotonic_us();
    ck_assert(!clock_wait_fd(ends[0], POLLIN, begun_us + 20000));
    ck_assert_int_ge(clock_monotonic_us() - begun_us, 20000);
    ck_assert_int_eq(write(ends[1], "x", 1), 1);
    ck_assert(clock_wait_fd(ends[0], POLLIN, clock_monotonic_us() + 10000000));
    ck_assert(!clock_wait_fd(ends[0], POLLIN, clock_monotonic_us() - 1));
    ck_assert(!clock_wait_fd(-1, POLLIN, clock_monotonic_us() + 10000000));
    close(ends[0]);
    close(ends[1]);
}
END_TEST

START_TEST(no_two_draws_of_any_threads_are_equal) {
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, draw, draws[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    uint8_t (*all)[DRAW_BYTES] = draws[0];
    qsort(all, THREADS * DRAWS, DRAW_BYTES, by_bytes);
    for (int i = 1; i < THREADS * DRAWS; i++) {
        ck_assert_int_ne(by_bytes(all[i - 1], all[i]), 0);
    }
}
END_TEST

Suite *clock_suite(void);
Suite *clock_suite(void) {
    Suite *suite = suite_create("clock");
    TCase *cases = tcase_create("clock");
    tcase_set_timeout(cases, 30);
    tcase_add_test(cases, monotonic_time_never_goes_back);
    tcase_add_test(cases, wall_time_is_in_milliseconds_since_1970);
    tcase_add_test(cases, sleeping_takes_at_least_its_time);
    tcase_add_test(cases, waiting_for_a_file_ends_with_it_or_with_the_deadline);
    tcase_add_test(cases, random_bytes_fills_just_what_it_is_asked_for);
    tcase_add_test(cases, no_two_draws_of_any_threads_are_equal);
    suite_add_tcase(suite, cases);
    return suite;
}
