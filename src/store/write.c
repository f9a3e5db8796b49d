#include "store/write.h"

#include <stdlib.h>

#include "obs/metrics.h"
#include "sys/clock.h"

void *write_scratch_new(void) {
    return calloc(1, sizeof(struct write_scratch));
}

static void free_arrays(struct array *arrays, size_t count) {
    for (size_t i = 0; i < count; i++) {
        array_free(&arrays[i]);
    }
}

void write_scratch_free(void *scratch) {
    struct write_scratch *arrays = scratch;
    free_arrays(arrays->create, CREATE_ARRAYS);
    free_arrays(arrays->before, BEFORE_ARRAYS);
    free_arrays(arrays->step, STEP_ARRAYS);
    free(arrays);
}

struct slice write_key(const struct write *write) {
    return write->key->present ? slice_of(write->key->key) : (struct slice){NULL, 0};
}

struct slice write_fingerprint(const struct write *write) {
    return write->key->present ? (struct slice){(const char *)write->key->fingerprint, FINGERPRINT_BYTES}
                               : (struct slice){NULL, 0};
}

bool write_same_request(const struct write *write, const PGresult *result, int row, int column) {
    static const char digits[] = "0123456789abcdef";
    const char *hex = PQgetvalue(result, row, column); /* \x and 64 digits */
    const uint8_t *fingerprint = write->key->fingerprint;
    if (PQgetlength(result, row, column) != 2 + 2 * FINGERPRINT_BYTES) {
        return false;
    }
    for (int i = 0; i < FINGERPRINT_BYTES; i++) {
        if (hex[2 + 2 * i] != digits[fingerprint[i] >> 4] || hex[3 + 2 * i] != digits[fingerprint[i] & 15]) {
            return false;
        }
    }
    return true;
}

void write_mark_sent(struct op **ops, int count) {
    for (int i = 0; i < count; i++) {
        ops[i]->sent = true;
    }
}

void write_quarantine(struct lane *lane, struct op **ops, int count, const char *sqlstate) {
    struct store *store = lane->options.store;
    bool in_quarantine = lane == &store->quarantine;
    bool locked = strcmp(sqlstate, "57014") != 0; /* that is a slow database, not another's transaction */
    metric_add(METRIC_QUARANTINED, in_quarantine ? 0 : count);
    for (int i = 0; i < count; i++) {
        struct write *write = write_of(ops[i]);
        ops[i]->contended = ops[i]->contended || (locked && write->key->present);
        if (in_quarantine && locked && write->key->present) {
            keymap_suspect(&store->keys, &write->keyed);
        }
        lane_pass(&store->quarantine, ops[i], !in_quarantine);
    }
}

/* The leader has its answer: so have its duplicates, or they try themselves. */
static void finish_follower(const struct write *leader, struct write *follower) {
    enum store_result result = leader->op.result;
    if (result == STORE_OK || result == STORE_REPLAYED) {
        if (memcmp(leader->key->fingerprint, follower->key->fingerprint, FINGERPRINT_BYTES) != 0) {
            result = STORE_KEY_REUSED;
        } else {
            struct record copy;
            follower->again = !record_copy(leader->record, &copy);
            if (follower->again) { /* its own record must stay: the copy's texts are the leader's */
                result = STORE_UNAVAILABLE;
            } else {
                *follower->record = copy;
                result = STORE_REPLAYED;
            }
        }
    } else if (result != STORE_BUSY) {
        follower->again = true;
        memcpy(follower->unknown_id, leader->record->payment.id, ID_SIZE);
    }
    op_finish(&follower->op, result);
}

static void finish_followers(struct store *store, struct write *leader) {
    struct keyed *next = NULL;
    leader->followers_done = true;
    for (struct keyed *at = keymap_leave(&store->keys, &leader->keyed); at != NULL; at = next) {
        next = at->next;
        finish_follower(leader, write_of(at->op));
    }
}

/* The caller itself may be a while: it waits for its client's next request, too. */
static void leader_finished(struct op *op) {
    struct write *write = write_of(op);
    if (write->key->present) {
        finish_followers(write->store, write);
    }
}

static enum store_result lead(struct store *store, struct write *write) {
    write->op.on_finish = leader_finished;
    write->op.early = write->early;
    bool suspect = write->key->present && keymap_is_suspect(&store->keys, &write->keyed);
    enum store_result result = lane_carry_out(suspect ? &store->quarantine : &store->writers, &write->op);
    if (suspect && result != STORE_IN_FLIGHT) {
        keymap_clear_suspect(&store->keys, &write->keyed);
    }
    return result;
}

enum store_result write_carry_out(struct store *store, struct write *write, const struct op_kind *kind,
                                  int64_t deadline_us) {
    for (;;) {
        op_init(&write->op, kind, deadline_us);
        write->store = store;
        write->followers_done = false;
        write->again = false;
        if (!write->key->present) {
            return lead(store, write);
        }
        write->keyed.op = &write->op;
        write->keyed.account_id = write->caller->account_id;
        write->keyed.livemode = write->caller->livemode;
        write->keyed.operation = (int16_t)write->step;
        write->keyed.key = write->key;
        if (keymap_enter(&store->keys, &write->keyed)) {
            enum store_result result = lead(store, write);
            if (!write->followers_done) {
                finish_followers(store, write);
            }
            return result;
        }
        /* The leader is bounded by a deadline that is not later than ours. */
        enum store_result result = op_sleep(&write->op);
        if (write->again && clock_monotonic_us() < deadline_us) {
            continue;
        }
        if (result == STORE_UNKNOWN) {
            memcpy(write->record->payment.id, write->unknown_id, ID_SIZE);
        }
        return result;
    }
}
