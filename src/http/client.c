#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "http/internal.h"
#include "sys/clock.h"
#include "sys/turn.h"

enum client_wait client_wait(struct http_server *server, int fd, short events, int64_t deadline_us) {
    struct pollfd wait = {.fd = fd, .events = events};
    int64_t left_ms = (deadline_us - clock_monotonic_us() + 999) / 1000;
    if (left_ms <= 0) {
        return CLIENT_TIMEOUT;
    }
    turn_give_up();
    int others = atomic_fetch_add(&server->client_waiters, 1);
    int ready = others < (int)server->worker_count / 2 ? poll(&wait, 1, (int)left_ms) : 0;
    int error = errno;
    atomic_fetch_sub(&server->client_waiters, 1);
    if (others >= (int)server->worker_count / 2) {
        return CLIENT_REFUSED;
    }
    return ready > 0 || (ready < 0 && error == EINTR) ? CLIENT_READY : CLIENT_TIMEOUT;
}

/* sendmsg takes char * for what it only reads. */
static struct iovec piece(struct slice text) {
    union {
        const char *read_only;
        void *base;
    } bytes = {.read_only = text.data};
    return (struct iovec){bytes.base, text.len};
}

bool client_try_send(int fd, struct slice *head, struct slice *body) {
    struct iovec pieces[2] = {piece(*head), piece(*body)};
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = body->len > 0 ? 2 : 1};
    ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
        return errno == EINTR || errno == EAGAIN;
    }
    size_t of_head = (size_t)sent < head->len ? (size_t)sent : head->len;
    size_t of_body = (size_t)sent - of_head;
    *head = (struct slice){head->data + of_head, head->len - of_head};
    *body = (struct slice){body->data == NULL ? NULL : body->data + of_body, body->len - of_body};
    return true;
}

bool client_send(struct http_server *server, int fd, struct slice head, struct slice body,
                 int64_t deadline_us) {
    while (head.len + body.len > 0) {
        size_t left = head.len + body.len;
        if (!client_try_send(fd, &head, &body) ||
            (head.len + body.len == left && client_wait(server, fd, POLLOUT, deadline_us) != CLIENT_READY)) {
            return false;
        }
    }
    return true;
}
