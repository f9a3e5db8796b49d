/* Logs: one JSON object a line on stderr in Cloud Logging's fields; a terminal gets a readable form.
 *
 * Writers format into a bounded ring; one thread writes it out in batches, so a slow or full stderr never
 * delays a payment: lines that don't fit are dropped and counted (a line and payflow_log_dropped_total say
 * how many). */
#ifndef PAYFLOW_OBS_LOG_H
#define PAYFLOW_OBS_LOG_H

#include "core/base.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR, LOG_CRITICAL };

/* A finished HTTP request, for its log line. No personal data: the client's address is not logged, nor any
 * body. */
struct log_request {
    const char *method;
    const char *route; /* the template, never the raw path */
    int status;
    int64_t duration_us;
    size_t request_bytes;
    size_t response_bytes;
    const char *request_id;
    const char *trace_id; /* 32 hex digits or "" */
    const char *span_id;  /* 16 hex digits or "" */
    bool trace_sampled;
    const char *problem;   /* slug or NULL */
    const char *object_id; /* the payment's id or NULL */
};

/* Starts the writer thread. project: Google Cloud project id for logging.googleapis.com/trace, or "" outside
 * it. readable: the form for terminals. Before log_start and after log_stop, lines go to stderr directly. */
void log_start(enum log_level lowest, bool readable, const char *project, const char *version);

/* Writes what waits, ends the thread. */
void log_stop(void);

/* True if a line of that level would be written: guard for anything costly. */
bool log_enabled(enum log_level level);

/* Logs a line of an event: `event` is a stable word ("database_lost"), the message is for people. Never a
 * secret. Thread-safe, never blocks. */
void log_event(enum log_level level, const char *event, const char *format, ...) PRINTF_LIKE(3, 4);

/* Logs a finished request: INFO, WARNING from 400 on is still INFO, ERROR from 500 on. Thread-safe, never
 * blocks. */
void log_request(const struct log_request *request);

/* Lines dropped since start. */
uint64_t log_dropped(void);

#endif
