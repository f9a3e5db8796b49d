#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "http/chunked.h"
#include "http/internal.h"

#define PIECE_BYTES 8192

/* One body on its way. */
struct reading {
    struct worker *worker;
    struct problem *problem;
    int64_t deadline_us;
};

static bool incomplete(struct reading *reading) {
    return problem_set(reading->problem, PROBLEM_MALFORMED_REQUEST, NULL, "incomplete_body",
                       "The connection ended before the body was complete.");
}

static bool too_large(struct reading *reading) {
    return problem_set(reading->problem, PROBLEM_BODY_TOO_LARGE, NULL, NULL, "A body may have %d bytes.",
                       HTTP_BODY_BYTES_MAX);
}

/* Waits for more bytes; false, with the problem set, if they don't come in time. */
static bool wait_readable(struct reading *reading) {
    struct http_server *server = reading->worker->server;
    switch (client_wait(server, reading->worker->peer->fd, POLLIN, reading->deadline_us)) {
    case CLIENT_READY:
        return true;
    case CLIENT_REFUSED:
        return problem_set(reading->problem, PROBLEM_OVERLOADED, NULL, "slow_bodies",
                           "Too many requests are still sending their bodies; nothing was done.");
    case CLIENT_TIMEOUT:
        break;
    }
    return problem_set(reading->problem, PROBLEM_REQUEST_TIMEOUT, NULL, "body_timeout",
                       "The body did not arrive within %lld ms; nothing was done.",
                       (long long)server->options.body_timeout_ms);
}

/* Receives at most `size` bytes, waiting for the first; 0 on failure, with the problem set. */
static size_t receive(struct reading *reading, char *out, size_t size, int flags) {
    for (;;) {
        ssize_t got = recv(reading->worker->peer->fd, out, size, flags | MSG_DONTWAIT);
        if (got > 0) {
            return (size_t)got;
        }
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got == 0 || errno != EAGAIN) {
            incomplete(reading);
            return 0;
        }
        if (!wait_readable(reading)) {
            return 0;
        }
    }
}

/* What did not come with the head. */
static bool read_rest(struct reading *reading, struct body *body) {
    struct worker *worker = reading->worker;
    size_t length = (size_t)worker->head.content_length; /* checked: at most HTTP_BODY_BYTES_MAX */
    char piece[PIECE_BYTES];
    text_add(&body->text, worker->buffer + worker->head.bytes, worker->body_have);
    for (size_t have = worker->body_have; have < length;) {
        size_t got = receive(reading, piece, length - have < sizeof piece ? length - have : sizeof piece, 0);
        if (got == 0) {
            return false;
        }
        text_add(&body->text, piece, got);
        have += got;
    }
    return true;
}

/* Looks before it takes: what follows the body in the socket is the next request's, and stays there. */
static bool read_chunked(struct reading *reading, struct body *body) {
    struct chunked chunked = {0};
    char piece[PIECE_BYTES];
    enum chunked_result result = CHUNKED_MORE;
    while (result == CHUNKED_MORE) {
        size_t used = 0;
        size_t got = receive(reading, piece, sizeof piece, MSG_PEEK);
        if (got == 0) {
            return false;
        }
        result = chunked_decode(&chunked, piece, got, &used, &body->text);
        if (result == CHUNKED_TOO_LARGE) {
            return too_large(reading);
        }
        if (result == CHUNKED_BAD) {
            return problem_set(reading->problem, PROBLEM_MALFORMED_REQUEST, NULL, "bad_chunk",
                               "The chunked body is malformed.");
        }
        if (receive(reading, piece, used, 0) != used) {
            return incomplete(reading);
        }
    }
    return true;
}

bool body_read(struct worker *worker, struct body *body, struct problem *problem) {
    const struct head *head = &worker->head;
    struct reading reading = {.worker = worker, .problem = problem};
    reading.deadline_us = worker->begun_us + worker->server->options.body_timeout_ms * 1000;
    text_init(&body->text, NULL, 0, HTTP_BODY_BYTES_MAX);
    if (!head->chunked && head->content_length <= (int64_t)worker->body_have) {
        body->bytes = (struct slice){worker->buffer + head->bytes, worker->body_have};
        return true;
    }
    bool read = head->chunked ? read_chunked(&reading, body) : read_rest(&reading, body);
    body->bytes = (struct slice){body->text.data == NULL ? "" : body->text.data, body->text.len};
    if (read && body->text.failed) {
        return problem_set(problem, PROBLEM_OVERLOADED, NULL, "memory",
                           "There is no memory left; nothing was done.");
    }
    return read;
}

void body_free(struct body *body) {
    text_free(&body->text);
}
