/* What the store's own files share. */
#ifndef PAYFLOW_STORE_INTERNAL_H
#define PAYFLOW_STORE_INTERNAL_H

#include "store/array.h"
#include "store/keymap.h"
#include "store/lane.h"
#include "store/store.h"

/* The numbers of the prepared statements. */
enum {
    STATEMENT_CREATE,
    STATEMENT_CREATE_CAREFUL,
    STATEMENT_CREATED_BEFORE,
    STATEMENT_GET,
    STATEMENT_LIST,
    STATEMENT_STEP_ORDER,
    STATEMENT_STEP_LOCK,
    STATEMENT_STEP_BEFORE,
    STATEMENT_STEP_APPLY,
    STATEMENT_REFUNDS,
    STATEMENT_EVENTS,
    STATEMENT_FEED,
    STATEMENT_KEY
};

struct store {
    const struct settings *settings;
    struct lane writers;    /* batches */
    struct lane quarantine; /* writes whose lock somebody holds, one at a time; and the look at the database's
                               state */
    struct lane readers;
    struct keymap keys;        /* keys in flight in this process */
    _Atomic int state;         /* enum store_state */
    _Atomic int64_t looked_us; /* when it was found so */
    _Atomic int64_t feed_lag_us;
    uint64_t feed_xmin; /* these two are the quarantine thread's own */
    int64_t feed_moved_us;
};

/* read.c: a reader's working memory. */
void *read_scratch_new(void);
void read_scratch_free(void *scratch);

/* read.c: after a read that brought no result. True, a moment later, if it may be asked again; false if
 * PostgreSQL refused it for good, and `ops` are finished. */
MUST_CHECK bool read_again(struct pg *pg, const struct pg_answer *answer, struct op **ops, int count);

/* payment_row.c: reads a payment from a result whose columns from `column` on are PAYMENT_COLUMNS. The texts
 * are copied into one allocation of the record's. False without memory, or if the row makes no sense. */
#define PAYMENT_COLUMNS(p)                                                                                   \
    p ".id, " p ".amount_minor, " p ".captured_minor, " p ".refunded_minor, " p ".currency, " p              \
      ".status, " p ".livemode, " p ".description, " p ".reference, " p ".metadata"
#define PAYMENT_COLUMNS_COUNT 10
MUST_CHECK bool payment_row_read(const PGresult *result, int row, int column, struct record *record);

/* Moves the texts that a record points to into memory of its own (which it must not have yet). */
MUST_CHECK bool record_own_texts(struct record *record);

/* A column's text, absent for NULL and valid as long as the result; a column's whole number. */
struct slice text_at(const PGresult *result, int row, int column);
int64_t number_at(const PGresult *result, int row, int column);

/* A copy of a record with texts of its own. */
MUST_CHECK bool record_copy(const struct record *from, struct record *to);

#endif
