/* New payments: all that wait become one statement, one round trip, one COMMIT. */
#include <stdlib.h>

#include "obs/log.h"
#include "obs/metrics.h"
#include "store/write.h"
#include "sys/clock.h"

/* After a batch with a key or an id that was there already, this many go by the careful statement: clients
 * that repeat themselves seldom do it once. */
#define CAREFUL_BATCHES 16

#define INPUT                                                                                                \
    "WITH input AS (SELECT * FROM unnest($1::int4[], $2::bool[], $3::text[], $4::int8[], $5::text[],"        \
    " $6::timestamptz[], $7::text[], $8::text[], $9::text[], $10::text[], $11::bytea[], $12::text[], "       \
    "$13::text[])"                                                                                           \
    " AS i (account_id, livemode, id, amount_minor, currency, created_at, description, reference, metadata," \
    " key, fingerprint, actor, request_id)),"
#define INSERT_KEYS                                                                                          \
    "INSERT INTO idempotency_keys (account_id, livemode, operation, target, key, fingerprint, object_id)"    \
    " SELECT account_id, livemode, 1, '', key, fingerprint, id FROM input WHERE key IS NOT NULL"
#define INSERT_PAYMENTS                                                                                      \
    "INSERT INTO payments (account_id, livemode, status, amount_minor, created_at, id, currency,"            \
    " description, reference, metadata)"                                                                     \
    " SELECT account_id, livemode, 1, amount_minor, created_at, id, currency, description, reference,"       \
    " metadata::json FROM input"
#define INSERT_EVENTS                                                                                        \
    "INSERT INTO events (created_at, epoch, account_id, n, step, status, livemode, amount_minor,"            \
    " captured_minor, refunded_minor, payment_id, actor, request_id)"                                        \
    " SELECT created_at, (SELECT epoch FROM feed_epoch), account_id, 1, 1, 1, livemode, amount_minor, 0, 0," \
    " id, actor, request_id FROM input"

/* The usual case: no key and no id is there yet. If one is, the whole batch is refused and comes again by the
 * careful statement below. That one looks into each index before it inserts, which costs half as much
 * again. */
static const struct pg_statement create_statement = {
    STATEMENT_CREATE, "create",
    INPUT " claimed AS (" INSERT_KEYS "), logged AS (" INSERT_EVENTS ") " INSERT_PAYMENTS};

/* Keys first: who gets its key may insert its payment and its first event. A row whose key or id is there
 * already is left out of the answer, and looked up in a second statement with a new snapshot: this one's
 * would not show a winner that committed while we waited for it. The OR keeps the look-up in `claimed` a
 * hashed subplan. */
#define CLAIMED " WHERE key IS NULL OR id IN (SELECT object_id FROM claimed)"
static const struct pg_statement careful_statement = {
    STATEMENT_CREATE_CAREFUL, "create_careful",
    INPUT " claimed AS (" INSERT_KEYS " ON CONFLICT DO NOTHING RETURNING object_id),"
          " created AS (" INSERT_PAYMENTS CLAIMED " ON CONFLICT DO NOTHING RETURNING id),"
          " logged AS (" INSERT_EVENTS CLAIMED " ON CONFLICT DO NOTHING)"
          " SELECT id FROM created"};

/* For the rows that the careful statement left out: by key the first request's fingerprint and payment,
 * without a key the payment of our own id, which an earlier try of ours may have made. */
static const struct pg_statement before_statement = {
    STATEMENT_CREATED_BEFORE, "created_before",
    "SELECT i.place, k.fingerprint, " PAYMENT_COLUMNS(
        "p") " FROM unnest($1::int4[], $2::bool[], $3::text[], $4::text[]) WITH ORDINALITY AS i (account_id, "
             "livemode, id, key, place)"
             " LEFT JOIN idempotency_keys k ON i.key IS NOT NULL AND k.account_id = i.account_id AND "
             "k.livemode = i.livemode"
             " AND k.operation = 1 AND k.target = '' AND k.key = i.key"
             " JOIN payments p ON p.account_id = i.account_id AND p.livemode = i.livemode"
             " AND p.id = CASE WHEN i.key IS NULL THEN i.id ELSE k.object_id END"};

/* Everybody locks keys in the same order, or six servers with shuffled keys deadlock (tested). */
static int by_scope_key_id(const void *left, const void *right) {
    const struct write *a = write_of(*(struct op *const *)left);
    const struct write *b = write_of(*(struct op *const *)right);
    if (a->caller->account_id != b->caller->account_id) {
        return a->caller->account_id < b->caller->account_id ? -1 : 1;
    }
    if (a->caller->livemode != b->caller->livemode) {
        return a->caller->livemode ? 1 : -1;
    }
    if (a->key->present != b->key->present) {
        return a->key->present ? 1 : -1;
    }
    int order = a->key->present ? strcmp(a->key->key, b->key->key) : 0;
    return order != 0 ? order : strcmp(a->record->payment.id, b->record->payment.id);
}

static bool bind_create(struct write_scratch *scratch, struct op *const *ops, int count,
                        struct pg_parameters *parameters) {
    static const enum array_type types[CREATE_ARRAYS] = {
        ARRAY_INT4, ARRAY_BOOL, ARRAY_TEXT, ARRAY_INT8,  ARRAY_TEXT, ARRAY_TIMESTAMPTZ, ARRAY_TEXT,
        ARRAY_TEXT, ARRAY_TEXT, ARRAY_TEXT, ARRAY_BYTEA, ARRAY_TEXT, ARRAY_TEXT};
    struct array *a = scratch->create;
    for (int i = 0; i < CREATE_ARRAYS; i++) {
        array_begin(&a[i], types[i]);
    }
    for (int i = 0; i < count; i++) {
        const struct write *write = write_of(ops[i]);
        const struct payment *payment = &write->record->payment;
        array_add_int4(&a[0], write->caller->account_id);
        array_add_bool(&a[1], write->caller->livemode);
        array_add_bytes(&a[2], slice_of(payment->id));
        array_add_int8(&a[3], payment->amount_minor);
        array_add_bytes(&a[4], slice_of(payment->currency->code));
        array_add_time(&a[5], payment->created_at_ms);
        array_add_bytes(&a[6], payment->description);
        array_add_bytes(&a[7], payment->reference);
        array_add_bytes(&a[8], payment->metadata);
        array_add_bytes(&a[9], write_key(write));
        array_add_bytes(&a[10], write_fingerprint(write));
        array_add_bytes(&a[11], slice_of(write->caller->actor));
        array_add_bytes(&a[12], slice_of(write->caller->request_id));
    }
    *parameters = (struct pg_parameters){.count = 0};
    return arrays_bind(a, CREATE_ARRAYS, parameters);
}

static int finish_all(struct op **ops, int count) {
    for (int i = 0; i < count; i++) {
        op_finish(ops[i], STORE_OK);
    }
    return 0;
}

/* Finishes the operations whose ids came back; the others move to the front of ops. Returns how many those
 * are. */
static int finish_created(const PGresult *result, struct op **ops, int count) {
    int rows = PQntuples(result);
    int row = 0; /* the ids come back in the order in which they were sent */
    int left = 0;
    for (int i = 0; i < count; i++) {
        if (row < rows && strcmp(PQgetvalue(result, row, 0), write_of(ops[i])->record->payment.id) == 0) {
            row++;
            op_finish(ops[i], STORE_OK);
        } else {
            ops[left++] = ops[i];
        }
    }
    if (row != rows) {
        /* Not in our order: the look-up that follows finds them by their ids all the same. */
        log_event(LOG_DEBUG, "batch_order", "%d of %d ids came back out of order", rows - row, rows);
    }
    return left;
}

/* What a row of the second statement means for its write. */
static void finish_from_row(struct write *write, const PGresult *result, int row) {
    struct record before;
    if (write->key->present && !write_same_request(write, result, row, 1)) {
        op_finish(&write->op, STORE_KEY_REUSED);
        return;
    }
    if (!payment_row_read(result, row, 2, &before)) {
        op_finish(&write->op, op_expired(&write->op));
        return;
    }
    if (strcmp(before.payment.id, write->record->payment.id) == 0) {
        record_free(&before); /* our own: an earlier try whose answer was lost did it */
        op_finish(&write->op, STORE_OK);
        return;
    }
    /* The first answer again: as it was created, whatever became of it since. */
    before.payment.status = PAYMENT_PENDING;
    before.payment.captured_minor = 0;
    before.payment.refunded_minor = 0;
    *write->record = before;
    op_finish(&write->op, STORE_REPLAYED);
}

/* Runs the second statement for `count` operations; returns how many must go through the first again (their
 * key was pruned in between) or, after a failure, all of them. */
static int finish_known(struct pg *pg, struct write_scratch *scratch, struct op **ops, int count) {
    static const enum array_type types[BEFORE_ARRAYS] = {ARRAY_INT4, ARRAY_BOOL, ARRAY_TEXT, ARRAY_TEXT};
    struct array *a = scratch->before;
    struct pg_parameters parameters = {.count = 0};
    for (int i = 0; i < BEFORE_ARRAYS; i++) {
        array_begin(&a[i], types[i]);
    }
    for (int i = 0; i < count; i++) {
        const struct write *write = write_of(ops[i]);
        array_add_int4(&a[0], write->caller->account_id);
        array_add_bool(&a[1], write->caller->livemode);
        array_add_bytes(&a[2], slice_of(write->record->payment.id));
        array_add_bytes(&a[3], write_key(write));
    }
    if (!arrays_bind(a, BEFORE_ARRAYS, &parameters)) {
        return count;
    }
    struct pg_answer answer = pg_run(pg, &before_statement, &parameters, ops_run_deadline_us(ops, count));
    if (answer.outcome == PG_REFUSED && pg_is_permanent(answer.sqlstate)) {
        ops_refuse(ops, count, "look-ups", answer.sqlstate, pg_message(pg));
        return 0;
    }
    if (answer.outcome == PG_REFUSED) {
        log_event(LOG_WARNING, "lookup_refused",
                  "PostgreSQL refused to look up %d payments with SQLSTATE %s: %s", count, answer.sqlstate,
                  pg_message(pg));
        clock_sleep_ms(10);
    }
    if (answer.outcome != PG_OK) {
        return count;
    }
    int rows = PQntuples(answer.result);
    for (int row = 0; row < rows; row++) {
        int place = atoi(PQgetvalue(answer.result, row, 0)) - 1;
        if (place >= 0 && place < count && ops[place] != NULL) {
            struct write *write = write_of(ops[place]);
            ops[place] = NULL;
            finish_from_row(write, answer.result, row);
        }
    }
    PQclear(answer.result);
    int left = 0;
    for (int i = 0; i < count; i++) {
        if (ops[i] != NULL) {
            ops[left++] = ops[i];
        }
    }
    return left;
}

static void run_batch(struct lane *lane, struct pg *pg, struct write_scratch *scratch, struct op **ops,
                      int count);

/* PostgreSQL said no and undid the batch. Returns how many operations are still ours to try. */
static int refused(struct lane *lane, struct pg *pg, struct write_scratch *scratch, struct op **ops,
                   int count, const char *sqlstate) {
    if (pg_is_contention(sqlstate)) {
        write_quarantine(lane, ops, count, sqlstate);
        return 0;
    }
    if (pg_is_permanent(sqlstate)) {
        ops_refuse(ops, count, "payments", sqlstate, pg_message(pg));
        return 0;
    }
    metric_add(METRIC_BATCH_RETRIES, 1);
    if (pg_is_data_error(sqlstate)) {
        if (count == 1) {
            log_event(LOG_ERROR, "row_refused", "PostgreSQL refused a payment's row with SQLSTATE %s",
                      sqlstate);
            op_finish(ops[0], op_refused(ops[0]));
        } else { /* a bad row must not hurt its neighbours */
            run_batch(lane, pg, scratch, ops, count / 2);
            run_batch(lane, pg, scratch, ops + count / 2, count - count / 2);
        }
        return 0;
    }
    log_event(LOG_ERROR, "batch_refused", "PostgreSQL refused a batch of %d with SQLSTATE %s: %s", count,
              sqlstate, pg_message(pg));
    pg_close(pg); /* no space, read-only after a fail-over: a new connection may find it better */
    clock_sleep_ms(50);
    return count;
}

/* Carries out a batch: until each operation is finished, handed to quarantine, or past its deadline. Every
 * pass either finishes something, waits a moment, or meets a deadline. */
static void run_batch(struct lane *lane, struct pg *pg, struct write_scratch *scratch, struct op **ops,
                      int count) {
    bool resolving = false;
    bool careful = scratch->careful_batches > 0;
    scratch->careful_batches -= careful ? 1 : 0;
    while ((count = ops_drop_expired(ops, count)) > 0) {
        struct pg_parameters parameters;
        if (!lane_reconnect(pg, ops, count)) {
            continue;
        }
        if (!bind_create(scratch, ops, count, &parameters)) {
            clock_sleep_ms(10); /* memory is short */
            continue;
        }
        int64_t sent_us = clock_monotonic_us();
        struct pg_answer answer = pg_run(pg, careful ? &careful_statement : &create_statement, &parameters,
                                         ops_run_deadline_us(ops, count));
        if (answer.outcome == PG_LOST) {
            write_mark_sent(ops, count);
            resolving = careful = true;
        } else if (answer.outcome == PG_REFUSED && !careful && pg_is_duplicate(answer.sqlstate)) {
            careful = true;
            scratch->careful_batches = CAREFUL_BATCHES;
            metric_add(METRIC_BATCH_RETRIES, 1);
        } else if (answer.outcome == PG_REFUSED) {
            count = refused(lane, pg, scratch, ops, count, answer.sqlstate);
        } else if (answer.outcome == PG_OK) {
            histogram_observe(HISTOGRAM_COMMIT_SECONDS, clock_monotonic_us() - sent_us);
            histogram_observe(HISTOGRAM_BATCH_ROWS, count);
            metric_add(METRIC_DB_UNKNOWN_RESOLVED, resolving ? 1 : 0);
            resolving = false;
            count = careful ? finish_created(answer.result, ops, count) : finish_all(ops, count);
            PQclear(answer.result);
            if (count > 0) {
                count = finish_known(pg, scratch, ops, count);
            }
        }
    }
}

static void create_run(struct lane *lane, struct pg *pg, void *scratch, struct op **ops, int count) {
    qsort(ops, (size_t)count, sizeof *ops, by_scope_key_id);
    run_batch(lane, pg, scratch, ops, count);
}

static const struct op_kind create_kind = {"create", false, create_run};

enum store_result store_create(struct store *store, const struct caller *caller,
                               const struct idempotency *key, int64_t deadline_us,
                               const struct store_early *early, struct record *record) {
    struct write write = {
        .caller = caller, .key = key, .step = STEP_CREATE, .early = early, .record = record};
    write.keyed.target = "";
    return write_carry_out(store, &write, &create_kind, deadline_us);
}
