/* Metrics: counters, gauges and histograms in Prometheus' text format 0.0.4.
 *
 * All metrics are static and known at compile time (metrics.c holds the table: name, help, type, labels), so
 * recording is one relaxed atomic add, exact under concurrency, and never allocates. */
#ifndef PAYFLOW_OBS_METRICS_H
#define PAYFLOW_OBS_METRICS_H

#include "core/base.h"
#include "core/text.h"

/* Counters and gauges without labels. */
enum metric {
    METRIC_HTTP_IN_FLIGHT,           /* gauge: requests being handled */
    METRIC_HTTP_CONNECTIONS,         /* gauge: open client connections */
    METRIC_HTTP_CONNECTIONS_REFUSED, /* counter: closed at once because a cap was reached */
    METRIC_HTTP_MALFORMED,           /* counter: requests the edge refused before routing */
    METRIC_DB_UP,                    /* gauge: 1 while the last check of the database succeeded */
    METRIC_DB_CONNECTIONS,           /* gauge: open connections to PostgreSQL */
    METRIC_DB_CONNECTIONS_MAX,       /* gauge: the most there can be */
    METRIC_DB_RECONNECTS,            /* counter */
    METRIC_DB_UNKNOWN_RESOLVED, /* counter: batches whose outcome was unknown and was resolved by running them
                                   again */
    METRIC_QUEUE_DEPTH,         /* gauge: writes waiting for a connection */
    METRIC_QUEUE_CAPACITY,      /* gauge */
    METRIC_QUEUE_REFUSED,       /* counter: answered 503 because the queue was full */
    METRIC_QUARANTINED,         /* counter: writes sent to the quarantine connection */
    METRIC_BATCH_RETRIES,       /* counter: batches run again in parts */
    METRIC_REDIS_ERRORS,        /* counter */
    METRIC_TOKEN_ERRORS,        /* counter: requests to the metadata server that brought no token */
    METRIC_LOG_DROPPED,         /* counter: read from log_dropped */
    METRIC_COUNT
};

/* Histograms without labels. */
enum histogram {
    HISTOGRAM_BATCH_ROWS,     /* rows a batch: 1, 2, 4, ... */
    HISTOGRAM_COMMIT_SECONDS, /* from sending a batch to PostgreSQL until its COMMIT is known */
    HISTOGRAM_QUEUE_SECONDS,  /* from queueing a write until its batch is sent */
    HISTOGRAM_COUNT
};

/* What became of a POST that writes: payflow_payments_total{outcome,currency,livemode}. */
enum payment_outcome {
    OUTCOME_CREATED,
    OUTCOME_REPLAYED,
    OUTCOME_CAPTURED,
    OUTCOME_CANCELED,
    OUTCOME_FAILED,
    OUTCOME_REFUNDED,
    OUTCOME_REFUSED,     /* 4xx after the checks: reused key, illegal state */
    OUTCOME_IN_FLIGHT,   /* 409: the key is held elsewhere */
    OUTCOME_UNAVAILABLE, /* 503, nothing done */
    OUTCOME_UNKNOWN,     /* 503, outcome unknown */
    OUTCOME_COUNT
};

/* Names the build; call once before any other. version is kept by pointer. */
void metrics_start(const char *version);

/* Adds to a counter (by >= 0) or a gauge. Thread-safe, as are the following. */
void metric_add(enum metric metric, int64_t by);

/* Sets a gauge; reads any of them. */
void metric_set(enum metric metric, int64_t value);
int64_t metric_get(enum metric metric);

/* Records a value: microseconds in a histogram of seconds, rows as they are. */
void histogram_observe(enum histogram histogram, int64_t value);

/* Registers a route template once at start (bounded: 32 routes); returns its index for metrics_request. */
unsigned metrics_route(const char *path_template);

/* Counts a finished request: http_requests_total{method,path,status} and
 * http_request_duration_seconds{method,path}. Methods beyond GET, POST, HEAD, OPTIONS count as "other";
 * statuses are exact. Thread-safe. */
void metrics_request(const char *method, unsigned route, int status, int64_t duration_us);

/* Counts a write's outcome; currency is a code from currency_table or NULL ("none"). */
void metrics_payment(enum payment_outcome outcome, const char *currency, bool livemode);

/* A gauge or counter whose value is read when scraped (Redis, feed lag): name and help are static
 * strings. Bounded: 16. */
void metrics_callback(const char *name, const char *type, const char *help, double (*read)(void *context),
                      void *context);

/* Writes everything, the process' own figures too (process_start_time_seconds, process_resident_memory_bytes,
 * process_open_fds, process_cpu_seconds_total, process_threads, app_info{version}). */
void metrics_write(struct text *out);

#endif
