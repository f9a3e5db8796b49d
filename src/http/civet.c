/* The glue to CivetWeb, which is included here and compiled nowhere else, so that its internals can be used
 * without a patch. CivetWeb brings the worker threads, their queue, and the loop over a connection's
 * requests. Three seams keep the rest in our hands.
 *
 * receive() stands in for CivetWeb's recv: our edge reads and checks the head that the client sent, and
 * CivetWeb gets a constant one in its place. Its lax parser never sees a byte from outside.
 *
 * end_request() decides whether the worker stays with the connection for a moment.
 *
 * connection_close() takes the socket back before CivetWeb would close it. */
#include "http/internal.h"

#include <pthread.h>
#include <sys/socket.h>

#include "obs/log.h"
#include "sys/clock.h"

#define NO_SSL
#define NO_CGI
#define NO_FILES
#define NO_CACHING
#define NO_POPEN
#define NO_NONCE_CHECK
#define NO_ALTERNATIVE_QUEUE
#define NDEBUG
#define USE_STACK_SIZE 262144 /* a handler may use 64 KB; CivetWeb itself uses less than 32 */

struct mg_connection;
static int receive(struct mg_connection *conn, char *out, size_t size);
#define recv(fd, out, size, flags) receive(conn, out, size)
#include <civetweb.c>
#undef recv

static struct worker *worker_of(const struct mg_connection *conn) {
    return conn->tls_user_ptr;
}

static int receive(struct mg_connection *conn, char *out, size_t size) {
    static const char head[] = "GET / HTTP/1.1\r\nHost: payflow\r\n\r\n";
    if (size < sizeof head || !exchange_receive(worker_of(conn))) {
        return 0; /* as if the client had closed: CivetWeb leaves its loop without a word */
    }
    memcpy(out, head, sizeof head - 1);
    return sizeof head - 1;
}

static int begin_request(struct mg_connection *conn) {
    exchange_serve(worker_of(conn));
    return 200; /* handled */
}

/* A worker that stays saves two thread switches a request. It may while no more connections are open than
 * there are workers, the reserve aside: then nobody waits for a worker. With more, all are parked, so that
 * all fare alike. */
static bool may_stay(const struct worker *worker) {
    const struct http_server *server = worker->server;
    return worker->fate == FATE_PARK &&
           front_open(server->front) <= (unsigned)server->options.max_concurrency;
}

static void end_request(const struct mg_connection *conn, int status) {
    (void)status;
    if (!may_stay(worker_of(conn))) {
        ((struct mg_connection *)(uintptr_t)conn)->must_close = 1;
    }
}

static int init_connection_seam(const struct mg_connection *conn, void **data) {
    struct worker *worker = worker_of(conn);
    (void)data;
    atomic_fetch_sub(&worker->server->queued, 1);
    atomic_fetch_add(&worker->server->engaged, 1);
    worker->peer = front_peer(worker->server->front, conn->client.rsa.sin.sin_addr.s_addr);
    worker->fate = FATE_DROP;
    return 0;
}

static void connection_close(const struct mg_connection *conn) {
    struct worker *worker = worker_of(conn);
    ((struct mg_connection *)(uintptr_t)conn)->client.sock = INVALID_SOCKET;
    atomic_fetch_sub(&worker->server->engaged, 1);
    front_return(worker->server->front, worker->peer, worker->fate);
}

/* CivetWeb can have nothing to complain of, given the head it gets; should it, the connection ends without an
 * answer. */
static int http_error(struct mg_connection *conn, int status, const char *message) {
    log_event(LOG_ERROR, "civetweb", "%d: %s", status, message);
    worker_of(conn)->fate = FATE_DROP;
    return 0;
}

static int log_message(const struct mg_connection *conn, const char *message) {
    (void)conn;
    log_event(LOG_WARNING, "civetweb", "%s", message);
    return 1;
}

/* CivetWeb's master thread (type 0) has nothing to accept. It sleeps here until civet_stop, instead of
 * polling. */
static void *init_thread(const struct mg_context *context, int type) {
    struct http_server *server = mg_get_user_data(context);
    if (type == 1) {
        return worker_new(server);
    }
    while (sem_wait(&server->civet_stops) != 0) {
    }
    return NULL;
}

static void exit_thread(const struct mg_context *context, int type, void *worker) {
    (void)context;
    (void)type;
    worker_free(worker);
}

/* CivetWeb insists on a port of its own. It gets a free one on the loopback, closed before its master thread
 * starts. */
static void init_context(const struct mg_context *context) {
    struct mg_context *own = (struct mg_context *)(uintptr_t)context;
    close_all_listening_sockets(own);
    own->num_listening_sockets = 0;
}

struct mg_context *civet_start(struct http_server *server) {
    char threads[16];
    char queue[16];
    char stay[16];
    mg_snprintf(NULL, NULL, threads, sizeof threads, "%u", server->worker_count);
    mg_snprintf(NULL, NULL, queue, sizeof queue, "%d",
                server->options.max_connections); /* each connection is in it at most once */
    mg_snprintf(NULL, NULL, stay, sizeof stay, "%d", STAY_MS);
    const char *options[] = {"listening_ports",
                             "127.0.0.1:0",
                             "num_threads",
                             threads,
                             "connection_queue",
                             queue,
                             "enable_keep_alive",
                             "yes",
                             "keep_alive_timeout_ms",
                             stay,
                             "enable_directory_listing",
                             "no",
                             "max_request_size",
                             "1024",
                             NULL};
    const struct mg_callbacks callbacks = {
        .begin_request = begin_request,
        .end_request = end_request,
        .init_connection = init_connection_seam,
        .connection_close = connection_close,
        .http_error = http_error,
        .log_message = log_message,
        .init_thread = init_thread,
        .exit_thread = exit_thread,
        .init_context = init_context,
    };
    mg_init_library(MG_FEATURES_DEFAULT);
    sem_init(&server->civet_stops, 0, 0);
    return mg_start(&callbacks, server, options);
}

/* What mg_stop does, without its polling of a flag that is not atomic: the master thread wakes and joins the
 * workers. */
void civet_stop(struct mg_context *civet) {
    struct http_server *server = civet->user_data;
    while (atomic_load(&server->engaged) + atomic_load(&server->queued) > 0) {
        clock_sleep_ms(2); /* once no worker is busy, all look at the flag under the lock only */
    }
    pthread_mutex_lock(&civet->thread_mutex);
    civet->stop_flag = 1;
    pthread_mutex_unlock(&civet->thread_mutex);
    sem_post(&server->civet_stops);
    pthread_join(civet->masterthreadid, NULL);
    free_context(civet);
    mg_exit_library();
    sem_destroy(&server->civet_stops);
}

void civet_dispatch(struct mg_context *civet, const struct peer *peer) {
    struct http_server *server = civet->user_data;
    struct socket socket = {.sock = peer->fd};
    socket.rsa.sin.sin_addr.s_addr = front_index(server->front, peer); /* its slot, in a field that is free */
    atomic_fetch_add(&server->queued, 1);
    produce_socket(civet, &socket);
}
