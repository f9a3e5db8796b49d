/* Steps of a payment's life after its creation. A batch holds one step a payment: UPDATE … FROM unnest with
 * two of one payment applies one and drops the other silently (tested). Payments are locked in the order of
 * their ids first; then, with a new snapshot, keys and earlier tries are read; core's table decides; one
 * statement records everything. */
#include <stdio.h>
#include <stdlib.h>

#include "obs/log.h"
#include "obs/metrics.h"
#include "store/write.h"
#include "sys/clock.h"

struct step {
    struct write write; /* first */
    const struct step_request *request;
    char
        object_id[ID_SIZE]; /* the step's own id, made before anything is written: the refund's, or "stp_…" */
    int64_t at_ms;
    int32_t n;                  /* the event's number */
    enum store_result decision; /* what the transaction found; given to the caller once it ended */
    bool applies;               /* decision is STORE_OK and there is something to record */
};

#define STEP_ID "stp_"

/* Before anything that gives the transaction its xid: whoever waits here for a payment gets a later xid than
 * the one it waits for, so that the feed, which is ordered by xid, shows a payment's events in their order
 * (tested: with row locks alone a batch that locked another payment first had the earlier xid and the later
 * event). In the order of the hashes, because two payments may share one. */
static const struct pg_statement order_statement = {
    STATEMENT_STEP_ORDER, "step_order",
    "SELECT count(pg_advisory_xact_lock(1885960295, h)) FROM"
    " (SELECT DISTINCT hashtext(id COLLATE \"C\") AS h FROM unnest($1::text[]) AS id ORDER BY h OFFSET 0) AS "
    "hashes"};

static const struct pg_statement lock_statement = {
    STATEMENT_STEP_LOCK, "step_lock",
    "SELECT i.place, " PAYMENT_COLUMNS(
        "p") " FROM unnest($1::int4[], $2::bool[], $3::text[]) WITH ORDINALITY AS i (account_id, livemode, "
             "id, place)"
             " JOIN payments p ON p.account_id = i.account_id AND p.livemode = i.livemode AND p.id = i.id"
             " ORDER BY p.id FOR UPDATE OF p"};

/* By key what the first request did, without a key what an earlier try of our own did. */
static const struct pg_statement before_statement = {
    STATEMENT_STEP_BEFORE, "step_before",
    "SELECT i.place, (SELECT max(n) FROM events WHERE payment_id = i.payment_id), k.fingerprint, "
    "e.object_id, e.status,"
    " e.captured_minor, e.refunded_minor, e.amount_minor, (extract(epoch FROM e.created_at) * 1000)::int8, "
    "r.reason"
    " FROM unnest($1::int4[], $2::bool[], $3::text[], $4::int2[], $5::text[], $6::text[]) WITH ORDINALITY"
    " AS i (account_id, livemode, payment_id, operation, key, object_id, place)"
    " LEFT JOIN idempotency_keys k ON i.key IS NOT NULL AND k.account_id = i.account_id AND k.livemode = "
    "i.livemode"
    " AND k.operation = i.operation AND k.target = i.payment_id AND k.key = i.key"
    " LEFT JOIN events e ON e.payment_id = i.payment_id AND e.object_id = coalesce(k.object_id, i.object_id)"
    " LEFT JOIN refunds r ON r.payment_id = i.payment_id AND r.id = e.object_id"};

static const struct pg_statement apply_statement = {
    STATEMENT_STEP_APPLY, "step_apply",
    "WITH input AS MATERIALIZED (SELECT * FROM unnest($1::int4[], $2::bool[], $3::text[], $4::text[], "
    "$5::int2[],"
    " $6::int8[], $7::int2[], $8::int8[], $9::int8[], $10::timestamptz[], $11::int4[], $12::text[], "
    "$13::bytea[],"
    " $14::text[], $15::text[], $16::text[])"
    " AS i (account_id, livemode, payment_id, object_id, step, amount_minor, status, captured_minor, "
    "refunded_minor,"
    " at, n, key, fingerprint, actor, request_id, reason)),"
    " keyed AS (INSERT INTO idempotency_keys (account_id, livemode, operation, target, key, fingerprint, "
    "object_id)"
    " SELECT account_id, livemode, step, payment_id, key, fingerprint, object_id FROM input WHERE key IS NOT "
    "NULL),"
    " refunded AS (INSERT INTO refunds (created_at, amount_minor, account_id, livemode, payment_id, id, "
    "reason)"
    " SELECT at, amount_minor, account_id, livemode, payment_id, object_id, reason FROM input WHERE step = "
    "4),"
    " changed AS (UPDATE payments p SET status = i.status, captured_minor = i.captured_minor,"
    " refunded_minor = i.refunded_minor FROM input i"
    " WHERE p.account_id = i.account_id AND p.livemode = i.livemode AND p.id = i.payment_id)"
    " INSERT INTO events (created_at, epoch, account_id, n, step, status, livemode, amount_minor, "
    "captured_minor,"
    " refunded_minor, payment_id, object_id, actor, request_id)"
    " SELECT at, (SELECT epoch FROM feed_epoch), account_id, n, step, status, livemode, amount_minor, "
    "captured_minor,"
    " refunded_minor, payment_id, object_id, actor, request_id FROM input"};

static struct step *step_of(struct op *op) {
    return (struct step *)op;
}

/* Puts the first step of each payment in front, in the order of the ids, and passes the others back to the
 * lane. */
static int by_payment(const void *left, const void *right) {
    return strcmp(step_of(*(struct op *const *)left)->request->payment_id,
                  step_of(*(struct op *const *)right)->request->payment_id);
}

static int one_a_payment(struct lane *lane, struct op **ops, int count) {
    int kept = 0;
    qsort(ops, (size_t)count, sizeof *ops, by_payment);
    for (int i = 0; i < count; i++) {
        if (kept > 0 && by_payment(&ops[kept - 1], &ops[i]) == 0) {
            lane_pass(lane, ops[i], true);
        } else {
            ops[kept++] = ops[i];
        }
    }
    return kept;
}

static void add_scope(struct array *arrays, const struct step *step) {
    array_add_int4(&arrays[0], step->write.caller->account_id);
    array_add_bool(&arrays[1], step->write.caller->livemode);
    array_add_bytes(&arrays[2], slice_of(step->request->payment_id));
}

static void begin_arrays(struct array *arrays, const enum array_type *types, int count) {
    for (int i = 0; i < count; i++) {
        array_begin(&arrays[i], types[i]);
    }
}

static struct pg_answer order_payments(struct pg *pg, struct array *arrays, struct op **ops, int count,
                                       int64_t deadline_us) {
    struct pg_parameters parameters = {.count = 0};
    array_begin(&arrays[0], ARRAY_TEXT);
    for (int i = 0; i < count; i++) {
        array_add_bytes(&arrays[0], slice_of(step_of(ops[i])->request->payment_id));
    }
    if (!arrays_bind(arrays, 1, &parameters)) {
        return (struct pg_answer){.outcome = PG_NOT_SENT};
    }
    return pg_run(pg, &order_statement, &parameters, deadline_us);
}

static struct pg_answer lock_payments(struct pg *pg, struct array *arrays, struct op **ops, int count,
                                      int64_t deadline_us) {
    static const enum array_type types[] = {ARRAY_INT4, ARRAY_BOOL, ARRAY_TEXT};
    struct pg_parameters parameters = {.count = 0};
    begin_arrays(arrays, types, ARRAY_LEN(types));
    for (int i = 0; i < count; i++) {
        add_scope(arrays, step_of(ops[i]));
    }
    if (!arrays_bind(arrays, ARRAY_LEN(types), &parameters)) {
        return (struct pg_answer){.outcome = PG_NOT_SENT};
    }
    return pg_run(pg, &lock_statement, &parameters, deadline_us);
}

static struct pg_answer read_before(struct pg *pg, struct array *arrays, struct op **ops, int count,
                                    int64_t deadline_us) {
    static const enum array_type types[] = {ARRAY_INT4, ARRAY_BOOL, ARRAY_TEXT,
                                            ARRAY_INT2, ARRAY_TEXT, ARRAY_TEXT};
    struct pg_parameters parameters = {.count = 0};
    begin_arrays(arrays, types, ARRAY_LEN(types));
    for (int i = 0; i < count; i++) {
        const struct step *step = step_of(ops[i]);
        add_scope(arrays, step);
        array_add_int2(&arrays[3], (int16_t)step->write.step);
        array_add_bytes(&arrays[4], write_key(&step->write));
        array_add_bytes(&arrays[5], slice_of(step->object_id));
    }
    if (!arrays_bind(arrays, ARRAY_LEN(types), &parameters)) {
        return (struct pg_answer){.outcome = PG_NOT_SENT};
    }
    return pg_run(pg, &before_statement, &parameters, deadline_us);
}

/* The payments that exist are read into their records; the others are not found. False without memory. */
static bool take_locked(const PGresult *result, struct op **ops, int count) {
    for (int i = 0; i < count; i++) {
        struct step *step = step_of(ops[i]);
        record_free(step->write.record);
        *step->write.record = (struct record){.memory = NULL};
        step->decision = STORE_NOT_FOUND;
        step->applies = false;
    }
    for (int row = 0; row < PQntuples(result); row++) {
        int place = atoi(PQgetvalue(result, row, 0)) - 1;
        if (place < 0 || place >= count ||
            !payment_row_read(result, row, 1, step_of(ops[place])->write.record)) {
            return false;
        }
        step_of(ops[place])->decision = STORE_OK;
    }
    return true;
}

/* The answer that the first request got: the payment and the refund as its event left them. False without
 * memory. */
static bool take_earlier(struct step *step, const PGresult *result, int row) {
    struct record *record = step->write.record;
    struct record earlier = *record;
    struct slice object_id = text_at(result, row, 3);
    bool own = slice_equal(object_id, slice_of(step->object_id));
    if (!own && !write_same_request(&step->write, result, row, 2)) {
        step->decision = STORE_KEY_REUSED;
        return true;
    }
    earlier.payment.status = (enum payment_status)number_at(result, row, 4);
    earlier.payment.captured_minor = number_at(result, row, 5);
    earlier.payment.refunded_minor = number_at(result, row, 6);
    if (step->write.step == STEP_REFUND && object_id.len < sizeof earlier.refund.id) {
        memcpy(earlier.refund.id, object_id.data, object_id.len);
        earlier.refund.amount_minor = number_at(result, row, 7);
        earlier.refund.created_at_ms = number_at(result, row, 8);
        earlier.refund.reason = text_at(result, row, 9);
    }
    char *memory = record->memory;
    bool copied = record_own_texts(&earlier);
    free(memory);
    *record = earlier;
    step->decision = own ? STORE_OK : STORE_REPLAYED;
    return copied;
}

/* Applies core's table to the locked payment. False without memory. */
static bool decide(struct step *step, int32_t events) {
    struct record *record = step->write.record;
    struct payment *payment = &record->payment;
    int64_t refunded_minor = payment->refunded_minor;
    enum step_error error = payment_apply(payment, step->write.step, step->request->amount_minor);
    if (error != STEP_OK) {
        step->decision = error == STEP_ILLEGAL_STATE ? STORE_ILLEGAL : STORE_AMOUNT;
        return true;
    }
    step->applies = true;
    step->n = events + 1;
    if (step->write.step != STEP_REFUND) {
        return true;
    }
    memcpy(record->refund.id, step->object_id, sizeof step->object_id);
    record->refund.amount_minor = payment->refunded_minor - refunded_minor;
    record->refund.created_at_ms = step->at_ms;
    record->refund.reason = step->request->reason;
    char *memory = record->memory; /* the reason joins the other texts */
    bool copied = record_own_texts(record);
    free(memory);
    return copied;
}

/* What each step comes to. False without memory. */
static bool decide_all(const PGresult *result, struct op **ops, int count) {
    for (int row = 0; row < PQntuples(result); row++) {
        int place = atoi(PQgetvalue(result, row, 0)) - 1;
        if (place < 0 || place >= count || step_of(ops[place])->decision != STORE_OK) {
            continue;
        }
        struct step *step = step_of(ops[place]);
        bool known = PQgetisnull(result, row, 3) == 0;
        if (!(known ? take_earlier(step, result, row) : decide(step, (int32_t)number_at(result, row, 1)))) {
            return false;
        }
    }
    return true;
}

/* The amount of the step itself, for its event. */
static int64_t step_amount(const struct step *step) {
    const struct record *record = step->write.record;
    switch (step->write.step) {
    case STEP_CAPTURE:
        return record->payment.captured_minor;
    case STEP_REFUND:
        return record->refund.amount_minor;
    case STEP_CREATE:
    case STEP_CANCEL:
    case STEP_FAIL:
        break;
    }
    return record->payment.amount_minor;
}

static struct pg_answer apply_steps(struct pg *pg, struct array *arrays, struct op **ops, int count,
                                    int64_t deadline_us) {
    static const enum array_type types[STEP_ARRAYS] = {
        ARRAY_INT4,  ARRAY_BOOL, ARRAY_TEXT, ARRAY_TEXT,        ARRAY_INT2, ARRAY_INT8,
        ARRAY_INT2,  ARRAY_INT8, ARRAY_INT8, ARRAY_TIMESTAMPTZ, ARRAY_INT4, ARRAY_TEXT,
        ARRAY_BYTEA, ARRAY_TEXT, ARRAY_TEXT, ARRAY_TEXT};
    struct pg_parameters parameters = {.count = 0};
    begin_arrays(arrays, types, STEP_ARRAYS);
    for (int i = 0; i < count; i++) {
        const struct step *step = step_of(ops[i]);
        const struct payment *payment = &step->write.record->payment;
        if (!step->applies) {
            continue;
        }
        add_scope(arrays, step);
        array_add_bytes(&arrays[3], slice_of(step->object_id));
        array_add_int2(&arrays[4], (int16_t)step->write.step);
        array_add_int8(&arrays[5], step_amount(step));
        array_add_int2(&arrays[6], (int16_t)payment->status);
        array_add_int8(&arrays[7], payment->captured_minor);
        array_add_int8(&arrays[8], payment->refunded_minor);
        array_add_time(&arrays[9], step->at_ms);
        array_add_int4(&arrays[10], step->n);
        array_add_bytes(&arrays[11], write_key(&step->write));
        array_add_bytes(&arrays[12], write_fingerprint(&step->write));
        array_add_bytes(&arrays[13], slice_of(step->write.caller->actor));
        array_add_bytes(&arrays[14], slice_of(step->write.caller->request_id));
        array_add_bytes(&arrays[15], step->request->reason);
    }
    if (arrays[0].count == 0) {
        return pg_run_text(pg, "SELECT", deadline_us); /* nothing to record */
    }
    if (!arrays_bind(arrays, STEP_ARRAYS, &parameters)) {
        return (struct pg_answer){.outcome = PG_NOT_SENT};
    }
    return pg_run(pg, &apply_statement, &parameters, deadline_us);
}

/* One transaction up to, and not with, its COMMIT. PG_NOT_SENT also stands for a shortage of memory. */
static struct pg_answer prepare(struct pg *pg, struct array *arrays, struct op **ops, int count,
                                int64_t deadline_us) {
    struct pg_answer answer = pg_run_text(pg, "BEGIN", deadline_us);
    if (answer.outcome != PG_OK) {
        return answer;
    }
    PQclear(answer.result);
    answer = order_payments(pg, arrays, ops, count, deadline_us);
    if (answer.outcome != PG_OK) {
        return answer;
    }
    PQclear(answer.result);
    answer = lock_payments(pg, arrays, ops, count, deadline_us);
    if (answer.outcome != PG_OK) {
        return answer;
    }
    bool taken = take_locked(answer.result, ops, count);
    PQclear(answer.result);
    if (!taken) {
        return (struct pg_answer){.outcome = PG_NOT_SENT};
    }
    answer = read_before(pg, arrays, ops, count, deadline_us);
    if (answer.outcome != PG_OK) {
        return answer;
    }
    taken = decide_all(answer.result, ops, count);
    PQclear(answer.result);
    if (!taken) {
        return (struct pg_answer){.outcome = PG_NOT_SENT};
    }
    return apply_steps(pg, arrays, ops, count, deadline_us);
}

static void run_batch(struct lane *lane, struct pg *pg, struct write_scratch *scratch, struct op **ops,
                      int count);

/* The transaction failed before its COMMIT: nothing was done. Returns how many steps are still ours to try.
 */
static int failed(struct lane *lane, struct pg *pg, struct write_scratch *scratch, struct op **ops, int count,
                  const struct pg_answer *answer) {
    if (answer->outcome != PG_REFUSED) {
        pg_close(pg); /* and with it the transaction */
        clock_sleep_ms(5);
        return count;
    }
    char message[200];
    snprintf(message, sizeof message, "%s", pg_message(pg));
    struct pg_answer undone = pg_run_text(pg, "ROLLBACK", ops_run_deadline_us(ops, count));
    PQclear(undone.result);
    if (undone.outcome != PG_OK) {
        pg_close(pg); /* with the transaction: the next one must not begin within it */
    }
    if (pg_is_contention(answer->sqlstate)) {
        write_quarantine(lane, ops, count, answer->sqlstate);
        return 0;
    }
    if (pg_is_permanent(answer->sqlstate)) {
        ops_refuse(ops, count, "steps", answer->sqlstate, message);
        return 0;
    }
    metric_add(METRIC_BATCH_RETRIES, 1);
    bool raced = strcmp(answer->sqlstate, "23505") ==
                 0; /* somebody outside wrote the same key in between: look again */
    if (pg_is_data_error(answer->sqlstate) && count > 1) {
        run_batch(lane, pg, scratch, ops, count / 2);
        run_batch(lane, pg, scratch, ops + count / 2, count - count / 2);
        return 0;
    }
    log_event(LOG_ERROR, "steps_refused", "PostgreSQL refused %d steps with SQLSTATE %s: %s", count,
              answer->sqlstate, message);
    if (pg_is_data_error(answer->sqlstate) && !raced) {
        op_finish(ops[0], op_refused(ops[0]));
        return 0;
    }
    pg_close(pg); /* no space, read-only after a fail-over: a new connection may find it better */
    clock_sleep_ms(50);
    return count;
}

static void finish_decided(struct op **ops, int count) {
    for (int i = 0; i < count; i++) {
        op_finish(ops[i], step_of(ops[i])->decision);
    }
}

/* Carries out a batch of steps of different payments: until each is finished, passed on, or past its
 * deadline. */
static void run_batch(struct lane *lane, struct pg *pg, struct write_scratch *scratch, struct op **ops,
                      int count) {
    while ((count = ops_drop_expired(ops, count)) > 0) {
        if (!lane_reconnect(pg, ops, count)) {
            continue;
        }
        int64_t sent_us = clock_monotonic_us();
        int64_t deadline_us = ops_run_deadline_us(ops, count);
        struct pg_answer answer = prepare(pg, scratch->step, ops, count, deadline_us);
        PQclear(answer.result);
        if (answer.outcome != PG_OK) {
            count = failed(lane, pg, scratch, ops, count, &answer);
            continue;
        }
        answer = pg_run_text(pg, "COMMIT", deadline_us);
        if (answer.outcome == PG_OK && strcmp(PQcmdStatus(answer.result), "COMMIT") != 0) {
            answer.outcome = PG_NOT_SENT; /* a failed transaction answers it with ROLLBACK, and no error */
        }
        PQclear(answer.result);
        if (answer.outcome == PG_OK) {
            histogram_observe(HISTOGRAM_COMMIT_SECONDS, clock_monotonic_us() - sent_us);
            histogram_observe(HISTOGRAM_BATCH_ROWS, count);
            finish_decided(ops, count);
            return;
        }
        if (answer.outcome == PG_LOST) { /* the outcome is open: the next pass finds our own ids, or waits for
                                            the old backend */
            write_mark_sent(ops, count);
            continue;
        }
        count = failed(lane, pg, scratch, ops, count, &answer);
    }
}

static void step_run(struct lane *lane, struct pg *pg, void *scratch, struct op **ops, int count) {
    count = one_a_payment(lane, ops, count);
    run_batch(lane, pg, scratch, ops, count);
}

static const struct op_kind step_kind = {"step", false, step_run};

enum store_result store_step(struct store *store, const struct caller *caller, const struct idempotency *key,
                             const struct step_request *request, int64_t deadline_us, struct record *record) {
    uint8_t random[ID_RANDOM_BYTES];
    struct step step = {.request = request, .at_ms = clock_wall_ms(), .decision = STORE_UNAVAILABLE};
    *record = (struct record){.memory = NULL};
    step.write = (struct write){.caller = caller, .key = key, .step = request->step, .record = record};
    step.write.keyed.target = request->payment_id;
    random_bytes(random, sizeof random);
    id_make(request->step == STEP_REFUND ? ID_REFUND : STEP_ID, step.at_ms, random, step.object_id);
    return write_carry_out(store, &step.write, &step_kind, deadline_us);
}
