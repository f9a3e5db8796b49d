/* What the files of the edge share, and nobody else sees.
 *
 * A connection (struct peer) belongs to exactly one side at a time. The front (front.c) is one thread that
 * accepts and holds all that wait in epoll; once a head is complete it gives the connection to a worker,
 * through CivetWeb's queue (civet.c). The worker reads, serves and answers (exchange.c), and gives it back:
 * to wait for the next request or to be closed. So a connection that only waits costs a file descriptor,
 * never a thread. */
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
#define STAY_MS 50                /* a worker waits this long for its connection's next request, if it may */

struct mg_context;

/* Whose a connection is. */
enum peer_state {
    PEER_FREE,      /* no connection: the slot waits for one */
    PEER_WAITING,   /* the front's: a head has not come, or not whole */
    PEER_WORKING,   /* a worker's, or on its way to one */
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
    bool edge;           /* epoll reports new bytes only: part of a head is there */
    size_t seen;         /* bytes of a head that is not complete */
    size_t drained;      /* bytes dropped while lingering */
    int64_t deadline_us;
    int64_t ready_us; /* when the front saw the head complete; 0 once used */
    char address[INET6_ADDRSTRLEN];
};

/* What happens to a connection when its worker lets go of it. */
enum fate {
    FATE_PARK,  /* waits for the next request */
    FATE_CLOSE, /* closed politely: the client can read the last answer */
    FATE_DROP,  /* closed at once: the client has gone */
};

/* A worker thread's own. 25 KB, of which only what a request needs is ever touched. */
struct worker {
    struct http_server *server;
    struct peer *peer; /* the connection in hand */
    enum fate fate;
    struct head head;
    size_t body_have; /* bytes of the body in buffer, after the head */
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
    _Atomic int engaged;        /* workers that have a connection */
    _Atomic int queued;         /* connections on their way to a worker */
    _Atomic bool draining;
};

/* civet.c: CivetWeb's threads. */

/* Starts the worker threads. NULL on failure. */
struct mg_context *civet_start(struct http_server *server);

/* Ends them; waits for handlers that still run. */
void civet_stop(struct mg_context *civet);

/* Gives a connection whose head is complete to the next free worker. Never waits: the queue has room for all.
 */
void civet_dispatch(struct mg_context *civet, const struct peer *peer);

/* front.c: the connections that wait. */

/* Sets server->front and starts accepting on the listening socket, which it takes over, also when it fails
 * (NULL). */
MUST_CHECK struct front *front_start(struct http_server *server, int listener);

/* Stops accepting, waits until all that came was answered, at most limit_ms, then cuts what is left. */
void front_stop(struct front *front, int64_t limit_ms);

/* Closes and frees everything. No worker may run any more. */
void front_free(struct front *front);

/* The connection in slot `index`, and back. */
struct peer *front_peer(struct front *front, uint32_t index);
uint32_t front_index(const struct front *front, const struct peer *peer);

/* Connections that are open now. Thread-safe. */
unsigned front_open(const struct front *front);

/* A worker gives its connection back. Thread-safe. */
void front_return(struct front *front, struct peer *peer, enum fate fate);

/* exchange.c: one request and its answer. */

/* What a worker thread needs. Aborts without memory: this happens at start only, and CivetWeb takes no
 * refusal. */
struct worker *worker_new(struct http_server *server);
void worker_free(struct worker *worker);

/* Reads the next head from the worker's connection. True if a request was accepted, and exchange_serve must
 * follow; false if not: it was answered if it was refused, and the fate is set. */
MUST_CHECK bool exchange_receive(struct worker *worker);

/* Serves the request that was received: routes, reads the body, handles, answers, counts, logs. Sets the
 * fate. */
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
