/* A write on its way from a caller through the lanes: creates and steps alike. Internal to the store. */
#ifndef PAYFLOW_STORE_WRITE_H
#define PAYFLOW_STORE_WRITE_H

#include "store/internal.h"

/* How many parameters the statements take. */
#define CREATE_ARRAYS 13
#define BEFORE_ARRAYS 4
#define STEP_ARRAYS 16

/* A thread's own: the arrays keep their memory from batch to batch. */
struct write_scratch {
    int careful_batches; /* so many creates are to expect that keys are there already */
    struct array create[CREATE_ARRAYS];
    struct array before[BEFORE_ARRAYS];
    struct array step[STEP_ARRAYS];
};
void *write_scratch_new(void);
void write_scratch_free(void *scratch);

struct write {
    struct op op; /* first, so that a lane's op is its write */
    struct keyed keyed;
    const struct caller *caller;
    const struct idempotency *key;
    enum payment_step step;
    struct record *record;
    struct store *store;
    const struct store_early *early; /* or NULL */
    bool followers_done;             /* its duplicates have their answers */
    bool again;                      /* a duplicate whose leader came to no answer: it tries itself */
    char unknown_id[ID_SIZE];        /* of such a duplicate: the id that the leader's unknown outcome names */
};

static inline struct write *write_of(struct op *op) {
    return (struct write *)op;
}

/* The key and the fingerprint as parameters: NULL without a key. */
struct slice write_key(const struct write *write);
struct slice write_fingerprint(const struct write *write);

/* True if the fingerprint in that column is this write's own. */
bool write_same_request(const struct write *write, const PGresult *result, int row, int column);

/* Sends the write through the lanes and waits for its result; duplicates within the process join the one that
 * came first. */
MUST_CHECK enum store_result write_carry_out(struct store *store, struct write *write,
                                             const struct op_kind *kind, int64_t deadline_us);

/* After PG_LOST: marks every operation as sent without an answer. */
void write_mark_sent(struct op **ops, int count);

/* After a refusal for contention: from a batch all go to quarantine, where each is tried alone and the stuck
 * ones wait without stopping the others; in quarantine the one goes to the end of the queue. */
void write_quarantine(struct lane *lane, struct op **ops, int count, const char *sqlstate);

#endif
