#include "obs/metrics.h"

#include <dirent.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/currency.h"
#include "obs/log.h"
#include "sys/clock.h"

#define ROUTES_MAX 32
#define CALLBACKS_MAX 16
#define STATUS_FIRST 100
#define STATUSES 500
#define CURRENCIES_MAX 200
#define BUCKETS_MAX 16

enum method { METHOD_GET, METHOD_POST, METHOD_HEAD, METHOD_OPTIONS, METHOD_OTHER, METHODS };
static const char *const method_names[METHODS] = {"GET", "POST", "HEAD", "OPTIONS", "other"};

static const struct {
    const char *name, *type, *help;
} table[METRIC_COUNT] = {
    [METRIC_HTTP_IN_FLIGHT] = {"http_requests_in_flight", "gauge", "Requests being handled."},
    [METRIC_HTTP_CONNECTIONS] = {"http_connections", "gauge", "Open client connections."},
    [METRIC_HTTP_CONNECTIONS_REFUSED] = {"http_connections_refused_total", "counter",
                                         "Connections closed at once because a cap was reached."},
    [METRIC_HTTP_MALFORMED] = {"http_malformed_requests_total", "counter",
                               "Requests refused before routing."},
    [METRIC_DB_UP] = {"payflow_db_up", "gauge", "1 while the last look at the database succeeded."},
    [METRIC_DB_CONNECTIONS] = {"payflow_db_connections", "gauge", "Open connections to PostgreSQL."},
    [METRIC_DB_CONNECTIONS_MAX] = {"payflow_db_connections_max", "gauge",
                                   "The most connections there can be."},
    [METRIC_DB_RECONNECTS] = {"payflow_db_reconnects_total", "counter",
                              "Connections that were lost and made again."},
    [METRIC_DB_UNKNOWN_RESOLVED] =
        {"payflow_db_unknown_resolved_total", "counter",
         "Batches whose outcome was unknown and was resolved by running them again."},
    [METRIC_QUEUE_DEPTH] = {"payflow_queue_depth", "gauge", "Writes waiting for a connection."},
    [METRIC_QUEUE_CAPACITY] = {"payflow_queue_capacity", "gauge", "The most writes that may wait."},
    [METRIC_QUEUE_REFUSED] = {"payflow_queue_refused_total", "counter",
                              "Writes refused because the queue was full."},
    [METRIC_QUARANTINED] = {"payflow_quarantined_total", "counter",
                            "Writes sent to the quarantine connection."},
    [METRIC_BATCH_RETRIES] = {"payflow_batch_retries_total", "counter", "Batches run again in parts."},
    [METRIC_REDIS_ERRORS] = {"payflow_redis_errors_total", "counter",
                             "Redis checks that failed or came too late."},
    [METRIC_TOKEN_ERRORS] = {"payflow_token_errors_total", "counter",
                             "Requests to the metadata server that brought no token."},
    [METRIC_LOG_DROPPED] = {"payflow_log_dropped_total", "counter", "Log lines that did not fit."},
};

/* Upper bounds of buckets, in what is recorded: rows, or microseconds. */
static const int64_t row_bounds[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 0};
static const int64_t time_bounds_us[] = {500,    1000,   2500,    5000,    10000,   25000,    50000, 100000,
                                         250000, 500000, 1000000, 2500000, 5000000, 10000000, 0};

struct buckets {
    _Atomic uint64_t counts[BUCKETS_MAX]; /* not cumulative; the last one is beyond all bounds */
    _Atomic uint64_t sum;
};

static const struct {
    const char *name, *help;
    const int64_t *bounds;
    double unit; /* what is recorded, divided by this, is what is shown */
} histograms[HISTOGRAM_COUNT] = {
    [HISTOGRAM_BATCH_ROWS] = {"payflow_batch_rows", "Writes committed together.", row_bounds, 1},
    [HISTOGRAM_COMMIT_SECONDS] = {"payflow_commit_seconds",
                                  "From sending a batch to PostgreSQL until its COMMIT is known.",
                                  time_bounds_us, 1e6},
    [HISTOGRAM_QUEUE_SECONDS] = {"payflow_queue_seconds", "From queueing a write until its batch is sent.",
                                 time_bounds_us, 1e6},
};

static const char *const outcome_names[OUTCOME_COUNT] = {
    [OUTCOME_CREATED] = "created",   [OUTCOME_REPLAYED] = "replayed",   [OUTCOME_CAPTURED] = "captured",
    [OUTCOME_CANCELED] = "canceled", [OUTCOME_FAILED] = "failed",       [OUTCOME_REFUNDED] = "refunded",
    [OUTCOME_REFUSED] = "refused",   [OUTCOME_IN_FLIGHT] = "in_flight", [OUTCOME_UNAVAILABLE] = "unavailable",
    [OUTCOME_UNKNOWN] = "unknown",
};

static _Atomic int64_t values[METRIC_COUNT];
static struct buckets observed[HISTOGRAM_COUNT];
static const char *routes[ROUTES_MAX];
static unsigned route_count;
static _Atomic uint64_t requests[ROUTES_MAX][METHODS][STATUSES];
static struct buckets durations[ROUTES_MAX][METHODS];
static _Atomic uint64_t payments[OUTCOME_COUNT][CURRENCIES_MAX + 1][2];
static struct {
    const char *name, *type, *help;
    double (*read)(void *context);
    void *context;
} callbacks[CALLBACKS_MAX];
static unsigned callback_count;
static const char *app_version = "unknown";
static double started_s;

void metrics_start(const char *version) {
    app_version = version;
    started_s = (double)clock_wall_ms() / 1000;
}

void metric_add(enum metric metric, int64_t by) {
    atomic_fetch_add_explicit(&values[metric], by, memory_order_relaxed);
}

void metric_set(enum metric metric, int64_t value) {
    atomic_store_explicit(&values[metric], value, memory_order_relaxed);
}

int64_t metric_get(enum metric metric) {
    return atomic_load_explicit(&values[metric], memory_order_relaxed);
}

static void observe(struct buckets *buckets, const int64_t *bounds, int64_t value) {
    size_t i = 0;
    while (bounds[i] != 0 && value > bounds[i]) {
        i++;
    }
    atomic_fetch_add_explicit(&buckets->counts[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&buckets->sum, (uint64_t)(value < 0 ? 0 : value), memory_order_relaxed);
}

void histogram_observe(enum histogram histogram, int64_t value) {
    observe(&observed[histogram], histograms[histogram].bounds, value);
}

unsigned metrics_route(const char *path_template) {
    for (unsigned i = 0; i < route_count; i++) {
        if (strcmp(routes[i], path_template) == 0) {
            return i;
        }
    }
    if (route_count == ROUTES_MAX) {
        abort(); /* a bug: the routes are a constant table */
    }
    routes[route_count] = path_template;
    return route_count++;
}

void metrics_request(const char *method, unsigned route, int status, int64_t duration_us) {
    size_t m = 0;
    while (m < METHOD_OTHER && strcmp(method, method_names[m]) != 0) {
        m++;
    }
    size_t s = status < STATUS_FIRST || status >= STATUS_FIRST + STATUSES ? STATUSES - 1
                                                                          : (size_t)(status - STATUS_FIRST);
    atomic_fetch_add_explicit(&requests[route][m][s], 1, memory_order_relaxed);
    observe(&durations[route][m], time_bounds_us, duration_us);
}

void metrics_payment(enum payment_outcome outcome, const char *currency, bool livemode) {
    size_t count = 0;
    const struct currency *all = currency_table(&count);
    const struct currency *found = currency == NULL ? NULL : currency_find(slice_of(currency));
    size_t index = found == NULL ? CURRENCIES_MAX : (size_t)(found - all);
    atomic_fetch_add_explicit(&payments[outcome][index][livemode ? 1 : 0], 1, memory_order_relaxed);
}

void metrics_callback(const char *name, const char *type, const char *help, double (*read)(void *context),
                      void *context) {
    if (callback_count < CALLBACKS_MAX) {
        callbacks[callback_count].name = name;
        callbacks[callback_count].type = type;
        callbacks[callback_count].help = help;
        callbacks[callback_count].read = read;
        callbacks[callback_count++].context = context;
    }
}

static void write_head(struct text *out, const char *name, const char *type, const char *help) {
    text_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Writes one histogram's lines; labels is "" or `a="b",`. The count is the buckets' own sum, so that both
 * always agree. */
static void write_buckets(struct text *out, const char *name, const char *labels,
                          const struct buckets *buckets, const int64_t *bounds, double unit) {
    uint64_t total = 0;
    size_t i = 0;
    for (; bounds[i] != 0; i++) {
        total += atomic_load_explicit(&buckets->counts[i], memory_order_relaxed);
        text_printf(out, "%s_bucket{%sle=\"%g\"} %llu\n", name, labels, (double)bounds[i] / unit,
                    (unsigned long long)total);
    }
    total += atomic_load_explicit(&buckets->counts[i], memory_order_relaxed);
    double sum = (double)atomic_load_explicit(&buckets->sum, memory_order_relaxed) / unit;
    int len = (int)strlen(labels);
    const char *open = len > 0 ? "{" : "";
    const char *close = len > 0 ? "}" : "";
    text_printf(out, "%s_bucket{%sle=\"+Inf\"} %llu\n", name, labels, (unsigned long long)total);
    len = len > 0 ? len - 1 : 0; /* without the comma */
    text_printf(out, "%s_sum%s%.*s%s %.6f\n", name, open, len, labels, close, sum);
    text_printf(out, "%s_count%s%.*s%s %llu\n", name, open, len, labels, close, (unsigned long long)total);
}

static bool seen(const struct buckets *buckets) {
    bool any = false;
    for (size_t b = 0; b < BUCKETS_MAX && !any; b++) {
        any = atomic_load_explicit(&buckets->counts[b], memory_order_relaxed) > 0;
    }
    return any;
}

/* A counter's first increase is lost to Prometheus if the series begins with it, and failures are what alerts
 * wait for: the statuses of our own failures are there, as 0, as soon as a route is used. */
static bool status_shown(int status, uint64_t count, bool used) {
    return count > 0 || (used && (status == 500 || status == 503));
}

static void write_requests(struct text *out) {
    write_head(out, "http_requests_total", "counter", "Total HTTP requests.");
    for (unsigned r = 0; r < route_count; r++) {
        for (size_t m = 0; m < METHODS; m++) {
            bool used = seen(&durations[r][m]);
            for (int s = 0; s < STATUSES; s++) {
                uint64_t count = atomic_load_explicit(&requests[r][m][s], memory_order_relaxed);
                if (status_shown(s + STATUS_FIRST, count, used)) {
                    text_printf(out, "http_requests_total{method=\"%s\",path=\"%s\",status=\"%d\"} %llu\n",
                                method_names[m], routes[r], s + STATUS_FIRST, (unsigned long long)count);
                }
            }
        }
    }
    write_head(out, "http_request_duration_seconds", "histogram",
               "From a complete head to the answer's last byte.");
    for (unsigned r = 0; r < route_count; r++) {
        for (size_t m = 0; m < METHODS; m++) {
            char labels[160];
            if (seen(&durations[r][m])) {
                snprintf(labels, sizeof labels, "method=\"%s\",path=\"%s\",", method_names[m], routes[r]);
                write_buckets(out, "http_request_duration_seconds", labels, &durations[r][m], time_bounds_us,
                              1e6);
            }
        }
    }
}

/* A currency that was used shows all outcomes, those that never happened as 0; see status_shown. */
static void write_payments(struct text *out) {
    size_t count = 0;
    const struct currency *all = currency_table(&count);
    write_head(out, "payflow_payments_total", "counter", "What became of requests that write.");
    for (size_t c = 0; c <= CURRENCIES_MAX; c++) {
        for (size_t live = 0; live < 2; live++) {
            uint64_t of[OUTCOME_COUNT];
            uint64_t sum = 0;
            for (size_t o = 0; o < OUTCOME_COUNT; o++) {
                of[o] = atomic_load_explicit(&payments[o][c][live], memory_order_relaxed);
                sum += of[o];
            }
            for (size_t o = 0; o < OUTCOME_COUNT && sum > 0; o++) {
                text_printf(out,
                            "payflow_payments_total{outcome=\"%s\",currency=\"%s\",livemode=\"%s\"} %llu\n",
                            outcome_names[o], c < count ? all[c].code : "none", live == 1 ? "true" : "false",
                            (unsigned long long)of[o]);
            }
        }
    }
}

/* Numbers of /proc/self/statm, in pages; 0 if it can't be read. */
static double resident_bytes(void) {
    FILE *file = fopen("/proc/self/statm", "re");
    long pages = 0;
    if (file != NULL) {
        if (fscanf(file, "%*s %ld", &pages) != 1) {
            pages = 0;
        }
        fclose(file);
    }
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static double entries(const char *folder) {
    DIR *dir = opendir(folder);
    double count = 0;
    while (dir != NULL &&
           readdir(dir) != NULL) { // NOLINT(concurrency-mt-unsafe): the stream is this thread's own
        count++;
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return count > 2 ? count - 2 : 0; /* . and .. */
}

static void write_value(struct text *out, const char *name, const char *type, const char *help,
                        double value) {
    write_head(out, name, type, help);
    text_printf(out, "%s %.15g\n", name, value);
}

static void write_process(struct text *out) {
    struct rusage usage = {0};
    struct rlimit files = {0};
    getrusage(RUSAGE_SELF, &usage);
    getrlimit(RLIMIT_NOFILE, &files);
    double cpu_s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                   (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    write_value(out, "process_start_time_seconds", "gauge", "Start of the process, seconds since 1970.",
                started_s);
    write_value(out, "process_cpu_seconds_total", "counter", "User and system CPU time.", cpu_s);
    write_value(out, "process_resident_memory_bytes", "gauge", "Resident memory.", resident_bytes());
    write_value(out, "process_open_fds", "gauge", "Open file descriptors.", entries("/proc/self/fd"));
    write_value(out, "process_max_fds", "gauge", "The most file descriptors there can be.",
                (double)files.rlim_cur);
    write_value(out, "process_threads", "gauge", "Threads.", entries("/proc/self/task"));
}

void metrics_write(struct text *out) {
    write_head(out, "app_info", "gauge", "Application information.");
    text_add_string(out, "app_info{version=");
    text_add_json(out, slice_of(app_version));
    text_add_string(out, "} 1\n");
    write_requests(out);
    write_payments(out);
    metric_set(METRIC_LOG_DROPPED, (int64_t)log_dropped());
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        write_head(out, table[i].name, table[i].type, table[i].help);
        text_printf(out, "%s %lld\n", table[i].name, (long long)metric_get((enum metric)i));
    }
    for (size_t i = 0; i < HISTOGRAM_COUNT; i++) {
        write_head(out, histograms[i].name, "histogram", histograms[i].help);
        write_buckets(out, histograms[i].name, "", &observed[i], histograms[i].bounds, histograms[i].unit);
    }
    for (unsigned i = 0; i < callback_count; i++) {
        write_value(out, callbacks[i].name, callbacks[i].type, callbacks[i].help,
                    callbacks[i].read(callbacks[i].context));
    }
    write_process(out);
}
