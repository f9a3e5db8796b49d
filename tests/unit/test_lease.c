/* Leases as a specification: two servers, one Redis that counts as the script does, and a clock that the
 * tests move. */
#include <check.h>
#include <stdio.h>

#include "cache/lease.h"
#include "exact.h"

static int64_t now_us;

static int64_t test_clock_us(void) {
    return now_us;
}

/* --- two servers and a Redis --- */

struct world {
    struct leases *servers[2];
    struct gcra gcra;
    int64_t whole_at; /* what Redis keeps, in ticks */
    int64_t trips;
    int64_t allowed;
};

static void world_start(struct world *world, int64_t a_minute, int64_t burst) {
    const struct rate_limit limit = {.limit = a_minute, .window_ms = 60000, .burst = burst};
    now_us = 1000000;
    *world = (struct world){.gcra = gcra_of(&limit, 1)};
    for (size_t i = 0; i < 2; i++) {
        world->servers[i] = leases_new(test_clock_us);
    }
}

static void world_end(struct world *world) {
    for (size_t i = 0; i < 2; i++) {
        leases_free(world->servers[i]);
    }
}

static int64_t debt_of(const struct world *world) {
    int64_t debt = world->whole_at - now_us * TICKS_PER_US;
    return debt > 0 ? debt : 0;
}

/* What script.c has Redis do. */
static struct script_grant redis(struct world *world, const struct script_take *take) {
    struct script_grant grant = {0, 0, 0};
    const struct gcra *gcra = &world->gcra;
    world->whole_at -= take->back * gcra->interval;
    int64_t left = (gcra->tolerance - debt_of(world)) / gcra->interval;
    grant.granted = take->wanted < left ? take->wanted : left;
    left = (left - grant.granted) / 64;
    grant.ahead = take->ahead < left ? take->ahead : left;
    grant.debt = debt_of(world) + (grant.granted + grant.ahead) * gcra->interval;
    world->whole_at = now_us * TICKS_PER_US + grant.debt;
    world->trips++;
    return grant;
}

static struct rate_answer ask(struct world *world, size_t server) {
    struct leases *leases = world->servers[server];
    struct rate_answer answer;
    if (!leases_take(leases, "a", &world->gcra, &answer)) {
        struct script_take take = {.wanted = 1};
        leases_order(leases, "a", &world->gcra, &take);
        struct script_grant grant = redis(world, &take);
        if (take.ahead > 0) {
            leases_fill(leases, "a", &grant);
        }
        answer =
            gcra_answer(&world->gcra, grant.granted == 1, grant.debt - grant.ahead * world->gcra.interval);
    }
    world->allowed += answer.allowed ? 1 : 0;
    return answer;
}

/* So many requests of a server, one each gap_us. True if all were allowed. */
static bool ask_often(struct world *world, size_t server, int requests, int64_t gap_us) {
    bool all = true;
    for (int i = 0; i < requests; i++) {
        now_us += gap_us;
        all = ask(world, server).allowed && all;
    }
    return all;
}

/* --- what they promise --- */

START_TEST(a_busy_subject_seldom_asks_redis) {
    struct world world;
    world_start(&world, 100000000, 100000);
    ck_assert(ask_often(&world, 0, 1000, 40));
    world.trips = 0;
    ck_assert(ask_often(&world, 0, 25000, 40)); /* a second of 25,000 */
    ck_assert_int_le(world.trips, 150);
    world_end(&world);
}
END_TEST

START_TEST(a_calm_subject_is_counted_one_by_one) {
    struct world world;
    world_start(&world, 100000000, 100000);
    ck_assert(ask_often(&world, 0, 500, 25000));
    ck_assert_int_eq(world.trips, 500);
    world_end(&world);
}
END_TEST

/* 10 a minute, and also what is usual: a burst of 50 at any rate. */
START_TEST(a_small_burst_is_exact_to_the_last_request) {
    static const int64_t limits[][2] = {{10, 10}, {6000, 50}, {600000, 64}};
    struct world world;
    world_start(&world, limits[_i][0], limits[_i][1]);
    int64_t exact_whole_at = 0;
    for (int i = 0; i < 20000; i++) {
        now_us += 37;
        struct rate_answer answer = ask(&world, (size_t)i % 2);
        struct rate_answer exact = gcra_take(&world.gcra, &exact_whole_at, now_us * TICKS_PER_US);
        ck_assert(answer.allowed == exact.allowed);
        ck_assert_int_eq(answer.remaining, exact.remaining);
        ck_assert_int_eq(answer.retry_after_ms, exact.retry_after_ms);
    }
    world_end(&world);
}
END_TEST

/* Random phases of load on both, pressing, calm and idle: never more than GCRA would ever allow. */
START_TEST(servers_together_never_grant_more_than_the_limit) {
    uint64_t random = 7;
    for (int round = 0; round < 20; round++) {
        struct world world;
        int64_t a_minute = 600 + (int64_t)(next_random(&random) % 5000000);
        int64_t burst = 1 + (int64_t)(next_random(&random) % 20000);
        world_start(&world, a_minute, burst);
        int64_t begun_us = now_us;
        int64_t most = world.gcra.tolerance / world.gcra.interval;
        for (int phase = 0; phase < 40; phase++) {
            int64_t gap_us = (int64_t)(next_random(&random) % 3) * (int64_t)(next_random(&random) % 400);
            int requests = (int)(next_random(&random) % 3000);
            for (int i = 0; i < requests; i++) {
                now_us += gap_us;
                ask(&world, next_random(&random) % 2);
            }
            ck_assert_int_le(world.allowed,
                             most + (now_us - begun_us) * TICKS_PER_US / world.gcra.interval + 1);
            now_us += (int64_t)(next_random(&random) % 100000);
        }
        world_end(&world);
    }
}
END_TEST

/* Who presses on both servers gets within 2 % all that there is. */
START_TEST(pressing_servers_are_granted_the_limit) {
    static const int64_t limits[][2] = {{6000, 50}, {60000, 1000}, {600000, 10000}};
    struct world world;
    world_start(&world, limits[_i][0], limits[_i][1]);
    int64_t begun_us = now_us;
    for (int i = 0; i < 200000; i++) {
        now_us += 31;
        ask(&world, (size_t)(i / 7) % 2);
    }
    int64_t whole = limits[_i][1] + (now_us - begun_us) * TICKS_PER_US / world.gcra.interval;
    ck_assert_int_ge(world.allowed * 100, whole * 98);
    ck_assert_int_le(world.allowed, whole + 1);
    world_end(&world);
}
END_TEST

/* Server A is flooded and falls silent with its lease unused; B can have the whole rest of the burst at once,
 * within 2 %. */
START_TEST(what_one_server_holds_is_hardly_missed_on_another) {
    struct world world;
    world_start(&world, 12000, 10000);
    ck_assert(ask_often(&world, 0, 3000, 40));
    int64_t before = world.allowed;
    while (ask(&world, 1).allowed) {
    }
    ck_assert_int_ge((world.allowed - before) * 100, 7000 * 98);
    ck_assert_int_le(world.allowed, 10000 + 24 + 1); /* and what 120 ms brought */
    world_end(&world);
}
END_TEST

/* How many Redis counts beyond those that were granted. */
static int64_t held(const struct world *world) {
    return debt_of(world) / world->gcra.interval - world->allowed;
}

START_TEST(what_was_not_used_goes_back) {
    struct world world;
    struct script_take take = {.wanted = 1};
    world_start(&world, 12000, 10000);
    world.whole_at = now_us * TICKS_PER_US + 100 * world.gcra.interval;
    while (held(&world) < 200) { /* a lease is new */
        ck_assert(ask_often(&world, 0, 1, 10));
        ck_assert_int_lt(world.allowed, 5000);
    }
    int64_t unused = held(&world) - 100 + world.allowed * 10 / 5000;
    now_us += 100000;
    leases_order(world.servers[0], "a", &world.gcra, &take);
    ck_assert_int_ge(take.back, unused - 1);
    ck_assert_int_le(take.back, unused + 1);
    leases_order(world.servers[0], "a", &world.gcra, &take);
    ck_assert_int_eq(take.back, 0);
    world_end(&world);
}
END_TEST

/* Time has paid for them already. */
START_TEST(nothing_goes_back_once_the_burst_is_whole_again) {
    struct world world;
    struct script_take take = {.wanted = 1};
    world_start(&world, 60000, 10000);
    ck_assert(ask_often(&world, 0, 3000, 40));
    now_us += 5000000;
    leases_order(world.servers[0], "a", &world.gcra, &take);
    ck_assert_int_eq(take.back, 0);
    ck_assert_int_eq(take.ahead, 625); /* the pace is as it was: no request has said otherwise */
    world_end(&world);
}
END_TEST

START_TEST(what_remains_is_told_as_if_there_were_no_lease) {
    struct world world;
    world_start(&world, 10000, 10000);
    for (int i = 1; i <= 2000; i++) {
        now_us += 40;
        int64_t passed = (int64_t)i * 40 / 6000; /* so many has time paid off */
        struct rate_answer answer = ask(&world, 0);
        ck_assert_int_le(answer.remaining, 10000 - i + passed);
        ck_assert_int_ge(answer.remaining, 10000 - i - 1);
    }
    ck_assert_int_lt(world.trips, 1000);
    world_end(&world);
}
END_TEST

START_TEST(an_order_that_is_not_answered_is_given_again) {
    struct world world;
    struct script_take first = {.wanted = 1};
    struct script_take second = {.wanted = 1};
    struct rate_answer answer;
    world_start(&world, 100000000, 100000);
    struct leases *leases = world.servers[0];
    for (int i = 0; i < 1000; i++) { /* 25,000 a second, none answered yet */
        now_us += 40;
        ck_assert(!leases_take(leases, "a", &world.gcra, &answer));
    }
    leases_order(leases, "a", &world.gcra, &first);
    leases_order(leases, "a", &world.gcra, &second);
    ck_assert_int_eq(first.ahead, 625);
    ck_assert_int_eq(second.ahead, 0);
    now_us += 60000;
    leases_order(leases, "a", &world.gcra, &second);
    ck_assert_int_eq(second.ahead, 625);
    world_end(&world);
}
END_TEST

START_TEST(a_reply_that_comes_too_late_is_not_used) {
    struct world world;
    struct script_take take = {.wanted = 1};
    struct rate_answer answer;
    world_start(&world, 6000, 100000);
    struct leases *leases = world.servers[0];
    for (int i = 0; i < 1000; i++) {
        now_us += 40;
        ck_assert(!leases_take(leases, "a", &world.gcra, &answer));
    }
    leases_order(leases, "a", &world.gcra, &take);
    struct script_grant grant = redis(&world, &take);
    now_us += 60000;
    leases_fill(leases, "a", &grant);
    ck_assert(!leases_take(leases, "a", &world.gcra, &answer));
    leases_order(leases, "a", &world.gcra, &take);
    ck_assert_int_gt(take.back, 0);
    world_end(&world);
}
END_TEST

START_TEST(a_flood_of_subjects_does_not_free_a_live_lease) {
    struct world world;
    world_start(&world, 100000000, 100000);
    ck_assert(ask_often(&world, 0, 1001, 40));
    world.trips = 0;
    for (int i = 0; i < 100000; i++) {
        char subject[32];
        struct rate_answer answer;
        snprintf(subject, sizeof subject, "address:%d", i);
        ck_assert(!leases_take(world.servers[0], subject, &world.gcra, &answer));
    }
    ck_assert(ask_often(&world, 0, 10, 40));
    ck_assert_int_le(world.trips, 1);
    world_end(&world);
}
END_TEST

Suite *lease_suite(void);
Suite *lease_suite(void) {
    Suite *suite = suite_create("lease");
    TCase *cases = tcase_create("lease");
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, a_busy_subject_seldom_asks_redis);
    tcase_add_test(cases, a_calm_subject_is_counted_one_by_one);
    tcase_add_loop_test(cases, a_small_burst_is_exact_to_the_last_request, 0, 3);
    tcase_add_test(cases, servers_together_never_grant_more_than_the_limit);
    tcase_add_loop_test(cases, pressing_servers_are_granted_the_limit, 0, 3);
    tcase_add_test(cases, what_one_server_holds_is_hardly_missed_on_another);
    tcase_add_test(cases, what_was_not_used_goes_back);
    tcase_add_test(cases, nothing_goes_back_once_the_burst_is_whole_again);
    tcase_add_test(cases, what_remains_is_told_as_if_there_were_no_lease);
    tcase_add_test(cases, an_order_that_is_not_answered_is_given_again);
    tcase_add_test(cases, a_reply_that_comes_too_late_is_not_used);
    tcase_add_test(cases, a_flood_of_subjects_does_not_free_a_live_lease);
    suite_add_tcase(suite, cases);
    return suite;
}
