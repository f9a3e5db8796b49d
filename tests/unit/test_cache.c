/* The limiter as its callers see it: against no Redis, a silent one, and one that answers as each test wants.
 */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cache/cache.h"
#include "cache/local.h"
#include "sys/clock.h"

#define TIMEOUT_MS 200 /* long enough for sanitizers on a loaded machine */

static const struct rate_limit wide = {.limit = 1000000, .window_ms = 60000, .burst = 1000000};

/* --- the table inside the process --- */

static _Atomic int64_t test_us = 1000;

static int64_t test_clock_us(void) {
    return atomic_load(&test_us);
}

START_TEST(subjects_have_limits_of_their_own) {
    struct local *local = local_new(test_clock_us);
    struct gcra gcra = {.interval = TICKS_PER_US, .tolerance = 2 * TICKS_PER_US};
    for (int i = 0; i < 2; i++) {
        ck_assert(local_take(local, "a", &gcra).allowed);
        ck_assert(local_take(local, "b", &gcra).allowed);
    }
    struct rate_answer refused = local_take(local, "a", &gcra);
    ck_assert(!refused.allowed && refused.local);
    ck_assert(!local_take(local, "b", &gcra).allowed);
    atomic_fetch_add(&test_us, 1);
    ck_assert(local_take(local, "a", &gcra).allowed);
    local_free(local);
}
END_TEST

START_TEST(a_flood_of_subjects_does_not_free_who_has_used_up_its_limit) {
    struct local *local = local_new(test_clock_us);
    struct gcra gcra = {.interval = 100, .tolerance = 1000};
    while (local_take(local, "greedy", &gcra).allowed) {
    }
    for (int i = 0; i < 100000; i++) {
        char subject[32];
        snprintf(subject, sizeof subject, "address:%d", i);
        ck_assert(local_take(local, subject, &gcra).allowed);
    }
    ck_assert(!local_take(local, "greedy", &gcra).allowed);
    local_free(local);
}
END_TEST

struct greedy {
    struct local *local;
    int64_t allowed;
};

static void *take_many(void *context) {
    struct greedy *greedy = context;
    struct gcra gcra = {.interval = 1, .tolerance = 5000};
    for (int i = 0; i < 3000; i++) {
        greedy->allowed += local_take(greedy->local, "one", &gcra).allowed ? 1 : 0;
    }
    return NULL;
}

START_TEST(threads_share_a_limit_exactly) {
    struct greedy greedy[4] = {{NULL, 0}};
    pthread_t threads[4];
    int64_t allowed = 0;
    struct local *local = local_new(test_clock_us);
    for (size_t i = 0; i < 4; i++) {
        greedy[i].local = local;
        pthread_create(&threads[i], NULL, take_many, &greedy[i]);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        allowed += greedy[i].allowed;
    }
    ck_assert_int_eq(allowed, 5000);
    local_free(local);
}
END_TEST

static struct local *delayed;
static const struct gcra ten = {.interval = TICKS_PER_US, .tolerance = 10 * TICKS_PER_US};
static _Thread_local bool without_cpu;

/* The time of a thread that then gets no CPU for long. */
static int64_t slow_clock_us(void) {
    if (without_cpu) {
        clock_sleep_ms(100);
        return 1000;
    }
    return 2000;
}

static void *take_without_cpu(void *context) {
    without_cpu = true;
    *(bool *)context = local_take(delayed, "one", &ten).allowed;
    return NULL;
}

START_TEST(who_was_without_cpu_is_not_refused_for_it) {
    bool allowed = false;
    pthread_t thread;
    delayed = local_new(slow_clock_us);
    pthread_create(&thread, NULL, take_without_cpu, &allowed);
    clock_sleep_ms(20);
    ck_assert(local_take(delayed, "one", &ten).allowed);
    pthread_join(thread, NULL);
    ck_assert(allowed);
    local_free(delayed);
}
END_TEST

/* --- a Redis that does as it is told --- */

/* Answers one command; false: closes the connection. `number` counts the commands of a connection from 0. */
typedef bool (*play)(int socket, int number, char *const *words, int count);

struct fake {
    int listener;
    int port;
    play play;
    pthread_t thread;
    _Atomic int connections;
};

#define WORDS_MAX 10

static bool say(int socket, const char *text) {
    return send(socket, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

/* Reads one command (*N, then $LEN and a word, N times). */
static int read_command(FILE *in, char words[WORDS_MAX][1200]) {
    int count = 0;
    if (fscanf(in, "*%d\r\n", &count) != 1 || count < 1 || count > WORDS_MAX) {
        return 0;
    }
    for (int i = 0; i < count; i++) {
        size_t len = 0;
        if (fscanf(in, "$%zu", &len) != 1 || len >= 1200 || fgetc(in) != '\r' || fgetc(in) != '\n' ||
            fread(words[i], 1, len, in) != len || fgetc(in) != '\r' || fgetc(in) != '\n') {
            return 0;
        }
        words[i][len] = '\0';
    }
    return count;
}

static void *fake_run(void *context) {
    struct fake *fake = context;
    int socket;
    while ((socket = accept(fake->listener, NULL, NULL)) >= 0) {
        static char words[WORDS_MAX][1200];
        char *pointers[WORDS_MAX];
        FILE *in = fdopen(socket, "r");
        int count;
        atomic_fetch_add(&fake->connections, 1);
        for (int i = 0; i < WORDS_MAX; i++) {
            pointers[i] = words[i];
        }
        for (int number = 0; (count = read_command(in, words)) > 0; number++) {
            if (!fake->play(socket, number, pointers, count)) {
                break;
            }
        }
        fclose(in);
    }
    return NULL;
}

static void fake_start(struct fake *fake, play script) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    *fake = (struct fake){.play = script, .listener = socket(AF_INET, SOCK_STREAM, 0)};
    ck_assert_int_eq(bind(fake->listener, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(fake->listener, 8), 0);
    getsockname(fake->listener, (struct sockaddr *)&address, &len);
    fake->port = ntohs(address.sin_port);
    if (script != NULL) {
        pthread_create(&fake->thread, NULL, fake_run, fake);
    }
}

static void fake_stop(struct fake *fake) {
    shutdown(fake->listener, SHUT_RDWR);
    if (fake->play != NULL) {
        pthread_join(fake->thread, NULL);
    }
    close(fake->listener);
}

static struct cache *start_on(struct settings *settings, char *url, size_t size, int port) {
    char error[200];
    snprintf(url, size, "redis://127.0.0.1:%d", port);
    *settings = (struct settings){
        .redis_url = url, .redis_ca = "", .redis_timeout_ms = TIMEOUT_MS, .max_instances = 1};
    struct cache *cache = cache_start(settings, error, sizeof error);
    ck_assert_msg(cache != NULL, "%s", error);
    return cache;
}

static void wait_state(const struct cache *cache, enum cache_state state) {
    for (int i = 0; i < 1000 && cache_state(cache) != state; i++) {
        clock_sleep_ms(10);
    }
    ck_assert_int_eq(cache_state(cache), state);
}

/* How many of the next requests Redis answered. */
static int from_redis(struct cache *cache, int requests) {
    int shared = 0;
    for (int i = 0; i < requests; i++) {
        struct rate_answer answer = cache_rate_check(cache, "account:1", &wide);
        ck_assert(answer.allowed);
        shared += answer.local ? 0 : 1;
    }
    return shared;
}

START_TEST(without_redis_the_process_counts) {
    struct settings settings = {.redis_url = "", .max_instances = 10};
    char error[200];
    struct cache *cache = cache_start(&settings, error, sizeof error);
    struct rate_limit limit = {.limit = 20, .window_ms = 60000, .burst = 10};
    ck_assert_int_eq(cache_state(cache), CACHE_NOT_CONFIGURED);
    for (int i = 0; i < 10; i++) {
        ck_assert(cache_rate_check(cache, "account:1", &limit).allowed);
    }
    ck_assert(!cache_rate_check(cache, "account:1", &limit).allowed);
    cache_stop(cache);
}
END_TEST

START_TEST(a_malformed_url_is_an_error) {
    struct settings settings = {.redis_url = "redis://:secret@host:x"};
    char error[200] = "";
    ck_assert_ptr_null(cache_start(&settings, error, sizeof error));
    ck_assert_str_eq(error, "REDIS_URL: the port must be a number from 1 to 65535");
}
END_TEST

START_TEST(nobody_listens) {
    struct fake fake;
    struct settings settings;
    char url[64];
    fake_start(&fake, NULL);
    fake_stop(&fake);
    struct cache *cache = start_on(&settings, url, sizeof url, fake.port);
    ck_assert_int_eq(from_redis(cache, 1000), 0);
    ck_assert_int_eq(cache_state(cache), CACHE_DEGRADED);
    cache_stop(cache);
}
END_TEST

START_TEST(it_accepts_and_says_nothing) {
    struct fake fake;
    struct settings settings;
    char url[64];
    fake_start(&fake, NULL);
    struct cache *cache = start_on(&settings, url, sizeof url, fake.port);
    ck_assert_int_eq(from_redis(cache, 1000), 0);
    cache_stop(cache);
    fake_stop(&fake);
}
END_TEST

static bool play_granting(int socket, int number, char *const *words, int count) {
    (void)number;
    char reply[64];
    const char *wanted = count == 9 ? words[6] : "0";
    snprintf(reply, sizeof reply, "*3\r\n:%s\r\n:%s\r\n:0\r\n", wanted, wanted);
    return say(socket, reply);
}

START_TEST(it_answers) {
    struct fake fake;
    struct settings settings;
    char url[64];
    fake_start(&fake, play_granting);
    struct cache *cache = start_on(&settings, url, sizeof url, fake.port);
    wait_state(cache, CACHE_UP);
    ck_assert_int_eq(from_redis(cache, 100), 100);
    cache_stop(cache);
    fake_stop(&fake);
}
END_TEST

static bool play_forgetful(int socket, int number, char *const *words, int count) {
    bool whole = strcmp(words[0], "EVAL") == 0;
    return number == 0 || whole ? play_granting(socket, number, words, count)
                                : say(socket, "-NOSCRIPT No matching script. Please use EVAL.\r\n");
}

START_TEST(it_has_forgotten_the_script) {
    struct fake fake;
    struct settings settings;
    char url[64];
    fake_start(&fake, play_forgetful);
    struct cache *cache = start_on(&settings, url, sizeof url, fake.port);
    wait_state(cache, CACHE_UP);
    ck_assert_int_eq(from_redis(cache, 10), 10);
    ck_assert_int_eq(atomic_load(&fake.connections), 1);
    cache_stop(cache);
    fake_stop(&fake);
}
END_TEST

/* Answers the third command too late for its caller, and before the connection is found slow; what is left at
 * that time is told apart by the debt. */
static bool play_late(int socket, int number, char *const *words, int count) {
    char reply[64];
    (void)words;
    (void)count;
    if (number == 2) {
        clock_sleep_ms(TIMEOUT_MS * 3 / 2);
    }
    snprintf(reply, sizeof reply, "*3\r\n:1\r\n:%d\r\n:0\r\n", number * TICKS_PER_US * 1000);
    return say(socket, reply);
}

START_TEST(a_late_reply_is_nobody_elses) {
    struct fake fake;
    struct settings settings;
    char url[64];
    fake_start(&fake, play_late);
    struct cache *cache = start_on(&settings, url, sizeof url, fake.port);
    wait_state(cache, CACHE_UP);
    struct rate_answer first = cache_rate_check(cache, "account:1", &wide);
    ck_assert(!first.local);
    struct rate_answer late = cache_rate_check(cache, "account:1", &wide);
    ck_assert(late.local);
    for (int number = 3; number < 6; number++) { /* the first of these waits behind the late one */
        struct rate_answer answer = cache_rate_check(cache, "account:1", &wide);
        ck_assert(!answer.local);
        ck_assert_int_eq(answer.reset_ms, number);
    }
    ck_assert_int_eq(atomic_load(&fake.connections), 1);
    cache_stop(cache);
    fake_stop(&fake);
}
END_TEST

/* Too late for every caller, but never silent for so long that the connection is found dead. */
static bool play_slow(int socket, int number, char *const *words, int count) {
    if (number > 0) {
        clock_sleep_ms(TIMEOUT_MS * 3 / 2);
    }
    return play_granting(socket, number, words, count);
}

START_TEST(slow_is_as_good_as_gone) {
    struct fake fake;
    struct settings settings;
    char url[64];
    fake_start(&fake, play_slow);
    struct cache *cache = start_on(&settings, url, sizeof url, fake.port);
    wait_state(cache, CACHE_UP);
    for (int i = 0; i < 20 && cache_state(cache) == CACHE_UP; i++) {
        ck_assert_int_eq(from_redis(cache, 1), 0);
        clock_sleep_ms(TIMEOUT_MS / 2);
    }
    ck_assert_int_eq(cache_state(cache), CACHE_DEGRADED);
    clock_sleep_ms(TIMEOUT_MS * 4); /* probes are as late, and change nothing */
    ck_assert_int_eq(cache_state(cache), CACHE_DEGRADED);
    ck_assert_int_eq(from_redis(cache, 1000), 0);
    cache_stop(cache);
    fake_stop(&fake);
}
END_TEST

static bool play_full(int socket, int number, char *const *words, int count) {
    return number < 3 ? play_granting(socket, number, words, count)
                      : say(socket, "-OOM command not allowed when used memory > 'maxmemory'.\r\n");
}

static bool play_nonsense(int socket, int number, char *const *words, int count) {
    return number < 3 ? play_granting(socket, number, words, count)
                      : say(socket, ":1\r\n+OK\r\n%junk\r\n\r\n");
}

static bool play_hanging_up(int socket, int number, char *const *words, int count) {
    return number < 3 && play_granting(socket, number, words, count);
}

START_TEST(whatever_it_says_requests_are_answered_and_it_is_used_again) {
    static const play plays[] = {play_full, play_nonsense, play_hanging_up};
    struct fake fake;
    struct settings settings;
    char url[64];
    fake_start(&fake, plays[_i]);
    struct cache *cache = start_on(&settings, url, sizeof url, fake.port);
    wait_state(cache, CACHE_UP);
    ck_assert_int_eq(from_redis(cache, 10), 2); /* the connection's first command was the probe */
    for (int round = 0; round < 3; round++) {
        wait_state(cache, CACHE_UP);
        ck_assert_int_ge(from_redis(cache, 10), 1);
    }
    ck_assert_int_ge(atomic_load(&fake.connections), 3);
    cache_stop(cache);
    fake_stop(&fake);
}
END_TEST

struct asking {
    struct cache *cache;
    int answered;
};

static void *ask_many(void *context) {
    struct asking *asking = context;
    for (int i = 0; i < 300; i++) {
        struct rate_answer answer =
            cache_rate_check(asking->cache, i % 2 == 0 ? "account:1" : "account:2", &wide);
        asking->answered += answer.allowed ? 1 : 0;
    }
    return NULL;
}

/* Every 50th command is answered at the very moment when its caller gives up. */
static bool play_on_the_edge(int socket, int number, char *const *words, int count) {
    if (number % 50 == 49) {
        clock_sleep_ms(TIMEOUT_MS);
    }
    return number < 400 && play_granting(socket, number, words, count);
}

START_TEST(many_threads_while_it_answers_late_and_hangs_up) {
    struct fake fake;
    struct settings settings;
    char url[64];
    struct asking asking[8] = {{NULL, 0}};
    pthread_t threads[8];
    fake_start(&fake, play_on_the_edge);
    struct cache *cache = start_on(&settings, url, sizeof url, fake.port);
    wait_state(cache, CACHE_UP);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        asking[i].cache = cache;
        pthread_create(&threads[i], NULL, ask_many, &asking[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        pthread_join(threads[i], NULL);
        ck_assert_int_eq(asking[i].answered, 300);
    }
    cache_stop(cache);
    fake_stop(&fake);
}
END_TEST

Suite *cache_suite(void);
Suite *cache_suite(void) {
    Suite *suite = suite_create("cache");
    TCase *cases = tcase_create("cache");
    signal(SIGPIPE, SIG_IGN);
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, subjects_have_limits_of_their_own);
    tcase_add_test(cases, a_flood_of_subjects_does_not_free_who_has_used_up_its_limit);
    tcase_add_test(cases, threads_share_a_limit_exactly);
    tcase_add_test(cases, who_was_without_cpu_is_not_refused_for_it);
    tcase_add_test(cases, without_redis_the_process_counts);
    tcase_add_test(cases, a_malformed_url_is_an_error);
    tcase_add_test(cases, nobody_listens);
    tcase_add_test(cases, it_accepts_and_says_nothing);
    tcase_add_test(cases, it_answers);
    tcase_add_test(cases, it_has_forgotten_the_script);
    tcase_add_test(cases, a_late_reply_is_nobody_elses);
    tcase_add_test(cases, slow_is_as_good_as_gone);
    tcase_add_loop_test(cases, whatever_it_says_requests_are_answered_and_it_is_used_again, 0, 3);
    tcase_add_test(cases, many_threads_while_it_answers_late_and_hangs_up);
    suite_add_tcase(suite, cases);
    return suite;
}
