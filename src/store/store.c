#include "store/store.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "obs/log.h"
#include "obs/metrics.h"
#include "store/migrate.h"
#include "store/write.h"
#include "sys/clock.h"

#define STATEMENT_TIMEOUT_MS 2000
#define BATCH_LOCK_TIMEOUT_MS                                                                                \
    250 /* longer than any commit of ours takes; one stuck key must not stop a writer */
#define QUARANTINE_LOCK_TIMEOUT_MS                                                                           \
    50 /* tried one by one, again and again, so that each waits little for the others */
#define STATE_AGE_MAX_US 2000000
#define STATE_RUN_US 500000 /* with the half second between looks, the state is no older than a second */
#define GET_BATCH_MAX 64

static const char *const state_names[] = {"ready", "not configured", "unreachable", "migrations pending",
                                          "schema too new"};

/* What the schema says of itself: the newest migration, and whether one needs a binary that knows more than
 * ours. */
static const char state_sql[] = "SELECT coalesce(max(version), 0), coalesce(max(breaks_before), 0), "
                                "pg_snapshot_xmin(s)::text, pg_snapshot_xmax(s)::text"
                                " FROM schema_migrations, pg_current_snapshot() s GROUP BY 3, 4";

/* The feed shows what is older than every running transaction. While the oldest of them stays the same, it
 * lags. */
static void note_feed_lag(struct store *store, uint64_t xmin, uint64_t xmax) {
    int64_t now_us = clock_monotonic_us();
    if (xmin != store->feed_xmin || xmin == xmax) {
        store->feed_xmin = xmin;
        store->feed_moved_us = now_us;
    }
    atomic_store(&store->feed_lag_us, now_us - store->feed_moved_us);
}

double store_feed_lag_s(const struct store *store) {
    return (double)atomic_load(&store->feed_lag_us) / 1e6;
}

static enum store_state look(struct store *store, struct pg *pg) {
    if (!pg_alive(pg)) {
        return STORE_UNREACHABLE;
    }
    struct pg_answer answer = pg_run_text(pg, state_sql, clock_monotonic_us() + STATE_RUN_US);
    if (answer.outcome == PG_REFUSED) {
        return strcmp(answer.sqlstate, "42P01") == 0 ? STORE_MIGRATIONS_PENDING : STORE_UNREACHABLE;
    }
    if (answer.outcome != PG_OK) {
        return STORE_UNREACHABLE;
    }
    if (PQntuples(answer.result) == 0) { /* the table is there, and no migration in it yet */
        PQclear(answer.result);
        return STORE_MIGRATIONS_PENDING;
    }
    int version = atoi(PQgetvalue(answer.result, 0, 0));
    int breaks_before = atoi(PQgetvalue(answer.result, 0, 1));
    note_feed_lag(store, strtoull(PQgetvalue(answer.result, 0, 2), NULL, 10),
                  strtoull(PQgetvalue(answer.result, 0, 3), NULL, 10));
    PQclear(answer.result);
    if (breaks_before > migrations_count) {
        return STORE_SCHEMA_TOO_NEW;
    }
    return version < migrations_count ? STORE_MIGRATIONS_PENDING : STORE_READY;
}

/* The quarantine's thread is mostly idle, so it also keeps the state fresh. */
static void refresh_state(struct lane *lane, struct pg *pg) {
    struct store *store = lane->options.store;
    enum store_state state = look(store, pg);
    enum store_state before = (enum store_state)atomic_exchange(&store->state, (int)state);
    atomic_store(&store->looked_us, clock_monotonic_us());
    metric_set(METRIC_DB_UP, state == STORE_UNREACHABLE ? 0 : 1);
    if (state != before) {
        log_event(state == STORE_READY ? LOG_INFO : LOG_ERROR, "database_state", "the database is %s",
                  state_names[state]);
    }
}

enum store_state store_state(const struct store *store) {
    enum store_state state = (enum store_state)atomic_load(&store->state);
    int64_t age_us = clock_monotonic_us() - atomic_load(&store->looked_us);
    /* Whoever looks has a write in hand that gets no answer: then there is none. */
    return state != STORE_NOT_CONFIGURED && age_us > STATE_AGE_MAX_US ? STORE_UNREACHABLE : state;
}

static bool start_lanes(struct store *store) {
    const struct settings *s = store->settings;
    const struct pg_session batch = {BATCH_LOCK_TIMEOUT_MS, STATEMENT_TIMEOUT_MS};
    const struct pg_session alone = {QUARANTINE_LOCK_TIMEOUT_MS, STATEMENT_TIMEOUT_MS};
    const struct lane_options writers = {.name = "writers",
                                         .threads = (int)s->db_writers,
                                         .depth_max = (int)s->queue_max,
                                         .batch_max = (int)s->batch_rows_max,
                                         .session = batch,
                                         .scratch_new = write_scratch_new,
                                         .scratch_free = write_scratch_free,
                                         .measured = true,
                                         .store = store};
    const struct lane_options quarantine = {.name = "quarantine",
                                            .threads = 1,
                                            .depth_max = (int)s->queue_max,
                                            .batch_max = 1,
                                            .session = alone,
                                            .scratch_new = write_scratch_new,
                                            .scratch_free = write_scratch_free,
                                            .idle = refresh_state,
                                            .store = store};
    const struct lane_options readers = {.name = "readers",
                                         .threads = (int)s->db_readers,
                                         .depth_max = (int)s->queue_max,
                                         .batch_max = GET_BATCH_MAX,
                                         .session = batch,
                                         .scratch_new = read_scratch_new,
                                         .scratch_free = read_scratch_free,
                                         .store = store};
    metric_set(METRIC_DB_CONNECTIONS_MAX, s->db_writers + s->db_readers + 1);
    metric_set(METRIC_QUEUE_CAPACITY, s->queue_max);
    return lane_start(&store->quarantine, s, &quarantine) && lane_start(&store->writers, s, &writers) &&
           lane_start(&store->readers, s, &readers);
}

struct store *store_start(const struct settings *settings) {
    struct store *store = calloc(1, sizeof *store);
    if (store == NULL) {
        return NULL;
    }
    store->settings = settings;
    keymap_init(&store->keys);
    bool configured = settings_database_configured(settings);
    atomic_store(&store->state, configured ? STORE_UNREACHABLE : STORE_NOT_CONFIGURED);
    if (configured && !start_lanes(store)) {
        store_stop(store);
        return NULL;
    }
    return store;
}

void store_stop(struct store *store) {
    struct lane *lanes[] = {&store->writers, &store->readers, &store->quarantine};
    for (size_t i = 0; i < ARRAY_LEN(lanes); i++) {
        if (lanes[i]->started > 0) {
            lane_stop(lanes[i]);
        }
    }
    keymap_destroy(&store->keys);
    free(store);
}
