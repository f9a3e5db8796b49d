/* Reading what happened: a payment's events and refunds, the feed, and API keys. One statement each. */
#include <stdio.h>
#include <stdlib.h>

#include "store/internal.h"

#define EVENT_COLUMNS                                                                                        \
    "e.epoch, e.xid::text, e.seq, (extract(epoch FROM e.created_at) * 1000)::int8, e.n, e.step, e.status,"   \
    " e.amount_minor, e.captured_minor, e.refunded_minor, p.currency, e.livemode, e.payment_id,"             \
    " coalesce(e.object_id, ''), e.actor, e.request_id"

/* The payment comes first even if nothing follows it: no row at all means that the caller has no such
 * payment. */
static const struct pg_statement events_statement = {
    STATEMENT_EVENTS, "events",
    "SELECT " EVENT_COLUMNS " FROM payments p LEFT JOIN LATERAL (SELECT * FROM events"
    " WHERE payment_id = p.id AND n > $4::int4 ORDER BY n LIMIT $5::int4) e ON true"
    " WHERE p.account_id = $1::int4 AND p.livemode = $2::bool AND p.id = $3::text ORDER BY e.n"};

static const struct pg_statement feed_statement = {
    STATEMENT_FEED, "feed",
    "SELECT " EVENT_COLUMNS " FROM (SELECT * FROM events WHERE account_id = $1::int4 AND livemode = $2::bool"
    " AND (epoch, xid, seq) > ($3::int4, $4::text::xid8, $5::int8)"
    " AND (epoch < (SELECT epoch FROM feed_epoch) OR xid < pg_snapshot_xmin(pg_current_snapshot()))"
    " ORDER BY account_id, livemode, epoch, xid, seq LIMIT $6::int4) e"
    " JOIN payments p ON p.account_id = e.account_id AND p.livemode = e.livemode AND p.id = e.payment_id"
    " ORDER BY e.epoch, e.xid, e.seq"};

static const struct pg_statement refunds_statement = {
    STATEMENT_REFUNDS, "refunds",
    "SELECT p.currency, r.id, r.amount_minor, (extract(epoch FROM r.created_at) * 1000)::int8, r.reason"
    " FROM payments p LEFT JOIN LATERAL (SELECT * FROM refunds"
    " WHERE payment_id = p.id AND id < $4::text ORDER BY id DESC LIMIT $5::int4) r ON true"
    " WHERE p.account_id = $1::int4 AND p.livemode = $2::bool AND p.id = $3::text ORDER BY r.id DESC"};

static const struct pg_statement key_statement = {
    STATEMENT_KEY, "key",
    "SELECT id, account_id, livemode, scopes, coalesce((extract(epoch FROM expires_at) * 1000)::int8, 0)"
    " FROM api_keys WHERE hash = decode($1::text, 'hex') AND revoked_at IS NULL"
    " AND (expires_at IS NULL OR expires_at > now())"};

/* A read of one statement with text parameters; `read` turns the result into the caller's. */
struct query {
    struct op op;
    const struct pg_statement *statement;
    struct pg_parameters parameters;
    enum store_result (*read)(const PGresult *result, void *out, int limit);
    void *out;
    int limit;
};

static void query_run(struct lane *lane, struct pg *pg, void *scratch, struct op **ops, int count) {
    (void)lane;
    (void)scratch;
    struct query *query = (struct query *)ops[0];
    while ((count = ops_drop_expired(ops, count)) > 0) {
        if (!lane_reconnect(pg, ops, count)) {
            continue;
        }
        struct pg_answer answer =
            pg_run(pg, query->statement, &query->parameters, ops_run_deadline_us(ops, count));
        if (answer.outcome == PG_OK) {
            enum store_result result = query->read(answer.result, query->out, query->limit);
            PQclear(answer.result);
            op_finish(&query->op, result);
            return;
        }
        if (!read_again(pg, &answer, ops, count)) {
            return;
        }
    }
}

static const struct op_kind query_kind = {"query", true, query_run};

static enum store_result ask(struct store *store, struct query *query, int64_t deadline_us) {
    op_init(&query->op, &query_kind, deadline_us);
    return lane_carry_out(&store->readers, &query->op);
}

static void copy_id(char out[ID_SIZE], const PGresult *result, int row, int column) {
    snprintf(out, ID_SIZE, "%s", PQgetvalue(result, row, column));
}

/* Copies a column into a list's memory and moves the place behind it. */
static const char *keep(char **at, const PGresult *result, int row, int column) {
    char *start = *at;
    size_t len = (size_t)PQgetlength(result, row, column);
    memcpy(start, PQgetvalue(result, row, column), len + 1);
    *at = start + len + 1;
    return start;
}

/* Bytes that some columns of a result need, each with its NUL. */
static size_t bytes_of(const PGresult *result, int first, int last) {
    size_t bytes = 1;
    for (int row = 0; row < PQntuples(result); row++) {
        for (int column = first; column <= last; column++) {
            bytes += (size_t)PQgetlength(result, row, column) + 1;
        }
    }
    return bytes;
}

static void read_event(const PGresult *result, int row, struct event *event, char **at) {
    event->place.epoch = (int32_t)number_at(result, row, 0);
    event->place.xid = strtoull(PQgetvalue(result, row, 1), NULL, 10);
    event->place.seq = number_at(result, row, 2);
    event->created_at_ms = number_at(result, row, 3);
    event->n = (int32_t)number_at(result, row, 4);
    event->step = (enum payment_step)number_at(result, row, 5);
    event->status = (enum payment_status)number_at(result, row, 6);
    event->amount_minor = number_at(result, row, 7);
    event->captured_minor = number_at(result, row, 8);
    event->refunded_minor = number_at(result, row, 9);
    event->currency = currency_find(text_at(result, row, 10));
    event->livemode = PQgetvalue(result, row, 11)[0] == 't';
    copy_id(event->payment_id, result, row, 12);
    copy_id(event->object_id, result, row, 13);
    event->actor = keep(at, result, row, 14);
    event->request_id = keep(at, result, row, 15);
}

static enum store_result read_feed(const PGresult *result, void *out, int limit) {
    struct event_list *list = out;
    int rows = PQntuples(result);
    list->has_more = rows > limit;
    rows = list->has_more ? limit : rows;
    list->events = calloc((size_t)rows + 1, sizeof *list->events);
    list->memory = malloc(bytes_of(result, 14, 15));
    if (list->events == NULL || list->memory == NULL) {
        return STORE_UNAVAILABLE;
    }
    char *at = list->memory;
    for (int row = 0; row < rows; row++) {
        read_event(result, row, &list->events[row], &at);
        if (list->events[row].currency == NULL) {
            return STORE_UNAVAILABLE;
        }
    }
    list->count = rows;
    return STORE_OK;
}

static enum store_result read_events(const PGresult *result, void *out, int limit) {
    if (PQntuples(result) == 0) {
        return STORE_NOT_FOUND;
    }
    return PQgetisnull(result, 0, 0) ? STORE_OK : read_feed(result, out, limit);
}

static enum store_result read_refunds(const PGresult *result, void *out, int limit) {
    struct refund_list *list = out;
    int rows = PQntuples(result);
    if (rows == 0) {
        return STORE_NOT_FOUND;
    }
    list->currency = currency_find(text_at(result, 0, 0));
    rows = PQgetisnull(result, 0, 1) ? 0 : rows;
    list->has_more = rows > limit;
    rows = list->has_more ? limit : rows;
    list->refunds = calloc((size_t)rows + 1, sizeof *list->refunds);
    list->memory = malloc(bytes_of(result, 4, 4));
    if (list->currency == NULL || list->refunds == NULL || list->memory == NULL) {
        return STORE_UNAVAILABLE;
    }
    char *at = list->memory;
    for (int row = 0; row < rows; row++) {
        struct refund *refund = &list->refunds[row];
        copy_id(refund->id, result, row, 1);
        refund->amount_minor = number_at(result, row, 2);
        refund->created_at_ms = number_at(result, row, 3);
        if (!PQgetisnull(result, row, 4)) {
            refund->reason.len = (size_t)PQgetlength(result, row, 4);
            refund->reason.data = keep(&at, result, row, 4);
        }
    }
    list->count = rows;
    return STORE_OK;
}

static enum store_result read_key(const PGresult *result, void *out, int limit) {
    (void)limit;
    struct api_key *key = out;
    if (PQntuples(result) == 0) {
        return STORE_NOT_FOUND;
    }
    copy_id(key->id, result, 0, 0);
    key->account_id = (int32_t)number_at(result, 0, 1);
    key->livemode = PQgetvalue(result, 0, 2)[0] == 't';
    key->scopes = (unsigned)number_at(result, 0, 3);
    key->expires_at_ms = number_at(result, 0, 4);
    return STORE_OK;
}

enum store_result store_events(struct store *store, const struct caller *caller, const char *payment_id,
                               int32_t after_n, int limit, int64_t deadline_us, struct event_list *list) {
    char account[16];
    char after[16];
    char most[16];
    snprintf(account, sizeof account, "%d", (int)caller->account_id);
    snprintf(after, sizeof after, "%d", (int)after_n);
    snprintf(most, sizeof most, "%d", limit + 1);
    struct query query = {
        .statement = &events_statement,
        .read = read_events,
        .out = list,
        .limit = limit,
        .parameters = {.count = 5,
                       .values = {account, caller->livemode ? "t" : "f", payment_id, after, most}}};
    *list = (struct event_list){.count = 0};
    return ask(store, &query, deadline_us);
}

enum store_result store_feed(struct store *store, const struct caller *caller, struct feed_place after,
                             int limit, int64_t deadline_us, struct event_list *list) {
    char account[16];
    char epoch[16];
    char xid[24];
    char seq[24];
    char most[16];
    snprintf(account, sizeof account, "%d", (int)caller->account_id);
    snprintf(epoch, sizeof epoch, "%d", (int)after.epoch);
    snprintf(xid, sizeof xid, "%llu", (unsigned long long)after.xid);
    snprintf(seq, sizeof seq, "%lld", (long long)after.seq);
    snprintf(most, sizeof most, "%d", limit + 1);
    struct query query = {
        .statement = &feed_statement,
        .read = read_feed,
        .out = list,
        .limit = limit,
        .parameters = {.count = 6, .values = {account, caller->livemode ? "t" : "f", epoch, xid, seq, most}}};
    *list = (struct event_list){.count = 0};
    return ask(store, &query, deadline_us);
}

enum store_result store_refunds(struct store *store, const struct caller *caller, const char *payment_id,
                                const char *after, int limit, int64_t deadline_us, struct refund_list *list) {
    char account[16];
    char most[16];
    snprintf(account, sizeof account, "%d", (int)caller->account_id);
    snprintf(most, sizeof most, "%d", limit + 1);
    struct query query = {.statement = &refunds_statement,
                          .read = read_refunds,
                          .out = list,
                          .limit = limit,
                          .parameters = {.count = 5,
                                         .values = {account, caller->livemode ? "t" : "f", payment_id,
                                                    after[0] == '\0' ? "~" : after, most}}};
    *list = (struct refund_list){.count = 0};
    return ask(store, &query, deadline_us);
}

enum store_result store_key(struct store *store, const uint8_t hash[FINGERPRINT_BYTES], int64_t deadline_us,
                            struct api_key *key) {
    char hex[2 * FINGERPRINT_BYTES + 1];
    for (size_t i = 0; i < FINGERPRINT_BYTES; i++) {
        snprintf(hex + 2 * i, 3, "%02x", (unsigned)hash[i]);
    }
    struct query query = {.statement = &key_statement,
                          .read = read_key,
                          .out = key,
                          .parameters = {.count = 1, .values = {hex}}};
    *key = (struct api_key){.account_id = 0};
    return ask(store, &query, deadline_us);
}

void event_list_free(struct event_list *list) {
    free(list->events);
    free(list->memory);
    *list = (struct event_list){.count = 0};
}

void refund_list_free(struct refund_list *list) {
    free(list->refunds);
    free(list->memory);
    *list = (struct refund_list){.count = 0};
}
