/* Turns as a specification. */
#include <check.h>
#include <pthread.h>
#include <stdatomic.h>

#include "sys/clock.h"
#include "sys/turn.h"

#define THREADS 8

static struct turns turns;
static _Atomic int running, most, rounds;

static void setup(void) {
    turns_init(&turns, 2);
    atomic_store(&running, 0);
    atomic_store(&most, 0);
    atomic_store(&rounds, 0);
}

static void teardown(void) {
    turn_give_up();
    turns_destroy(&turns);
}

/* Runs `work` on a thread of its own and waits for it. */
static void elsewhere(void *(*work)(void *), void *argument) {
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, work, argument), 0);
    pthread_join(thread, NULL);
}

static void *try_and_keep(void *got) {
    *(bool *)got = turn_try(&turns);
    return NULL;
}

START_TEST(there_are_as_many_turns_as_were_asked_for) {
    bool got[3] = {false};
    for (int i = 0; i < 3; i++) {
        elsewhere(try_and_keep, &got[i]);
    }
    ck_assert(got[0] && got[1]);
    ck_assert(!got[2]);
    ck_assert(!turn_try(&turns));
}
END_TEST

START_TEST(a_thread_has_one_turn_however_often_it_asks) {
    bool other = false;
    turn_take(&turns);
    turn_take(&turns);
    ck_assert(turn_try(&turns));
    elsewhere(try_and_keep, &other);
    ck_assert(other);
}
END_TEST

START_TEST(a_turn_that_is_given_up_is_free_and_giving_up_none_does_nothing) {
    bool got[2] = {false};
    turn_take(&turns);
    elsewhere(try_and_keep, &got[0]);
    turn_give_up();
    turn_give_up();
    elsewhere(try_and_keep, &got[1]);
    ck_assert(got[0] && got[1]);
    ck_assert(!turn_try(&turns));
}
END_TEST

static void *work_in_turns(void *argument) {
    (void)argument;
    for (int i = 0; i < 200; i++) {
        turn_take(&turns);
        int now = atomic_fetch_add(&running, 1) + 1;
        for (int seen = atomic_load(&most); now > seen && !atomic_compare_exchange_weak(&most, &seen, now);) {
        }
        atomic_fetch_add(&rounds, 1);
        clock_sleep_ms(i % 20 == 0 ? 1 : 0);
        atomic_fetch_sub(&running, 1);
        turn_give_up();
    }
    return NULL;
}

START_TEST(no_more_threads_run_than_there_are_turns_and_nobody_is_forgotten) {
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, work_in_turns, NULL), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    ck_assert_int_eq(atomic_load(&rounds), THREADS * 200);
    ck_assert_int_eq(atomic_load(&most), 2);
}
END_TEST

static void *take_one(void *argument) {
    (void)argument;
    turn_take(&turns);
    atomic_fetch_add(&rounds, 1);
    return NULL;
}

START_TEST(at_the_end_everybody_gets_one) {
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, take_one, NULL), 0);
    }
    turns_end(&turns, THREADS);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    ck_assert_int_eq(atomic_load(&rounds), THREADS);
}
END_TEST

Suite *turn_suite(void);
Suite *turn_suite(void) {
    Suite *suite = suite_create("turn");
    TCase *cases = tcase_create("turn");
    tcase_set_timeout(cases, 30);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, there_are_as_many_turns_as_were_asked_for);
    tcase_add_test(cases, a_thread_has_one_turn_however_often_it_asks);
    tcase_add_test(cases, a_turn_that_is_given_up_is_free_and_giving_up_none_does_nothing);
    tcase_add_test(cases, no_more_threads_run_than_there_are_turns_and_nobody_is_forgotten);
    tcase_add_test(cases, at_the_end_everybody_gets_one);
    suite_add_tcase(suite, cases);
    return suite;
}
