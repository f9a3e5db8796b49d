/* What the files of the edge share, and nobody else sees.
 *
 * A connection (struct peer) belongs to one side at a time, or to whoever takes it first. The front (front.c)
 * is one thread that accepts, and watches new and slow connections until a head is complete. Then the
 * connection is ready: it stands in an epoll that all workers wait at, and one of them takes it, reads,
 * serves and answers (exchange.c) and puts it back there for its next request. So a connection that only
 * waits costs a file descriptor, never a thread, and a worker takes whatever comes next. */
#ifndef PAYFLOW_HTTP_INTERNAL_H
#define PAYFLOW_HTTP_INTERNAL_H

#include <netinet/in.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "http/head.h"
#include "http/http.h"
#include "http/response.h"

#define RESERVE_WORKERS 32        /* beyond max_concurrency: they answer probes, scrapes and refusals */
#define BODY_WITH_HEAD_BYTES 4096 /* of a body that are read together with its head */
#define WORKER_DEPTH_MAX 8        /* requests that one worker may have under way, see http_wait_next */

struct mg_context;

/* Whose a connection is. */
enum peer_state {
    PEER_FREE,      /* no connection: the slot waits for one */
    PEER_WAITING,   /* the front's: a head has not come, or not whole */
    PEER_READY,     /* whoever takes it first: a worker, once the next request is there, or the front */
    PEER_WORKING,   /* a worker's, or about to be closed */
    PEER_LINGERING, /* the front's: answered for the last time, what still comes is dropped */
};

/* A connection. Only its side touches it; list, state and deadline are guarded by the front's lock. */
struct peer {
    struct peer *previous, *next;
    struct peer_list *list;
    enum peer_state state;
    int fd;
    uint32_t generation; /* how often the slot was used: tells a late report of epoll from a fresh one */
    uint32_t bucket;     /* of its address in the front's count */
    bool edge;           /* the front's epoll reports new bytes only: part of a head is there */
    bool enrolled;       /* in the workers' epoll, which reports new bytes only */
    bool more;           /* that epoll reported it while a worker had it */
    size_t seen;         /* bytes of a head that is not complete */
    size_t drained;      /* bytes dropped while lingering */
    int64_t end_us;      /* no longer does it linger */
    int64_t deadline_us;
    int64_t ready_us; /* when the front saw a head complete; 0 once used */
    char address[INET6_ADDRSTRLEN];
};

/* What happens to a connection when its worker lets go of it. */
enum fate {
    FATE_PARK,    /* waits for the next request, which may be there already */
    FATE_PARTIAL, /* part of a head is there: the front waits for the rest */
    FATE_CLOSE,   /* closed politely: the client can read the last answer */
    FATE_END,     /* closed once the client, who will send no more, has its answers */
    FATE_DROP,    /* closed at once: the client has gone */
};

/* What a worker thread needs for one request. 25 KB, of which only what a request needs is ever touched. */
struct worker {
    struct http_server *server;
    struct worker *base;   /* the thread's first */
    struct worker *deeper; /* for a request that is served while this one waits; NULL until needed */
    unsigned depth;
    struct peer *next; /* of the base: a ready connection that it shall take before it looks for others */
    struct peer *peer; /* the connection in hand */
    struct head head;
    size_t body_have; /* bytes of the body in buffer, after the head */
    bool unserved;    /* the peer in hand was given to CivetWeb, and no handler had it yet */
    bool declined;    /* what was read may not be served at this depth */
    bool more;        /* the connection may hold bytes behind this request */
    int64_t begun_us; /* when the head was complete */
    int64_t date_s;
    char date[RESPONSE_DATE_SIZE]; /* of date_s */
    char reply[4096];              /* where an answer's body starts; larger ones go to the heap */
    char buffer[HTTP_HEAD_BYTES_MAX + BODY_WITH_HEAD_BYTES];
};

struct http_server {
    struct http_options options;
    const struct http_route *routes;
    size_t route_count;
    void *context;
    int port;
    unsigned worker_count;
    unsigned *route_metrics; /* one a route */
    unsigned other_metric;   /* for paths that no route has */
    struct front *front;
    struct mg_context *civet;
    sem_t civet_stops;
    _Atomic int in_flight;      /* requests of ordinary routes, until their answers are sent */
    _Atomic int client_waiters; /* workers that wait for a client to send its body or to read its answer */
    int stub;                   /* a socket that CivetWeb takes for its connections */
    _Atomic int sessions;       /* workers at work, and those about to be */
    _Atomic bool draining;
};

/* civet.c: CivetWeb's threads. */

/* Starts the worker threads. NULL on failure. */
struct mg_context *civet_start(struct http_server *server);

/* Lets them work, once there is a front. */
void civet_open(struct http_server *server);

/* Ends them; waits for handlers that still run. */
void civet_stop(struct mg_context *civet);

/* front.c: the connections that wait. */

/* Sets server->front and starts accepting on the listening socket, which it takes over, also when it fails
 * (NULL). */
MUST_CHECK struct front *front_start(struct http_server *server, int listener);

/* Stops accepting, waits until all that came was answered, at most limit_ms, then cuts what is left. */
void front_stop(struct front *front, int64_t limit_ms);

/* Closes and frees everything. No worker may run any more. */
void front_free(struct front *front);

/* True once front_stop has ended: no connection will be ready any more. Thread-safe. */
bool front_stopped(const struct front *front);

/* Waits until a connection has something to read, and takes it. NULL after wait_ms (-1: no limit), or once
 * the front has stopped. Thread-safe. */
struct peer *front_take(struct front *front, int wait_ms);

/* Gives back a connection that was taken. more: of FATE_PARK, bytes of the next request may be there already.
 * Thread-safe. */
void front_return(struct front *front, struct peer *peer, enum fate fate, bool more);

/* exchange.c: one request and its answer. */

/* What a worker thread needs, for requests at the given depth; base is NULL for the first. NULL without
 * memory. */
struct worker *worker_new(struct http_server *server, struct worker *base, unsigned depth);
void worker_free(struct worker *worker);

/* Reads the next head from the worker's connection. True if a request was accepted, and exchange_serve must
 * follow; false if not: then the connection is given back, after an answer if the request was refused. */
MUST_CHECK bool exchange_receive(struct worker *worker);

/* Serves the request that was received: routes, reads the body, handles, answers, counts, logs, and gives the
 * connection back. */
void exchange_serve(struct worker *worker);

/* Answers 408 on a connection whose head did not come whole in time. Never waits. */
void exchange_head_timeout(struct http_server *server, const struct peer *peer);

/* client.c: how workers wait for clients. */

enum client_wait { CLIENT_READY, CLIENT_TIMEOUT, CLIENT_REFUSED };

/* Waits until the socket is ready for `events` (poll's), at most until deadline_us (clock_monotonic_us).
 * CLIENT_REFUSED at once if half of the workers wait for clients already: slow ones can hold no more than
 * these. Thread-safe. */
MUST_CHECK enum client_wait client_wait(struct http_server *server, int fd, short events,
                                        int64_t deadline_us);

/* Sends of both pieces what the socket takes at once, with one system call, and takes that off them. False if
 * the connection is of no more use. Thread-safe. */
MUST_CHECK bool client_try_send(int fd, struct slice *head, struct slice *body);

/* Sends both pieces with one system call where the socket takes them, else piece by piece until the deadline.
 * False if they could not be sent whole: the connection is then of no more use. Thread-safe. */
MUST_CHECK bool client_send(struct http_server *server, int fd, struct slice head, struct slice body,
                            int64_t deadline_us);

/* body.c */

/* A request's body. */
struct body {
    struct slice bytes; /* in the worker's buffer or in `text` */
    struct text text;   /* what did not come with the head */
};

/* Reads the body of the worker's request whole, within body_timeout_ms. True if
 * body->bytes is it; else *problem is what to answer before closing. body_free in any case. */
MUST_CHECK bool body_read(struct worker *worker, struct body *body, struct problem *problem);
void body_free(struct body *body);

/* listener.c */

/* Opens the listening socket on all addresses, IPv6 and IPv4 (IPv4 alone where the machine has no IPv6). Port
 * 0 takes a free one; *port says which. Returns -1 and one sentence in error on failure. */
MUST_CHECK int listener_open(int *port, char *error, size_t error_size);

/* From now on new handshakes are ignored; those that have begun go on. Closing a listener resets whoever has
 * just connected and has not been accepted; between this and the close, all of them can be. Where the kernel
 * does not know how, nothing happens: then that race stays. */
void listener_refuse_new(int listener);

#endif
