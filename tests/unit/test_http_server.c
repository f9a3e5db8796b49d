/* The edge under slow, silent and too many clients, and while it stops. In this process, over real sockets.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/http.h"
#include "obs/metrics.h"
#include "sys/clock.h"

#define HEAD(method, path) method " " path " HTTP/1.1\r\nHost: x\r\n"
#define GET(path) HEAD("GET", path) "\r\n"
#define POST(length)                                                                                         \
    HEAD("POST", "/echo") "Content-Type: application/json\r\nContent-Length: " length "\r\n\r\n"
#define LONG_MS 60000

static _Atomic bool gate_open;
static _Atomic int at_gate;
static struct http_server *server;

static void answer_ok(const struct http_request *request, struct http_response *response, void *context) {
    (void)context;
    response->status = 200;
    text_add(&response->body, request->body.data, request->body.len);
}

static void wait_at_gate(const struct http_request *request, struct http_response *response, void *context) {
    atomic_fetch_add(&at_gate, 1);
    while (!atomic_load(&gate_open)) {
        clock_sleep_ms(2);
    }
    answer_ok(request, response, context);
}

static void forget_status(const struct http_request *request, struct http_response *response, void *context) {
    (void)request;
    (void)context;
    http_header(response, "X-Left", "over");
    text_add_string(&response->body, "left over");
}

static void overflow(const struct http_request *request, struct http_response *response, void *context) {
    static char value[5000];
    memset(value, 'a', sizeof value - 1);
    http_header(response, "X-Long", value);
    answer_ok(request, response, context);
}

static void answer_much(const struct http_request *request, struct http_response *response, void *context) {
    answer_ok(request, response, context);
    for (int i = 0; i < 200000; i++) {
        text_add_string(&response->body, "0123456789");
    }
}

/* As a handler does whose answer another thread has: `early` sends it, and the handler returns when the
 * client's next request has begun, or after a moment. */
struct early {
    const struct http_request *request;
    struct http_response *response;
    bool much;
};

static void *send_early(void *argument) {
    const struct early *early = argument;
    (early->much ? answer_much : answer_ok)(early->request, early->response, NULL);
    http_answer_now(early->request);
    return NULL;
}

static void answer_early_with(const struct http_request *request, struct http_response *response, bool much) {
    struct early early = {request, response, much};
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, send_early, &early), 0);
    http_wait_next(request);
    pthread_join(thread, NULL);
    while (!atomic_load(&gate_open)) {
        clock_sleep_ms(2);
    }
}

static void answer_early(const struct http_request *request, struct http_response *response, void *context) {
    (void)context;
    answer_early_with(request, response, false);
}

static void answer_much_early(const struct http_request *request, struct http_response *response,
                              void *context) {
    (void)context;
    answer_early_with(request, response, true);
}

static const struct http_route routes[] = {
    {.method = HTTP_GET, .path = "/health", .handler = answer_ok, .unlimited = true},
    {.method = HTTP_GET, .path = "/ok", .handler = answer_ok},
    {.method = HTTP_GET, .path = "/gate", .handler = wait_at_gate},
    {.method = HTTP_GET, .path = "/no-status", .handler = forget_status},
    {.method = HTTP_GET, .path = "/overflow", .handler = overflow},
    {.method = HTTP_GET, .path = "/much", .handler = answer_much},
    {.method = HTTP_POST, .path = "/early", .handler = answer_early, .json_body = true},
    {.method = HTTP_GET, .path = "/much-early", .handler = answer_much_early},
    {.method = HTTP_POST, .path = "/echo", .handler = answer_ok, .json_body = true},
    {.method = HTTP_POST,
     .path = "/optional",
     .handler = answer_ok,
     .json_body = true,
     .body_optional = true},
};

static struct http_options generous(void) {
    return (struct http_options){.max_concurrency = 4,
                                 .max_connections = 1000,
                                 .request_timeout_ms = LONG_MS,
                                 .head_timeout_ms = LONG_MS,
                                 .body_timeout_ms = LONG_MS,
                                 .keep_alive_ms = LONG_MS};
}

static void start(struct http_options options) {
    char error[200];
    server = http_start(&options, routes, ARRAY_LEN(routes), NULL, error, sizeof error);
    ck_assert_msg(server != NULL, "%s", error);
    ck_assert_str_eq(error, "");
    atomic_store(&gate_open, false);
    atomic_store(&at_gate, 0);
}

static void stop(void) {
    http_stop(server, 5000);
    ck_assert_int_eq(metric_get(METRIC_HTTP_CONNECTIONS), 0);
    ck_assert_int_eq(metric_get(METRIC_HTTP_IN_FLIGHT), 0);
}

static int dial_with(int receive_buffer_bytes) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    to.sin_port = htons((uint16_t)http_port(server));
    if (receive_buffer_bytes > 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
    }
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void say(int fd, const char *text) {
    ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static int dial(const char *text) {
    int fd = dial_with(0);
    say(fd, text);
    return fd;
}

/* Reads one answer (without a Content-Length only its head) and returns its status; 0 if the connection ends
 * before. */
static int status_of(int fd, char *answer, size_t size) {
    size_t len = 0;
    for (;;) {
        answer[len] = '\0';
        const char *end = strstr(answer, "\r\n\r\n");
        const char *length = strstr(answer, "Content-Length: ");
        if (end != NULL &&
            len >= (size_t)(end + 4 - answer) + (length == NULL ? 0 : strtoul(length + 16, NULL, 10))) {
            return (int)strtol(answer + 9, NULL, 10);
        }
        ssize_t got = recv(fd, answer + len, size - 1 - len, 0);
        if (got <= 0) {
            return 0;
        }
        len += (size_t)got;
    }
}

static void expect(int fd, int status, const char *inside) {
    char answer[4096];
    int found = status_of(fd, answer, sizeof answer);
    ck_assert_msg(found == status, "%d instead of %d: %s", found, status, answer);
    ck_assert_msg(inside == NULL || strstr(answer, inside) != NULL, "no %s in %s", inside, answer);
}

/* The server has closed and says no more; ends our side. */
static void expect_end(int fd) {
    char rest[16];
    ck_assert_int_le(recv(fd, rest, sizeof rest, 0), 0);
    close(fd);
}

static void expect_open(int fd) {
    say(fd, GET("/health"));
    expect(fd, 200, NULL);
    close(fd);
}

static void wait_until(bool (*reached)(int64_t), int64_t wanted) {
    for (int i = 0; i < 5000 && !reached(wanted); i++) {
        clock_sleep_ms(2);
    }
    ck_assert(reached(wanted));
}

static bool connections_are(int64_t wanted) {
    return metric_get(METRIC_HTTP_CONNECTIONS) == wanted;
}

static bool gate_has(int64_t wanted) {
    return atomic_load(&at_gate) == wanted;
}

START_TEST(silent_connections_end_without_a_word) {
    struct http_options options = generous();
    options.head_timeout_ms = 100;
    start(options);
    expect_end(dial(""));
    stop();
}
END_TEST

START_TEST(half_a_head_is_answered_408) {
    struct http_options options = generous();
    options.head_timeout_ms = 100;
    start(options);
    int64_t malformed = metric_get(METRIC_HTTP_MALFORMED);
    static const char *const halves[] = {"G", "GET /ok HTTP/1.1\r\n", "GET /ok HTTP/1.1\r\nHost: x\r\n\r",
                                         "\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(halves); i++) {
        int fd = dial(halves[i]);
        expect(fd, 408, "Connection: close\r\n");
        expect_end(fd);
    }
    ck_assert_int_eq(metric_get(METRIC_HTTP_MALFORMED) - malformed, (int64_t)ARRAY_LEN(halves));
    stop();
}
END_TEST

START_TEST(the_head_of_a_second_request_has_its_own_time_out) {
    struct http_options options = generous();
    options.head_timeout_ms = 100;
    start(options);
    int fd = dial(GET("/ok"));
    expect(fd, 200, NULL);
    say(fd, "GET /ok");
    expect(fd, 408, NULL);
    expect_end(fd);
    stop();
}
END_TEST

START_TEST(a_head_that_drips_in_is_not_given_more_time) {
    struct http_options options = generous();
    options.head_timeout_ms = 300;
    start(options);
    int fd = dial("");
    const char *text = GET("/ok");
    struct pollfd answered = {.fd = fd, .events = POLLIN};
    size_t sent = 0;
    while (sent < strlen(text) - 1 && poll(&answered, 1, 40) == 0) {
        send(fd, text + sent++, 1, MSG_NOSIGNAL);
    }
    ck_assert_uint_lt(sent, strlen(text) - 1);
    expect(fd, 408, NULL);
    close(fd);
    stop();
}
END_TEST

START_TEST(idle_connections_end) {
    struct http_options options = generous();
    options.keep_alive_ms = 100;
    start(options);
    int fd = dial(GET("/ok"));
    expect(fd, 200, NULL);
    expect_end(fd);
    stop();
}
END_TEST

START_TEST(half_a_body_is_answered_408) {
    struct http_options options = generous();
    options.body_timeout_ms = 100;
    start(options);
    static const char *const halves[] = {POST("5"), POST("5") "1234",
                                         HEAD("POST", "/echo") "Content-Type: application/json\r\n"
                                                               "Transfer-Encoding: chunked\r\n\r\n5\r\n1"};
    for (size_t i = 0; i < ARRAY_LEN(halves); i++) {
        int fd = dial(halves[i]);
        expect(fd, 408, "body_timeout");
        expect_end(fd);
    }
    stop();
}
END_TEST

START_TEST(a_body_may_be_optional) {
    start(generous());
    int fd = dial(HEAD("POST", "/optional") "\r\n");
    expect(fd, 200, NULL);
    say(fd, HEAD("POST", "/optional") "Content-Length: 0\r\n\r\n");
    expect(fd, 200, NULL);
    say(fd, HEAD("POST", "/optional") "Content-Length: 2\r\n\r\n{}");
    expect(fd, 415, NULL);
    say(fd, HEAD("POST", "/optional") "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
    expect(fd, 200, "{}");
    expect_open(fd);
    stop();
}
END_TEST

START_TEST(a_handler_that_fails_is_answered_500) {
    start(generous());
    char answer[4096];
    int fd = dial(GET("/no-status"));
    ck_assert_int_eq(status_of(fd, answer, sizeof answer), 500);
    ck_assert_ptr_null(strstr(answer, "X-Left"));
    ck_assert_ptr_null(strstr(answer, "left over"));
    ck_assert_ptr_nonnull(strstr(answer, "application/problem+json"));
    say(fd, GET("/overflow"));
    expect(fd, 500, NULL);
    expect_open(fd);
    stop();
}
END_TEST

START_TEST(beyond_the_limit_requests_are_refused_and_probes_are_not) {
    struct http_options options = generous();
    options.max_concurrency = 2;
    start(options);
    int first = dial(GET("/gate"));
    int second = dial(GET("/gate"));
    wait_until(gate_has, 2);
    ck_assert_int_eq(metric_get(METRIC_HTTP_IN_FLIGHT), 2);
    int third = dial(GET("/ok"));
    expect(third, 503, "Retry-After: 1\r\n");
    expect_open(third);
    atomic_store(&gate_open, true);
    expect(first, 200, NULL);
    expect(second, 200, NULL);
    say(first, GET("/ok"));
    expect(first, 200, NULL);
    close(first);
    close(second);
    stop();
}
END_TEST

START_TEST(slow_bodies_hold_half_of_the_workers_at_most) {
    enum { WAITERS = (44 + 32) / 2 };
    struct http_options options = generous();
    options.max_concurrency = 44;
    start(options);
    struct pollfd slow[WAITERS + 1];
    for (int i = 0; i <= WAITERS; i++) {
        slow[i] = (struct pollfd){.fd = dial(POST("5")), .events = POLLIN};
    }
    ck_assert_int_eq(poll(slow, WAITERS + 1, 10000), 1); /* one too many */
    int whole = dial(POST("5") "12345");
    expect(whole, 200, "12345");
    close(whole);
    for (int i = 0; i <= WAITERS; i++) {
        if (slow[i].revents != 0) {
            expect(slow[i].fd, 503, "slow_bodies");
        } else {
            say(slow[i].fd, "12345");
            expect(slow[i].fd, 200, "12345");
        }
        close(slow[i].fd);
    }
    stop();
}
END_TEST

START_TEST(connections_are_capped) {
    struct http_options options = generous();
    options.max_connections = 3;
    start(options);
    int64_t refused = metric_get(METRIC_HTTP_CONNECTIONS_REFUSED);
    int fds[3];
    for (int i = 0; i < 3; i++) {
        fds[i] = dial("");
    }
    wait_until(connections_are, 3);
    expect_end(dial_with(0));
    ck_assert_int_eq(metric_get(METRIC_HTTP_CONNECTIONS_REFUSED) - refused, 1);
    close(fds[0]);
    wait_until(connections_are, 2);
    expect_open(dial_with(0));
    close(fds[1]);
    close(fds[2]);
    stop();
}
END_TEST

START_TEST(connections_of_one_address_are_capped) {
    struct http_options options = generous();
    options.max_connections_per_address = 2;
    start(options);
    int first = dial("");
    int second = dial("");
    wait_until(connections_are, 2);
    expect_end(dial_with(0));
    close(first);
    wait_until(connections_are, 1);
    expect_open(dial_with(0));
    close(second);
    stop();
}
END_TEST

START_TEST(many_idle_connections_are_all_served) {
    enum { MANY = 500 };
    static int fds[MANY];
    start(generous()); /* 36 workers */
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < MANY; i++) {
            fds[i] = round == 0 ? dial(GET("/ok")) : fds[i];
            if (round > 0) {
                say(fds[i], GET("/ok"));
            }
            expect(fds[i], 200, NULL);
        }
    }
    ck_assert_int_eq(metric_get(METRIC_HTTP_CONNECTIONS), MANY);
    for (int i = 0; i < MANY; i++) {
        close(fds[i]);
    }
    wait_until(connections_are, 0);
    stop();
}
END_TEST

START_TEST(a_client_that_does_not_read_is_cut_off) {
    struct http_options options = generous();
    options.request_timeout_ms = 200;
    start(options);
    int fd = dial_with(4096);
    say(fd, GET("/much"));
    wait_until(connections_are, 1);
    wait_until(connections_are, 0);
    close(fd);
    stop();
}
END_TEST

START_TEST(a_client_that_reads_slowly_gets_everything) {
    start(generous());
    int fd = dial_with(4096);
    static char answer[2001000];
    say(fd, GET("/much"));
    clock_sleep_ms(50);
    ck_assert_int_eq(status_of(fd, answer, sizeof answer), 200);
    close(fd);
    stop();
}
END_TEST

START_TEST(while_draining_every_answer_ends_its_connection) {
    start(generous());
    int old = dial(GET("/ok"));
    expect(old, 200, NULL);
    http_drain(server);
    say(old, GET("/ok"));
    expect(old, 200, "Connection: close\r\n");
    expect_end(old);
    int fresh = dial(GET("/ok"));
    expect(fresh, 200, "Connection: close\r\n");
    expect_end(fresh);
    stop();
}
END_TEST

static void *stop_in_thread(void *ignored) {
    (void)ignored;
    stop();
    return NULL;
}

START_TEST(stopping_waits_for_answers_and_ends_what_is_idle) {
    pthread_t stopper;
    start(generous());
    int idle = dial(GET("/ok"));
    expect(idle, 200, NULL);
    int busy = dial(GET("/gate"));
    int piped = dial(GET("/gate") GET("/ok"));
    wait_until(gate_has, 2);
    pthread_create(&stopper, NULL, stop_in_thread, NULL);
    expect_end(idle);
    atomic_store(&gate_open, true);
    expect(busy, 200, "Connection: close\r\n");
    expect_end(busy);
    expect(piped, 200, "Connection: close\r\n");
    close(piped);
    pthread_join(stopper, NULL);
}
END_TEST

START_TEST(stopping_serves_a_request_that_was_on_its_way) {
    pthread_t stopper;
    start(generous());
    int new_one = dial("");
    int half = dial("GET /ok HTTP/1.1\r\n");
    wait_until(connections_are, 2);
    pthread_create(&stopper, NULL, stop_in_thread, NULL);
    clock_sleep_ms(100);
    say(new_one, GET("/ok"));
    say(half, "Host: x\r\n\r\n");
    expect(new_one, 200, NULL);
    expect(half, 200, NULL);
    close(new_one);
    close(half);
    pthread_join(stopper, NULL);
}
END_TEST

START_TEST(stopping_cuts_what_is_slower_than_its_limit) {
    start(generous());
    int half = dial(POST("5") "123");
    wait_until(connections_are, 1);
    clock_sleep_ms(50);
    int64_t begun_us = clock_monotonic_us();
    http_stop(server, 100);
    ck_assert_int_lt(clock_monotonic_us() - begun_us, 5000000);
    ck_assert_int_eq(metric_get(METRIC_HTTP_CONNECTIONS), 0);
    close(half);
}
END_TEST

START_TEST(an_answer_of_another_thread_is_sent_while_the_handler_waits) {
    char answer[1000];
    const char *request =
        HEAD("POST", "/early") "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    start(generous());
    int fd = dial(request);
    ck_assert_int_eq(status_of(fd, answer, sizeof answer), 200); /* the gate is still closed */
    ck_assert_ptr_nonnull(strstr(answer, "\r\n\r\n{}"));
    atomic_store(&gate_open, true);
    say(fd, request); /* the connection goes on */
    ck_assert_int_eq(status_of(fd, answer, sizeof answer), 200);
    say(fd, request);
    say(fd, request); /* and pipelined requests are answered one after the other */
    ck_assert_int_eq(status_of(fd, answer, sizeof answer), 200);
    close(fd);
    stop();
}
END_TEST

START_TEST(what_the_socket_does_not_take_of_an_early_answer_is_sent_by_the_handlers_thread) {
    static char answer[2100000];
    start(generous());
    atomic_store(&gate_open, true);
    int fd = dial_with(4096);
    say(fd, GET("/much-early"));
    clock_sleep_ms(200); /* nothing is read until all buffers are full */
    ck_assert_int_eq(status_of(fd, answer, sizeof answer), 200);
    const char *body = strstr(answer, "\r\n\r\n") + 4;
    ck_assert_uint_eq(strlen(body), 2000000);
    for (size_t i = 0; i < 2000000; i++) {
        ck_assert_msg(body[i] == (char)('0' + i % 10), "byte %zu", i);
    }
    close(fd);
    stop();
}
END_TEST

START_TEST(a_taken_port_is_said_in_one_sentence) {
    struct http_options options = generous();
    char error[200] = "";
    start(options);
    options.port = http_port(server);
    ck_assert_ptr_null(http_start(&options, routes, ARRAY_LEN(routes), NULL, error, sizeof error));
    ck_assert_ptr_nonnull(strstr(error, "is taken"));
    stop();
}
END_TEST

/* Bytes that come until the server closes. A reset counts as less than nothing. */
static ssize_t read_to_the_end(int fd) {
    static char piece[65536];
    ssize_t all = 0;
    ssize_t got;
    while ((got = recv(fd, piece, sizeof piece, 0)) > 0) {
        all += got;
    }
    return got < 0 ? -all : all;
}

/* What is still in the server's socket when the client has ended its side must reach it: closing at once
 * would throw it away. */
START_TEST(a_client_that_has_finished_sending_gets_everything) {
    static const char *const endings[] = {GET("/much"), HEAD("GET", "/much") "Connection: close\r\n\r\n",
                                          GET("/much") "GET /half a head"};
    start(generous());
    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        int fd = dial_with(16384);
        say(fd, endings[i]);
        shutdown(fd, SHUT_WR);
        clock_sleep_ms(100);
        ssize_t got = read_to_the_end(fd);
        ck_assert_msg(got > 2000000, "%zd of request %zu", got, i);
        close(fd);
    }
    wait_until(connections_are, 0);
    stop();
}
END_TEST

static void sequence(Suite *suite, const char *name, const TTest *const *tests, size_t count) {
    TCase *cases = tcase_create(name);
    tcase_set_timeout(cases, 60);
    for (size_t i = 0; i < count; i++) {
        tcase_add_test(cases, tests[i]);
    }
    suite_add_tcase(suite, cases);
}

Suite *http_server_suite(void);
Suite *http_server_suite(void) {
    Suite *suite = suite_create("http server");
    const TTest *const slow[] = {silent_connections_end_without_a_word,
                                 half_a_head_is_answered_408,
                                 the_head_of_a_second_request_has_its_own_time_out,
                                 a_head_that_drips_in_is_not_given_more_time,
                                 idle_connections_end,
                                 half_a_body_is_answered_408,
                                 a_client_that_does_not_read_is_cut_off,
                                 a_client_that_reads_slowly_gets_everything,
                                 a_client_that_has_finished_sending_gets_everything};
    const TTest *const many[] = {beyond_the_limit_requests_are_refused_and_probes_are_not,
                                 slow_bodies_hold_half_of_the_workers_at_most, connections_are_capped,
                                 connections_of_one_address_are_capped, many_idle_connections_are_all_served};
    const TTest *const early[] = {
        an_answer_of_another_thread_is_sent_while_the_handler_waits,
        what_the_socket_does_not_take_of_an_early_answer_is_sent_by_the_handlers_thread};
    const TTest *const other[] = {a_body_may_be_optional,
                                  a_handler_that_fails_is_answered_500,
                                  while_draining_every_answer_ends_its_connection,
                                  stopping_waits_for_answers_and_ends_what_is_idle,
                                  stopping_serves_a_request_that_was_on_its_way,
                                  stopping_cuts_what_is_slower_than_its_limit,
                                  a_taken_port_is_said_in_one_sentence};
    sequence(suite, "slow clients", slow, ARRAY_LEN(slow));
    sequence(suite, "many clients", many, ARRAY_LEN(many));
    sequence(suite, "early answers", early, ARRAY_LEN(early));
    sequence(suite, "life", other, ARRAY_LEN(other));
    return suite;
}
