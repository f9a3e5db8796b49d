/* Reads: look-ups by id are batched as writes are, lists run one by one. Always from the primary. */
#include <stdio.h>
#include <stdlib.h>

#include "obs/log.h"
#include "store/internal.h"
#include "sys/clock.h"

#define GET_ARRAYS 3

static const struct pg_statement get_statement = {
    STATEMENT_GET, "get",
    "SELECT i.place, " PAYMENT_COLUMNS(
        "p") " FROM unnest($1::int4[], $2::bool[], $3::text[]) WITH ORDINALITY AS i (account_id, livemode, "
             "id, place)"
             " JOIN payments p ON p.account_id = i.account_id AND p.livemode = i.livemode AND p.id = i.id"};

/* Ids start with their time, so newest first is the index read backwards, and every bound is a bound on the
 * id. */
static const struct pg_statement list_statement = {
    STATEMENT_LIST, "list",
    "SELECT " PAYMENT_COLUMNS("p") " FROM payments p WHERE p.account_id = $1::int4 AND p.livemode = $2::bool"
                                   " AND p.id < $3::text AND p.id >= $4::text AND ($5::int2 = 0 OR p.status "
                                   "= $5) AND ($6::text = '' OR p.currency = $6)"
                                   " ORDER BY p.account_id DESC, p.livemode DESC, p.id DESC LIMIT $7::int4"};

static void read_run(struct lane *lane, struct pg *pg, void *scratch, struct op **ops, int count);

static const struct op_kind get_kind = {"get", false, read_run};
static const struct op_kind list_kind = {"list", true, read_run};

struct get {
    struct op op;
    const struct caller *caller;
    const char *id;
    struct record *record;
};

struct list {
    struct op op;
    const struct caller *caller;
    const struct list_filter *filter;
    struct page *page;
};

struct read_scratch {
    struct array arrays[GET_ARRAYS];
};

void *read_scratch_new(void) {
    return calloc(1, sizeof(struct read_scratch));
}

void read_scratch_free(void *scratch) {
    struct read_scratch *arrays = scratch;
    for (size_t i = 0; i < GET_ARRAYS; i++) {
        array_free(&arrays->arrays[i]);
    }
    free(arrays);
}

static bool bind_get(struct read_scratch *scratch, struct op *const *ops, int count,
                     struct pg_parameters *parameters) {
    struct array *a = scratch->arrays;
    array_begin(&a[0], ARRAY_INT4);
    array_begin(&a[1], ARRAY_BOOL);
    array_begin(&a[2], ARRAY_TEXT);
    for (int i = 0; i < count; i++) {
        const struct get *get = (const struct get *)ops[i];
        array_add_int4(&a[0], get->caller->account_id);
        array_add_bool(&a[1], get->caller->livemode);
        array_add_bytes(&a[2], slice_of(get->id));
    }
    *parameters = (struct pg_parameters){.count = 0};
    return arrays_bind(a, GET_ARRAYS, parameters);
}

static struct pg_answer ask_get(struct pg *pg, struct read_scratch *scratch, struct op *const *ops,
                                int count) {
    struct pg_parameters parameters;
    if (!bind_get(scratch, ops, count, &parameters)) {
        return (struct pg_answer){.outcome = PG_NOT_SENT};
    }
    return pg_run(pg, &get_statement, &parameters, ops_run_deadline_us(ops, count));
}

static void finish_get(const PGresult *result, struct op **ops, int count) {
    for (int row = 0; row < PQntuples(result); row++) {
        int place = atoi(PQgetvalue(result, row, 0)) - 1;
        if (place >= 0 && place < count && ops[place] != NULL) {
            struct get *get = (struct get *)ops[place];
            bool read = payment_row_read(result, row, 1, get->record);
            ops[place] = NULL;
            op_finish(&get->op, read ? STORE_OK : STORE_UNAVAILABLE);
        }
    }
    for (int i = 0; i < count; i++) {
        if (ops[i] != NULL) {
            op_finish(ops[i], STORE_NOT_FOUND);
        }
    }
}

static struct pg_answer ask_list(struct pg *pg, struct read_scratch *scratch, struct op *const *ops,
                                 int count) {
    (void)scratch;
    const struct list *list = (const struct list *)ops[0];
    const struct list_filter *filter = list->filter;
    char account[16];
    char status[16];
    char limit[16];
    snprintf(account, sizeof account, "%d", (int)list->caller->account_id);
    snprintf(status, sizeof status, "%d", (int)filter->status);
    snprintf(limit, sizeof limit, "%d", filter->limit + 1); /* one more says whether there is more */
    const char *below = filter->created_to[0] == '\0' ? "~" : filter->created_to;
    if (filter->after[0] != '\0' && strcmp(filter->after, below) < 0) {
        below = filter->after;
    }
    struct pg_parameters parameters = {.count = 7,
                                       .values = {account, list->caller->livemode ? "t" : "f", below,
                                                  filter->created_from, status, filter->currency, limit}};
    return pg_run(pg, &list_statement, &parameters, ops_run_deadline_us(ops, count));
}

static void finish_list(const PGresult *result, struct op **ops, int count) {
    (void)count;
    struct list *list = (struct list *)ops[0];
    struct page *page = list->page;
    int rows = PQntuples(result);
    page->has_more = rows > list->filter->limit;
    rows = page->has_more ? list->filter->limit : rows;
    struct record *records = calloc((size_t)rows + 1, sizeof *records);
    bool read = records != NULL;
    page->records = records;
    for (int row = 0; row < rows && read; row++) {
        read = payment_row_read(result, row, 0, &records[row]);
        page->count = row + 1;
    }
    op_finish(&list->op, read ? STORE_OK : STORE_UNAVAILABLE);
}

bool read_again(struct pg *pg, const struct pg_answer *answer, struct op **ops, int count) {
    if (answer->outcome == PG_REFUSED && pg_is_permanent(answer->sqlstate)) {
        ops_refuse(ops, count, "reads", answer->sqlstate, pg_message(pg));
        return false;
    }
    if (answer->outcome == PG_REFUSED) {
        log_event(LOG_ERROR, "read_refused", "PostgreSQL refused a read with SQLSTATE %s: %s",
                  answer->sqlstate, pg_message(pg));
        clock_sleep_ms(50);
    } else {
        clock_sleep_ms(5); /* the connection was lost, or memory is short */
    }
    return true;
}

/* Reads change nothing, so a lost one is simply asked again. */
static void read_run(struct lane *lane, struct pg *pg, void *scratch, struct op **ops, int count) {
    (void)lane;
    bool list = ops[0]->kind == &list_kind;
    while ((count = ops_drop_expired(ops, count)) > 0) {
        if (!lane_reconnect(pg, ops, count)) {
            continue;
        }
        struct pg_answer answer = (list ? ask_list : ask_get)(pg, scratch, ops, count);
        if (answer.outcome == PG_OK) {
            (list ? finish_list : finish_get)(answer.result, ops, count);
            PQclear(answer.result);
            return;
        }
        if (!read_again(pg, &answer, ops, count)) {
            return;
        }
    }
}

enum store_result store_get(struct store *store, const struct caller *caller, const char *id,
                            int64_t deadline_us, const struct store_early *early, struct record *record) {
    struct get get = {.caller = caller, .id = id, .record = record};
    op_init(&get.op, &get_kind, deadline_us);
    get.op.early = early;
    return lane_carry_out(&store->readers, &get.op);
}

enum store_result store_list(struct store *store, const struct caller *caller,
                             const struct list_filter *filter, int64_t deadline_us, struct page *page) {
    struct list list = {.caller = caller, .filter = filter, .page = page};
    *page = (struct page){.count = 0};
    op_init(&list.op, &list_kind, deadline_us);
    return lane_carry_out(&store->readers, &list.op);
}

void page_free(struct page *page) {
    for (int i = 0; i < page->count; i++) {
        record_free(&page->records[i]);
    }
    free(page->records);
    *page = (struct page){.count = 0};
}
