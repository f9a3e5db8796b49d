#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "http/internal.h"
#include "http/route.h"
#include "obs/log.h"
#include "obs/metrics.h"
#include "sys/clock.h"
#include "sys/turn.h"

#define RESPONSE_BODY_BYTES_MAX (8 << 20) /* a list of 100 payments with 64 KB of metadata each */
#define NEXT_WAIT_MS 50                   /* a worker looks for another request this long */
#define RESPONSE_HEADERS_BYTES_MAX 4096
#define RESPONSE_HEAD_BYTES_MAX (RESPONSE_HEADERS_BYTES_MAX + 1024)

/* A request being answered. */
struct exchange {
    struct http_server *server;
    struct worker *worker;   /* NULL for the front's own answers */
    const struct head *head; /* NULL if it could not be parsed */
    const char *method;      /* for figures and logs: "other" if it is none that we know */
    int fd;
    struct http_request request;
    struct http_response response;
    struct route_match match;
    size_t body_bytes;
    bool admitted; /* has a place among the requests handled at once, until the answer is sent */
    bool close;
    bool rendered; /* the answer stands, as far as it was not sent, in these two */
    struct slice unsent_head, unsent_body;
    bool settled;       /* sent, or given up: counted and logged, and the connection is not ours any more */
    _Atomic bool tried; /* http_answer_now has done what it can */
    struct text head_text;
    char headers[512];
    char head_bytes[1024];
};

struct worker *worker_new(struct http_server *server, struct worker *base, unsigned depth) {
    struct worker *worker =
        malloc(sizeof *worker); /* not cleared: memory that nobody touches costs nothing */
    if (worker != NULL) {
        worker->server = server;
        worker->base = base == NULL ? worker : base;
        worker->depth = depth;
        worker->deeper = NULL;
        worker->next = NULL;
        worker->peer = NULL;
        worker->unserved = false;
        worker->date_s = -1;
    }
    return worker;
}

void worker_free(struct worker *worker) {
    while (worker != NULL) {
        struct worker *deeper = worker->deeper;
        free(worker);
        worker = deeper;
    }
}

static void start(struct exchange *x, struct http_server *server, const struct head *head, int fd,
                  char *reply, size_t reply_size) {
    memset(x, 0, offsetof(struct exchange, headers));
    x->server = server;
    x->head = head;
    x->method = head == NULL ? "other" : head->method_name;
    x->fd = fd;
    x->response.content_type = "application/json";
    text_init(&x->response.headers, x->headers, sizeof x->headers, RESPONSE_HEADERS_BYTES_MAX);
    text_init(&x->response.body, reply, reply_size, RESPONSE_BODY_BYTES_MAX);
}

static void describe(struct exchange *x, const struct worker *worker) {
    const struct head *head = &worker->head;
    struct http_request *request = &x->request;
    request->method = head->method == HTTP_HEAD ? HTTP_GET : head->method;
    request->query = head->query;
    request->content_type = head->content_type;
    request->idempotency_key = head->idempotency_key;
    request->authorization = head->authorization;
    request->forwarded_for = head->forwarded_for;
    request->remote_address = worker->peer->address;
    request->received_us = worker->begun_us;
    request->deadline_us = worker->begun_us + worker->server->options.request_timeout_ms * 1000;
    request->exchange = x;
    trace_read(head->request_id, head->traceparent, head->cloud_trace, &request->trace);
}

static bool refuse(struct exchange *x, enum problem_kind kind, const char *reason, const char *detail) {
    struct problem problem = {0};
    problem_set(&problem, kind, NULL, reason, "%s", detail);
    http_problem(&x->request, &x->response, &problem);
    return false;
}

static bool answer_options(struct exchange *x, unsigned methods) {
    char allow[ROUTE_ALLOW_SIZE];
    route_allow(methods, allow);
    http_header(&x->response, "Allow", allow);
    x->response.status = 204;
    return false;
}

/* What the media type and encoding of a body must be. */
static bool check_media(struct exchange *x) {
    const struct head *head = x->head;
    if (head->content_encoding.data != NULL && !head_equal(head->content_encoding, "identity")) {
        return refuse(x, PROBLEM_UNSUPPORTED_MEDIA, "content_encoding", "The body must not be compressed.");
    }
    if (!x->request.route->json_body) {
        return true;
    }
    if (x->request.route->body_optional && head->content_length <= 0 && !head->chunked) {
        return true;
    }
    if (head->content_length < 0 && !head->chunked) {
        return refuse(x, PROBLEM_LENGTH_REQUIRED, NULL,
                      "Content-Length or Transfer-Encoding: chunked is needed.");
    }
    return head_media_is_json(head->content_type) ||
           refuse(x, PROBLEM_UNSUPPORTED_MEDIA, "content_type",
                  "Content-Type must be application/json, in UTF-8.");
}

/* Decides by the head alone whether a handler shall run; if not, the answer is prepared. */
static bool choose(struct exchange *x) {
    const struct head *head = x->head;
    if (!head->method_known) {
        return refuse(x, PROBLEM_METHOD_UNKNOWN, NULL, "This server does not know the method.");
    }
    if (head->asterisk) {
        return answer_options(x, HTTP_GET | HTTP_POST);
    }
    route_find(x->server->routes, x->server->route_count, head->path, head->method, &x->match);
    if (x->match.any == NULL) {
        return refuse(x, PROBLEM_NOT_FOUND, NULL, "There is nothing at this path.");
    }
    if (head->method == HTTP_OPTIONS) {
        return answer_options(x, x->match.methods);
    }
    if (x->match.route == NULL) {
        char allow[ROUTE_ALLOW_SIZE];
        route_allow(x->match.methods, allow);
        http_header(&x->response, "Allow", allow);
        return refuse(x, PROBLEM_METHOD_NOT_ALLOWED, NULL,
                      "The Allow header says which methods this path has.");
    }
    x->request.route = x->match.route;
    memcpy(x->request.parameters, x->match.parameters, sizeof x->request.parameters);
    if (head->expects_other) {
        return refuse(x, PROBLEM_EXPECTATION_FAILED, NULL, "The only expectation served is 100-continue.");
    }
    if (head->content_length > HTTP_BODY_BYTES_MAX) {
        return refuse(x, PROBLEM_BODY_TOO_LARGE, NULL, "A body may have 65536 bytes.");
    }
    return head->method != HTTP_POST || check_media(x);
}

static void leave(struct exchange *x) {
    if (x->admitted) {
        atomic_fetch_sub(&x->server->in_flight, 1);
        metric_add(METRIC_HTTP_IN_FLIGHT, -1);
    }
    x->admitted = false;
}

/* Takes a place among the requests handled at once. Unlimited routes need none: workers are in reserve for
 * them. */
static bool admit(struct exchange *x) {
    struct http_server *server = x->server;
    if (x->request.route->unlimited) {
        return true;
    }
    metric_add(METRIC_HTTP_IN_FLIGHT, 1);
    x->admitted = true;
    if (atomic_fetch_add(&server->in_flight, 1) < server->options.max_concurrency &&
        clock_monotonic_us() < x->request.deadline_us) {
        return true;
    }
    leave(x);

    return refuse(x, PROBLEM_OVERLOADED, "concurrency", "Too many requests at once; nothing was done.");
}

/* True if nothing of the request's body is still to come. */
static bool body_is_here(const struct worker *worker) {
    return !worker->head.chunked &&
           (worker->head.content_length <= 0 || worker->body_have == (size_t)worker->head.content_length);
}

/* Only POST has a use for a body. Another request's is not waited for: what did not come with the head ends
 * the connection after the answer. */
static bool read_body(struct exchange *x, struct worker *worker, struct body *body) {
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct problem problem = {0};
    bool whole = body_is_here(worker);
    int64_t body_deadline_us = x->request.received_us + x->server->options.body_timeout_ms * 1000;
    if (x->head->method != HTTP_POST) {
        x->close = x->close || !whole;
        return true;
    }
    bool asked = whole || !x->head->expects_continue ||
                 client_send(x->server, x->fd, slice_of(go_on), (struct slice){NULL, 0}, body_deadline_us);
    if (!asked || !body_read(worker, body, &problem)) {
        x->close = true;
        if (asked) {
            http_problem(&x->request, &x->response, &problem);
        }
        return false;
    }
    x->request.body = body->bytes;
    if (!whole) {
        x->request.deadline_us = clock_monotonic_us() + x->server->options.request_timeout_ms * 1000;
    }
    return true;
}

/* True if its handler waits for moments only, outside of http_wait_next. */
static bool is_short(const struct http_route *route) {
    return route->early || route->unlimited;
}

static void handle(struct exchange *x, struct worker *worker) {
    struct body body;
    if (!choose(x) || !admit(x)) {
        x->close = x->close || !body_is_here(worker);
        return;
    }
    body = (struct body){0};
    if (read_body(x, worker, &body)) {
        if (!is_short(x->request.route)) {
            turn_give_up();
        }
        x->request.route->handler(&x->request, &x->response, x->server->context);
    }
    body_free(&body);
}

/* A handler that set no status, or whose answer did not fit, is a bug of ours. */
static void check_response(struct exchange *x) {
    if (x->response.status >= 200 && x->response.status <= 599 && !x->response.body.failed &&
        !x->response.headers.failed) {
        return;
    }
    text_clear(&x->response.headers);
    refuse(x, PROBLEM_INTERNAL, NULL, "The request could not be answered.");
}

/* Makes the answer's bytes. False if there is no memory for them. */
static bool render(struct exchange *x, const char *date) {
    struct text *body = &x->response.body;
    check_response(x);
    const struct reply reply = {
        .status = x->response.status,
        .content_type = x->response.content_type,
        .headers = {x->response.headers.data, x->response.headers.len},
        .body_bytes = body->len,
        .close = x->close,
        .keep_alive = x->head != NULL && x->head->version_1_0,
        .request_id = x->request.trace.request_id,
        .date = date,
    };
    text_init(&x->head_text, x->head_bytes, sizeof x->head_bytes, RESPONSE_HEAD_BYTES_MAX);
    response_head(&reply, &x->head_text);
    bool head_only = reply.status == 204 || (x->head != NULL && x->head->method == HTTP_HEAD);
    x->unsent_head = (struct slice){x->head_text.data, x->head_text.len};
    x->unsent_body = (struct slice){body->data, head_only ? 0 : body->len};
    x->body_bytes = x->unsent_body.len;
    x->rendered = true;
    return !x->head_text.failed;
}

/* Counts and logs. Probes and scrapes are logged at debug level only. */
static void record(struct exchange *x, int64_t begun_us) {
    const struct http_route *route = x->match.any;
    const struct http_server *server = x->server;
    unsigned index = route == NULL ? server->other_metric : server->route_metrics[route - server->routes];
    int64_t duration_us = clock_monotonic_us() - begun_us;
    metrics_request(x->method, index, x->response.status, duration_us);
    if (route == NULL || !route->unlimited || log_enabled(LOG_DEBUG)) {
        const struct trace *trace = &x->request.trace;
        log_request(&(struct log_request){
            .method = x->method,
            .route = route == NULL ? "other" : route->path,
            .status = x->response.status,
            .duration_us = duration_us,
            .request_bytes = x->request.body.len,
            .response_bytes = x->body_bytes,
            .request_id = trace->request_id,
            .trace_id = trace->trace_id,
            .span_id = trace->span_id,
            .trace_sampled = trace->sampled,
            .problem = x->response.problem,
            .object_id = x->response.object_id[0] == '\0' ? NULL : x->response.object_id,
        });
    }
    text_free(&x->response.headers);
    text_free(&x->response.body);
    text_free(&x->head_text);
}

/* The Date header, made once a second. */
static const char *today(struct worker *worker) {
    int64_t now_s = clock_wall_ms() / 1000;
    if (now_s != worker->date_s) {
        worker->date_s = now_s;
        response_date(now_s, worker->date);
    }
    return worker->date;
}

/* The answer is sent, or will never be. */
static void settle(struct exchange *x, bool sent) {
    struct worker *worker = x->worker;
    enum fate fate = !sent ? FATE_DROP : (x->close ? FATE_CLOSE : FATE_PARK);
    leave(x);
    front_return(x->server->front, worker->peer, fate, worker->more);
    record(x, worker->begun_us);
    x->settled = true;
}

/* Sends what was not sent by http_answer_now. That can take its time, so another client's connection that
 * this thread was to take next goes back to all. */
static void answer(struct exchange *x) {
    struct worker *base = x->worker->base;
    if (x->settled) {
        return;
    }
    if (base->next != NULL) {
        front_return(x->server->front, base->next, FATE_PARK, true);
        base->next = NULL;
    }
    int64_t deadline_us = clock_monotonic_us() + x->server->options.request_timeout_ms * 1000;
    bool sent = (x->rendered || render(x, today(x->worker))) &&
                client_send(x->server, x->fd, x->unsent_head, x->unsent_body, deadline_us);
    settle(x, sent);
}

void http_answer_now(const struct http_request *request) {
    struct exchange *x = request->exchange;
    x->close = x->close || atomic_load(&x->server->draining);
    bool usable = render(x, today(x->worker)) && client_try_send(x->fd, &x->unsent_head, &x->unsent_body);
    if (!usable || x->unsent_head.len + x->unsent_body.len == 0) {
        settle(x, usable);
    }
    atomic_store(&x->tried, true);
}

/* The worker for a request inside this one; NULL at the depth's end or without memory. */
static struct worker *deeper(struct worker *worker) {
    if (worker->deeper == NULL && worker->depth + 1 < WORKER_DEPTH_MAX) {
        worker->deeper = worker_new(worker->server, worker->base, worker->depth + 1);
    }
    return worker->deeper;
}

void http_wait_next(const struct http_request *request) {
    struct exchange *x = request->exchange;
    struct worker *base = x->worker->base;
    struct worker *other = deeper(x->worker);
    while (other != NULL && !atomic_load(&x->tried)) {
        other->peer = base->next != NULL ? base->next : front_take(x->server->front, NEXT_WAIT_MS);
        base->next = NULL;
        if (other->peer == NULL) {
            return;
        }
        if (atomic_load(&x->tried)) {
            base->next = other->peer; /* taken up again where this request was */
        } else if (exchange_receive(other)) {
            exchange_serve(other);
        } else if (other->declined) {
            return; /* so that it is not ours again at once */
        }
    }
}

static void answer_malformed(struct worker *worker, const struct problem *problem) {
    struct exchange x;
    const struct slice none = {NULL, 0};
    metric_add(METRIC_HTTP_MALFORMED, 1);
    start(&x, worker->server, NULL, worker->peer->fd, worker->reply, sizeof worker->reply);
    trace_read(none, none, none, &x.request.trace);
    http_problem(&x.request, &x.response, problem);
    x.close = true;
    x.worker = worker;
    answer(&x);
}

/* How much of the body is among the bytes that were looked at. */
static size_t body_among(const struct head *head, size_t have) {
    size_t behind = have - head->bytes;
    return head->content_length <= 0                ? 0
           : head->content_length < (int64_t)behind ? (size_t)head->content_length
                                                    : behind;
}

/* Takes from the socket what was looked at: the head, and of its body what is already there. The rest is left
 * where it is: nothing but this request is ever taken, so requests can neither run into one another nor get
 * lost. */
static bool take(struct worker *worker) {
    size_t len = worker->head.bytes + worker->body_have;
    ssize_t got = 0;
    do {
        got = recv(worker->peer->fd, worker->buffer, len, MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    return got == (ssize_t)len;
}

/* True if the request, which is accepted, may be served inside another: it takes moments only. */
static bool may_nest(const struct worker *worker) {
    const struct http_server *server = worker->server;
    struct route_match match;
    route_find(server->routes, server->route_count, worker->head.path, worker->head.method, &match);
    return body_is_here(worker) && (match.route == NULL || is_short(match.route));
}

/* Gives the connection back unserved. */
static bool give_back(struct worker *worker, enum fate fate, bool more) {
    front_return(worker->server->front, worker->peer, fate, more);
    return false;
}

bool exchange_receive(struct worker *worker) {
    struct problem problem = {0};
    struct peer *peer = worker->peer;
    ssize_t have = recv(peer->fd, worker->buffer, sizeof worker->buffer, MSG_PEEK | MSG_DONTWAIT);
    worker->declined = false;
    if (have <= 0) {
        bool silent = have < 0 && (errno == EAGAIN || errno == EINTR);
        enum fate fate = silent ? FATE_PARK : (have == 0 ? FATE_END : FATE_DROP);
        return give_back(worker, fate, have < 0 && errno == EINTR);
    }
    worker->begun_us = peer->ready_us != 0 ? peer->ready_us : clock_monotonic_us();
    peer->ready_us = 0;
    worker->more = true;
    switch (head_parse(worker->buffer, (size_t)have, &worker->head, &problem)) {
    case HEAD_PARTIAL:
        return give_back(worker, FATE_PARTIAL, false);
    case HEAD_REFUSED:
        answer_malformed(worker, &problem);
        return false;
    case HEAD_ACCEPTED:
        break;
    }
    worker->body_have = body_among(&worker->head, (size_t)have);
    worker->more = !body_is_here(worker) || (size_t)have > worker->head.bytes + worker->body_have;
    worker->declined = worker->depth > 0 && !may_nest(worker);
    if (worker->declined) {
        return give_back(worker, FATE_PARK, true);
    }
    return take(worker) || give_back(worker, FATE_DROP, false);
}

void exchange_serve(struct worker *worker) {
    struct exchange x;
    start(&x, worker->server, &worker->head, worker->peer->fd, worker->reply, sizeof worker->reply);
    describe(&x, worker);
    x.worker = worker;
    x.close = !worker->head.keep_alive;
    handle(&x, worker);
    x.close = x.close || atomic_load(&worker->server->draining);
    answer(&x);
}

void exchange_head_timeout(struct http_server *server, const struct peer *peer) {
    struct exchange x;
    char reply[1024];
    char date[RESPONSE_DATE_SIZE];
    const struct slice none = {NULL, 0};
    start(&x, server, NULL, peer->fd, reply, sizeof reply);
    trace_read(none, none, none, &x.request.trace);
    refuse(&x, PROBLEM_REQUEST_TIMEOUT, "head_timeout", "The request's head did not arrive in time.");
    response_date(clock_wall_ms() / 1000, date);
    x.close = true;
    int64_t now_us = clock_monotonic_us();
    bool usable = render(&x, date) && client_try_send(x.fd, &x.unsent_head, &x.unsent_body);
    (void)usable; /* a client that does not read gets nothing: this thread never waits */
    record(&x, now_us - server->options.head_timeout_ms * 1000);
}
