/* The glue to CivetWeb, which is included here and compiled nowhere else, so that its internals can be used
 * without a patch. CivetWeb brings the worker threads and the loop over requests. To it, each worker has one
 * connection without end, over which all its requests come: a session. Three seams keep the rest in our
 * hands.
 *
 * receive() stands in for CivetWeb's recv: it waits for a client's connection that has something to read; our
 * edge reads and checks the head, and CivetWeb gets a constant one in its place. Its lax parser never sees a
 * byte from outside. CivetWeb's poll before that is left out.
 *
 * end_request() ends a session before CivetWeb's count of its requests can overflow.
 *
 * connection_close() keeps the stub of a socket, of which all sessions are made, and begins the next session.
 */
#include "http/internal.h"

#include <poll.h>
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
#define USE_STACK_SIZE 262144 /* CivetWeb 32 KB, each request inside another 6 KB, a handler 64 KB */

struct mg_connection;
static int receive(struct mg_connection *conn, char *out, size_t size);
#define recv(fd, out, size, flags) receive(conn, out, size)
#define poll(fds, count, wait) ((fds)->revents = POLLIN, 1)
#include <civetweb.c>
#undef recv
#undef poll

#define SESSION_REQUESTS_MAX 1000000

static struct worker *worker_of(const struct mg_connection *conn) {
    return conn->tls_user_ptr;
}

/* CivetWeb had no memory for the request that it was given, so that no handler ran: its client must not wait.
 */
static void drop_unserved(struct worker *worker) {
    if (worker->unserved) {
        worker->unserved = false;
        front_return(worker->server->front, worker->peer, FATE_DROP, false);
    }
}

static int receive(struct mg_connection *conn, char *out, size_t size) {
    static const char head[] = "GET / HTTP/1.1\r\nHost: payflow\r\n\r\n";
    struct worker *worker = worker_of(conn);
    if (size < sizeof head) {
        return 0;
    }
    drop_unserved(worker);
    do {
        worker->peer = worker->next != NULL ? worker->next : front_take(worker->server->front, -1);
        worker->next = NULL;
        if (worker->peer == NULL) {
            return 0; /* as if a client had closed: CivetWeb leaves its loop without a word */
        }
    } while (!exchange_receive(worker));
    worker->unserved = true;
    memcpy(out, head, sizeof head - 1);
    return sizeof head - 1;
}

static int begin_request(struct mg_connection *conn) {
    worker_of(conn)->unserved = false;
    exchange_serve(worker_of(conn));
    return 200; /* handled */
}

static void end_request(const struct mg_connection *conn, int status) {
    (void)status;
    if (conn->handled_requests >= SESSION_REQUESTS_MAX) {
        ((struct mg_connection *)(uintptr_t)conn)->must_close = 1;
    }
}

static void begin_session(struct http_server *server) {
    struct socket stub = {.sock = server->stub};
    atomic_fetch_add(&server->sessions, 1);
    produce_socket(server->civet, &stub); /* its queue has room for one a worker */
}

static void connection_close(const struct mg_connection *conn) {
    struct http_server *server = worker_of(conn)->server;
    drop_unserved(worker_of(conn));
    ((struct mg_connection *)(uintptr_t)conn)->client.sock = INVALID_SOCKET;
    if (!front_stopped(server->front)) {
        begin_session(server);
    }
    atomic_fetch_sub(&server->sessions, 1);
}

/* CivetWeb can have nothing to complain of, given the head it gets. */
static int http_error(struct mg_connection *conn, int status, const char *message) {
    (void)conn;
    log_event(LOG_ERROR, "civetweb", "%d: %s", status, message);
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
        struct worker *worker = worker_new(server, NULL, 0);
        if (worker == NULL) {
            abort(); /* this happens at start only, and CivetWeb takes no refusal */
        }
        return worker;
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
    mg_snprintf(NULL, NULL, threads, sizeof threads, "%u", server->worker_count);
    const char *options[] = {"listening_ports",
                             "127.0.0.1:0",
                             "num_threads",
                             threads,
                             "connection_queue",
                             threads,
                             "enable_keep_alive",
                             "yes",
                             "enable_directory_listing",
                             "no",
                             "max_request_size",
                             "1024",
                             NULL};
    const struct mg_callbacks callbacks = {
        .begin_request = begin_request,
        .end_request = end_request,
        .connection_close = connection_close,
        .http_error = http_error,
        .log_message = log_message,
        .init_thread = init_thread,
        .exit_thread = exit_thread,
        .init_context = init_context,
    };
    server->stub = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    mg_init_library(MG_FEATURES_DEFAULT);
    sem_init(&server->civet_stops, 0, 0);
    return mg_start(&callbacks, server, options);
}

/* What mg_stop does, without its polling of a flag that is not atomic: the master thread wakes and joins the
 * workers. */
void civet_stop(struct mg_context *civet) {
    struct http_server *server = civet->user_data;
    while (atomic_load(&server->sessions) > 0) {
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
    close(server->stub);
}

void civet_open(struct http_server *server) {
    for (unsigned i = 0; i < server->worker_count; i++) {
        begin_session(server);
    }
}
