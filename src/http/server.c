/* Starting and stopping the edge. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "http/internal.h"
#include "obs/log.h"
#include "obs/metrics.h"

#define FILES_RESERVE 256 /* descriptors beyond the clients': database, Redis, our own */

/* Raises the limit of open files, as far as is allowed, to what all connections need. */
static void raise_file_limit(int connections) {
    struct rlimit limit;
    rlim_t wanted = (rlim_t)connections + FILES_RESERVE;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) {
        return;
    }
    limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted) {
        log_event(LOG_WARNING, "few_files", "the limit of open files allows fewer than %d connections",
                  connections);
    }
}

static bool register_routes(struct http_server *server) {
    server->other_metric = metrics_route("other");
    server->route_metrics = calloc(server->route_count, sizeof *server->route_metrics);
    for (size_t i = 0; server->route_metrics != NULL && i < server->route_count; i++) {
        size_t same = 0;
        while (strcmp(server->routes[same].path, server->routes[i].path) != 0) {
            same++;
        }
        server->route_metrics[i] =
            same < i ? server->route_metrics[same] : metrics_route(server->routes[i].path);
    }
    return server->route_metrics != NULL;
}

static void release(struct http_server *server) {
    free(server->route_metrics);
    free(server);
}

struct http_server *http_start(const struct http_options *options, const struct http_route *routes,
                               size_t count, void *context, char *error, size_t error_size) {
    struct http_server *server = calloc(1, sizeof *server);
    if (server == NULL) {
        snprintf(error, error_size, "out of memory");
        return NULL;
    }
    server->options = *options;
    server->routes = routes;
    server->route_count = count;
    server->context = context;
    server->port = options->port;
    server->worker_count = (unsigned)options->max_concurrency + RESERVE_WORKERS;
    raise_file_limit(options->max_connections);
    int listener = listener_open(&server->port, error, error_size);
    if (listener < 0) {
        release(server);
        return NULL;
    }
    snprintf(error, error_size, "cannot start the worker threads: too little memory or too low a limit");
    server->civet = register_routes(server) ? civet_start(server) : NULL;
    if (server->civet == NULL) {
        close(listener);
        release(server);
        return NULL;
    }
    if (front_start(server, listener) == NULL) { /* closes the listener */
        civet_stop(server->civet);
        release(server);
        return NULL;
    }
    civet_open(server);
    error[0] = '\0';
    return server;
}

int http_port(const struct http_server *server) {
    return server->port;
}

void http_drain(struct http_server *server) {
    atomic_store(&server->draining, true);
}

void http_stop(struct http_server *server, int64_t limit_ms) {
    http_drain(server);
    front_stop(server->front, limit_ms);
    civet_stop(server->civet);
    front_free(server->front);
    release(server);
}
