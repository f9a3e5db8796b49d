/* The whole way of a request: over a socket to the front, a worker and the API, to a store that answers at
 * once (wire_store.c), and the answer back. Everything in between is what ships.
 *
 * An input is one byte that says how the client behaves, and what it sends. Beside the server, the same bytes
 * are read here in one piece, one request after the other. However they were cut on their way, each request
 * must have one well-formed answer in its order, a handler must have got exactly that request's parts, and
 * after Connection: close nothing may come any more. */
#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/access.h"
#include "fuzz.h"
#include "http/chunked.h"
#include "http/head.h"
#include "obs/metrics.h"

#define ROUTES_MAX 32
#define HANDLED_MAX 4096
#define PIECES_MAX 48
#define CLIENT_RESETS 0x80 /* in the first byte: the client goes away without reading */
#define WITH_KEYS 0x40     /* PAYFLOW_AUTH=on */
#define CUTS 0x3f          /* 0: all at once */

int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct settings settings = {
    .key_cache_ms = 30000, .redis_url = "", .redis_ca = "", .max_instances = 1};
static struct api api = {.settings = &settings};
static struct http_server *server;
static struct http_route spied[ROUTES_MAX];
static const struct http_route *real[ROUTES_MAX];

/* --- what the handlers got
 * ------------------------------------------------------------------------------------- */

static uint32_t handled[HANDLED_MAX]; /* a hash of all that the handler was given */
static _Atomic size_t handled_count;

static uint32_t add_part(uint32_t hash, struct slice part) {
    char mark = part.data == NULL ? 0 : 1;
    hash = cursor_hash(cursor_hash(hash, part), (struct slice){(const char *)&part.len, sizeof part.len});
    return cursor_hash(hash, (struct slice){&mark, 1});
}

static uint32_t hash_of(struct slice path, struct slice query, struct slice body,
                        const struct slice *fields) {
    body.data = body.len == 0 ? NULL : body.data; /* none or empty: to a handler it is the same */
    uint32_t hash = add_part(add_part(add_part(CURSOR_HASH_SEED, path), query), body);
    for (size_t i = 0; i < 4; i++) {
        hash = add_part(hash, fields[i]);
    }
    return hash;
}

/* Stands before each handler. The answer says which call it belongs to. */
static void spy(const struct http_request *request, struct http_response *response, void *context) {
    const struct slice fields[] = {request->idempotency_key, request->authorization, request->forwarded_for,
                                   request->content_type};
    struct text path;
    char number[24];
    size_t parameter = 0;
    text_init(&path, NULL, 0, HTTP_TARGET_BYTES_MAX);
    for (const char *p = request->route->path; *p != '\0'; p++) {
        if (*p == '{') {
            text_add(&path, request->parameters[parameter].data, request->parameters[parameter].len);
            parameter++;
            p = strchr(p, '}');
        } else {
            text_add(&path, p, 1);
        }
    }
    size_t at = atomic_load(&handled_count);
    MUST(at < HANDLED_MAX && !path.failed);
    handled[at] = hash_of((struct slice){path.data, path.len}, request->query, request->body, fields);
    atomic_store(&handled_count, at + 1);
    text_free(&path);
    snprintf(number, sizeof number, "%zu", at);
    http_header(response, "X-Handled", number);
    real[request->route - spied]->handler(request, response, context);
}

/* --- what the client got
 * ---------------------------------------------------------------------------------------- */

struct answer {
    int status;
    bool close;
    long handled; /* which call of a handler; -1 if none was called */
    long length;
};

static struct slice take_line(struct slice *rest) {
    char *end = rest->len == 0 ? NULL : memmem(rest->data, rest->len, "\r\n", 2);
    MUST(end != NULL);
    struct slice line = {rest->data, (size_t)(end - rest->data)};
    *rest = (struct slice){end + 2, rest->len - line.len - 2};
    return line;
}

static long number_of(struct slice text) {
    long value = 0;
    MUST(text.len > 0 && text.len < 10);
    for (size_t i = 0; i < text.len; i++) {
        MUST(text.data[i] >= '0' && text.data[i] <= '9');
        value = value * 10 + (text.data[i] - '0');
    }
    return value;
}

static void note_header(struct slice name, struct slice value, struct answer *answer) {
    if (head_equal(name, "Content-Length")) {
        answer->length = number_of(value);
    } else if (head_equal(name, "X-Handled")) {
        answer->handled = number_of(value);
    } else if (head_equal(name, "Connection")) {
        answer->close = slice_equal(value, slice_of("close"));
        MUST(answer->close || slice_equal(value, slice_of("keep-alive")));
    }
}

static void check_body(struct slice body, bool json) {
    cJSON *tree = json ? cJSON_ParseWithLength(body.data, body.len) : NULL;
    MUST(!json || tree != NULL);
    cJSON_Delete(tree);
}

/* Takes one answer off, which must be well-formed by RFC 9112 and have what each of our answers has. */
static struct answer take_answer(struct slice *rest, bool to_head) {
    struct answer answer = {.handled = -1, .length = -1};
    struct slice names[32];
    size_t count = 0;
    bool json = false;
    struct slice line = take_line(rest);
    MUST(line.len > 13 && memcmp(line.data, "HTTP/1.1 ", 9) == 0 && line.data[12] == ' ');
    answer.status = (int)number_of((struct slice){line.data + 9, 3});
    for (line = take_line(rest); line.len > 0; line = take_line(rest)) {
        const char *colon = memchr(line.data, ':', line.len);
        MUST(colon != NULL && colon > line.data && count < ARRAY_LEN(names));
        struct slice name = {line.data, (size_t)(colon - line.data)};
        struct slice value = {colon + 2, line.len - name.len - 2};
        MUST(line.len >= name.len + 3 && colon[1] == ' ');
        for (size_t i = 0; i < line.len; i++) {
            MUST(line.data[i] >= ' ' && line.data[i] <= '~' &&
                 (i >= name.len || head_is_token_char(line.data[i])));
        }
        for (size_t i = 0; i < count; i++) {
            MUST(name.len != names[i].len || strncasecmp(name.data, names[i].data, name.len) != 0);
        }
        names[count++] = name;
        note_header(name, value, &answer);
        json = json || (head_equal(name, "Content-Type") && memmem(value.data, value.len, "json", 4) != NULL);
    }
    MUST(answer.status >= 200 && answer.status <= 599 && answer.status != 500);
    MUST((answer.status == 204) == (answer.length < 0) && count >= 4);
    if (answer.status != 204 && !to_head) {
        MUST((size_t)answer.length <= rest->len);
        check_body((struct slice){rest->data, (size_t)answer.length}, json);
        *rest = (struct slice){rest->data + answer.length, rest->len - (size_t)answer.length};
    }
    return answer;
}

/* --- what must be answered
 * ---------------------------------------------------------------------------------------- */

struct expected {
    enum head_result head_result;
    struct head head;
    struct problem problem;
    struct text chunks;
    struct slice body;
    bool whole;   /* the body is there and valid */
    size_t bytes; /* of head and body, if whole */
};

static void read_request(struct slice rest, struct expected *expected) {
    const struct head *head = &expected->head;
    struct chunked chunked = {0};
    size_t used = 0;
    expected->head_result =
        rest.len == 0 ? HEAD_PARTIAL : head_parse(rest.data, rest.len, &expected->head, &expected->problem);
    if (expected->head_result != HEAD_ACCEPTED) {
        return;
    }
    struct slice behind = {rest.data + head->bytes, rest.len - head->bytes};
    if (head->chunked) {
        text_clear(&expected->chunks);
        expected->whole =
            chunked_decode(&chunked, behind.data, behind.len, &used, &expected->chunks) == CHUNKED_DONE;
        expected->body = (struct slice){expected->chunks.data, expected->chunks.len};
    } else {
        used = head->content_length < 0 ? 0 : (size_t)head->content_length;
        expected->whole = used <= behind.len;
        expected->body = (struct slice){behind.data, used};
    }
    expected->bytes = head->bytes + used;
}

static void check_handled(const struct expected *expected, size_t call) {
    const struct head *head = &expected->head;
    const struct slice fields[] = {head->idempotency_key, head->authorization, head->forwarded_for,
                                   head->content_type};
    bool read = head->method == HTTP_POST; /* others' bodies are dropped */
    MUST(!read || expected->whole);
    MUST(handled[call] ==
         hash_of(head->path, head->query, read ? expected->body : (struct slice){NULL, 0}, fields));
}

/* The connection stays open where it may, and closes where what follows could be taken for a request. */
static void check_answer(const struct expected *expected, const struct answer *answer) {
    const struct head *head = &expected->head;
    bool no_body = !head->chunked && head->content_length <= 0;
    bool read = head->method == HTTP_POST && answer->handled >= 0;
    MUST(head->keep_alive || answer->close);
    MUST(answer->close || expected->whole);
    if (no_body || read) {
        MUST(answer->close == !head->keep_alive);
    }
}

static void check_answers(struct slice sent, struct slice got) {
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct expected expected;
    size_t calls = 0;
    bool closed = false;
    text_init(&expected.chunks, NULL, 0, HTTP_BODY_BYTES_MAX);
    for (read_request(sent, &expected); expected.head_result != HEAD_PARTIAL && !closed;) {
        if (got.len == 0 && !head_ready(sent.data, sent.len, 0)) {
            break; /* wrong already, but its end never came: nobody need have looked at it */
        }
        bool accepted = expected.head_result == HEAD_ACCEPTED;
        bool may_wait = accepted && expected.head.expects_continue && expected.head.method == HTTP_POST;
        if (may_wait && got.len >= sizeof go_on - 1 && memcmp(got.data, go_on, sizeof go_on - 1) == 0) {
            got = (struct slice){got.data + sizeof go_on - 1, got.len - (sizeof go_on - 1)};
        }
        struct answer answer = take_answer(&got, accepted && expected.head.method == HTTP_HEAD);
        if (accepted) {
            check_answer(&expected, &answer);
        } else {
            MUST(answer.close && answer.handled < 0);
            MUST(answer.status == problem_status(expected.problem.kind));
        }
        if (answer.handled >= 0) {
            MUST((size_t)answer.handled == calls);
            check_handled(&expected, calls++);
        }
        closed = answer.close;
        if (!closed) {
            sent = (struct slice){sent.data + expected.bytes, sent.len - expected.bytes};
            read_request(sent, &expected);
        }
    }
    MUST(got.len == 0);
    MUST(calls == atomic_load(&handled_count));
    text_free(&expected.chunks);
}

/* --- the client
 * ------------------------------------------------------------------------------------------------- */

/* Each from an address of its own, else the ports of the one would soon all be in TIME_WAIT. */
static int dial(void) {
    static uint32_t count;
    const int on = 1;
    struct sockaddr_in from = {.sin_family = AF_INET};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    from.sin_addr.s_addr = htonl(0x7f010001 + count++ % 0xfe0000);
    to.sin_port = htons((uint16_t)http_port(server));
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    MUST(fd >= 0 && bind(fd, (struct sockaddr *)&from, sizeof from) == 0);
    while (connect(fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EISCONN) {
        MUST(errno == EINTR || errno == EALREADY); /* libFuzzer has a timer */
    }
    return fd;
}

/* The server may close before all is sent: then what follows is lost, as it would be. */
static void send_cut(int fd, struct slice rest, unsigned cuts) {
    uint32_t random = cuts;
    for (unsigned pieces = 0; rest.len > 0; pieces++) {
        size_t len = rest.len;
        if (cuts != 0 && pieces < PIECES_MAX) {
            random = random * 1664525 + 1013904223;
            len = 1 + (random >> 8) % (1U << (1 + cuts % 12));
            len = len < rest.len ? len : rest.len;
        }
        ssize_t done = TEMP_FAILURE_RETRY(send(fd, rest.data, len, MSG_NOSIGNAL));
        if (done < 0) {
            return;
        }
        rest = (struct slice){rest.data + done, rest.len - (size_t)done};
        if (pieces % 8 == 0) {
            sched_yield(); /* more would only give the machine to others */
        }
    }
}

static void receive_all(int fd, struct text *got) {
    static char piece[65536];
    ssize_t len;
    while ((len = TEMP_FAILURE_RETRY(recv(fd, piece, sizeof piece, 0))) > 0) {
        text_add(got, piece, (size_t)len);
    }
    MUST(!got->failed);
}

/* A second client, served: then the front has taken up the one before, which may be gone already. */
static void wait_until_accepted(struct text *got) {
    int fd = dial();
    send_cut(fd, slice_of("GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), 0);
    receive_all(fd, got);
    close(fd);
    MUST(got->len > 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    const struct http_options options = {.max_concurrency = 8,
                                         .max_connections = 64,
                                         .request_timeout_ms = 60000,
                                         .head_timeout_ms = 60000,
                                         .body_timeout_ms = 60000,
                                         .keep_alive_ms = 60000};
    char error[200];
    size_t all = 0;
    size_t count = 0;
    const struct http_route *routes = api_routes(&all);
    (void)argc;
    (void)argv;
    signal(SIGPIPE, SIG_IGN);
    log_start(LOG_CRITICAL, false, "", "fuzz");
    for (size_t i = 0; i < all; i++) {
        if (strncmp(routes[i].path, "/api/", 5) == 0 || strcmp(routes[i].path, "/health") == 0) {
            MUST(count < ROUTES_MAX);
            real[count] = &routes[i];
            spied[count] = routes[i];
            spied[count++].handler = spy;
        }
    }
    api.keys = key_cache_new(settings.key_cache_ms);
    server = http_start(&options, spied, count, &api, error, sizeof error);
    MUST(api.keys != NULL && server != NULL);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    if (size == 0) {
        return 0;
    }
    struct slice sent = input_of(data + 1, size - 1);
    bool resets = (data[0] & CLIENT_RESETS) != 0;
    struct text got;
    text_init(&got, NULL, 0, 64 << 20);
    settings.auth = (data[0] & WITH_KEYS) != 0;
    atomic_store(&handled_count, 0);
    int fd = dial();
    send_cut(fd, sent, data[0] & CUTS);
    if (resets) {
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(fd);
        wait_until_accepted(&got);
    } else {
        shutdown(fd, SHUT_WR);
        receive_all(fd, &got);
        close(fd);
    }
    while (metric_get(METRIC_HTTP_CONNECTIONS) != 0) { /* or -timeout says that one was left */
        sched_yield();
    }
    MUST(metric_get(METRIC_HTTP_IN_FLIGHT) == 0);
    if (!resets) {
        check_answers(sent, (struct slice){got.data, got.len});
    }
    text_free(&got);
    return 0;
}
