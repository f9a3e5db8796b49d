#include "obs/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "core/text.h"
#include "core/timestamp.h"
#include "sys/clock.h"

#define BUFFER_BYTES (1u << 20) /* two of them: a second of 1,000 requests is about 400 KB */
#define LINE_BYTES_MAX 4096
#define FLUSH_MS 20          /* lines wait at most this long, so that one write carries many */
#define STALLED_WRITE_MS 200 /* a reader that takes nothing for this long loses what waits */

static const char *const severities[] = {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"};
static const char *const colours[] = {"\033[2m", "", "\033[33m", "\033[31m", "\033[1;31m"};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    char *filling; /* where lines are added; the thread takes it and leaves the other */
    char *emptying;
    size_t used;
    bool running, stopping;
    enum log_level lowest;
    bool readable, coloured;
    const char *project, *version;
    _Atomic uint64_t dropped;
} logger = {.lock = PTHREAD_MUTEX_INITIALIZER,
            .wake = PTHREAD_COND_INITIALIZER,
            .lowest = LOG_INFO,
            .project = "",
            .version = ""};

static void drop(uint64_t lines) {
    atomic_fetch_add_explicit(&logger.dropped, lines, memory_order_relaxed);
}

uint64_t log_dropped(void) {
    return atomic_load_explicit(&logger.dropped, memory_order_relaxed);
}

bool log_enabled(enum log_level level) {
    return level >= logger.lowest;
}

static uint64_t count_lines(const char *data, size_t len) {
    uint64_t lines = 0;
    for (size_t i = 0; i < len; i++) {
        lines += data[i] == '\n' ? 1 : 0;
    }
    return lines;
}

/* Writes what it can; a closed or stuck stderr loses lines, which are counted, and never a payment. */
static void write_out(const char *data, size_t len) {
    while (len > 0) {
        ssize_t done = write(STDERR_FILENO, data, len);
        if (done >= 0) {
            data += done;
            len -= (size_t)done;
        } else if (errno == EAGAIN) {
            struct pollfd entry = {.fd = STDERR_FILENO, .events = POLLOUT};
            if (poll(&entry, 1, STALLED_WRITE_MS) <= 0) {
                drop(count_lines(data, len));
                return;
            }
        } else if (errno != EINTR) {
            drop(count_lines(data, len));
            return;
        }
    }
}

/* The writer: takes all that waits and writes it while the others fill the other buffer. */
static void *run(void *unused) {
    (void)unused;
    pthread_setname_np(pthread_self(), "log");
    pthread_mutex_lock(&logger.lock);
    for (;;) {
        if (logger.used == 0) {
            if (logger.stopping) {
                break;
            }
            pthread_cond_wait(&logger.wake, &logger.lock);
            continue;
        }
        char *data = logger.filling;
        size_t len = logger.used;
        bool stopping = logger.stopping;
        logger.filling = logger.emptying;
        logger.emptying = data;
        logger.used = 0;
        pthread_mutex_unlock(&logger.lock);
        write_out(data, len);
        if (!stopping) {
            clock_sleep_ms(FLUSH_MS);
        }
        pthread_mutex_lock(&logger.lock);
    }
    pthread_mutex_unlock(&logger.lock);
    return NULL;
}

void log_start(enum log_level lowest, bool readable, const char *project, const char *version) {
    logger.lowest = lowest;
    logger.readable = readable;
    logger.coloured = readable && isatty(STDERR_FILENO) == 1 && secure_getenv("NO_COLOR") == NULL;
    logger.project = project;
    logger.version = version;
    logger.filling = malloc(BUFFER_BYTES);
    logger.emptying = malloc(BUFFER_BYTES);
    logger.used = 0;
    logger.stopping = false;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 131072);
    bool started = logger.filling != NULL && logger.emptying != NULL &&
                   pthread_create(&logger.thread, &attributes, run, NULL) == 0;
    pthread_attr_destroy(&attributes);
    pthread_mutex_lock(&logger.lock);
    logger.running = started; /* else lines go to stderr directly */
    pthread_mutex_unlock(&logger.lock);
}

void log_stop(void) {
    pthread_mutex_lock(&logger.lock);
    bool running = logger.running;
    logger.running = false;
    logger.stopping = true;
    pthread_cond_signal(&logger.wake);
    pthread_mutex_unlock(&logger.lock);
    if (running) {
        pthread_join(logger.thread, NULL);
    }
    free(logger.filling);
    free(logger.emptying);
    logger.filling = NULL;
    logger.emptying = NULL;
}

static void emit(const struct text *line) {
    if (line->failed) {
        drop(1);
        return;
    }
    pthread_mutex_lock(&logger.lock);
    bool running = logger.running;
    if (running && logger.used + line->len <= BUFFER_BYTES) {
        memcpy(logger.filling + logger.used, line->data, line->len);
        if (logger.used == 0) {
            pthread_cond_signal(&logger.wake);
        }
        logger.used += line->len;
    } else if (running) {
        drop(1);
    }
    pthread_mutex_unlock(&logger.lock);
    if (!running) {
        write_out(line->data, line->len);
    }
}

/* The time, made anew once a millisecond for each thread. */
static const char *now(void) {
    static _Thread_local int64_t made_ms;
    static _Thread_local char text[TIMESTAMP_SIZE];
    int64_t now_ms = clock_wall_ms();
    if (now_ms != made_ms) {
        made_ms = now_ms;
        timestamp_format(now_ms, text);
    }
    return text;
}

static void add(struct text *line, const char *name, const char *value) {
    text_add_string(line, name);
    text_add_json(line, slice_of(value));
}

static void begin_json(struct text *line, enum log_level level) {
    text_add_string(line, "{\"severity\":\"");
    text_add_string(line, severities[level]);
    text_add_string(line, "\",\"time\":\"");
    text_add_string(line, now());
    text_add_string(line, "\"");
}

static void begin_readable(struct text *line, enum log_level level) {
    text_add_string(line, logger.coloured ? colours[level] : "");
    text_add_string(line, now());
    text_printf(line, " %-8s ", severities[level]);
}

void log_event(enum log_level level, const char *event, const char *format, ...) {
    char message[1024];
    char buffer[LINE_BYTES_MAX];
    struct text line;
    va_list arguments;
    if (!log_enabled(level)) {
        return;
    }
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    text_init(&line, buffer, sizeof buffer, sizeof buffer - 1);
    if (logger.readable) {
        begin_readable(&line, level);
        text_printf(&line, "%s%s\n", message, logger.coloured ? "\033[0m" : "");
    } else {
        begin_json(&line, level);
        add(&line, ",\"message\":", message);
        add(&line, ",\"event\":", event);
        add(&line, ",\"version\":", logger.version);
        text_add_string(&line, "}\n");
    }
    emit(&line);
}

/* Seconds with microseconds, without printf: this runs for each request. */
static void add_seconds(struct text *line, int64_t duration_us) {
    char digits[7];
    int64_t part = duration_us % 1000000;
    for (int i = 5; i >= 0; i--) {
        digits[i] = (char)('0' + part % 10);
        part /= 10;
    }
    text_add_int(line, duration_us / 1000000);
    text_add(line, ".", 1);
    text_add(line, digits, 6);
}

static void add_trace(struct text *line, const struct log_request *request) {
    if (request->trace_id[0] == '\0') {
        return;
    }
    text_add_string(line, ",\"logging.googleapis.com/trace\":\"");
    if (logger.project[0] != '\0') {
        text_add_string(line, "projects/");
        text_add_string(line, logger.project);
        text_add_string(line, "/traces/");
    }
    text_add_string(line, request->trace_id);
    if (request->span_id[0] != '\0') {
        text_add_string(line, "\",\"logging.googleapis.com/spanId\":\"");
        text_add_string(line, request->span_id);
    }
    text_add_string(line, request->trace_sampled ? "\",\"logging.googleapis.com/trace_sampled\":true"
                                                 : "\",\"logging.googleapis.com/trace_sampled\":false");
}

static void add_request(struct text *line, const struct log_request *request) {
    text_add_string(line, ",\"message\":\"");
    text_add_string(line, request->method);
    text_add(line, " ", 1);
    text_add_string(line, request->route);
    text_add(line, " ", 1);
    text_add_int(line, request->status);
    text_add_string(line, "\",\"httpRequest\":{\"requestMethod\":\"");
    text_add_string(line, request->method);
    text_add_string(line, "\",\"requestUrl\":\"");
    text_add_string(line, request->route);
    text_add_string(line, "\",\"status\":");
    text_add_int(line, request->status);
    text_add_string(line, ",\"requestSize\":\"");
    text_add_int(line, (int64_t)request->request_bytes);
    text_add_string(line, "\",\"responseSize\":\"");
    text_add_int(line, (int64_t)request->response_bytes);
    text_add_string(line, "\",\"latency\":\"");
    add_seconds(line, request->duration_us);
    text_add_string(line, "s\",\"protocol\":\"HTTP/1.1\"}");
    add(line, ",\"request_id\":", request->request_id);
    add_trace(line, request);
    if (request->problem != NULL) {
        add(line, ",\"problem\":", request->problem);
    }
    if (request->object_id != NULL) {
        add(line, ",\"object_id\":", request->object_id);
    }
    add(line, ",\"version\":", logger.version);
    text_add_string(line, "}\n");
}

void log_request(const struct log_request *request) {
    enum log_level level = request->status >= 500 ? LOG_ERROR : LOG_INFO;
    char buffer[LINE_BYTES_MAX];
    struct text line;
    if (!log_enabled(level)) {
        return;
    }
    text_init(&line, buffer, sizeof buffer, sizeof buffer - 1);
    if (logger.readable) {
        begin_readable(&line, level);
        text_printf(&line, "%s %s %d %lld.%03lld ms %s%s%s%s\n", request->method, request->route,
                    request->status, (long long)(request->duration_us / 1000),
                    (long long)(request->duration_us % 1000),
                    request->object_id == NULL ? "" : request->object_id, request->problem == NULL ? "" : " ",
                    request->problem == NULL ? "" : request->problem, logger.coloured ? "\033[0m" : "");
    } else {
        begin_json(&line, level);
        add_request(&line, request);
    }
    emit(&line);
}
