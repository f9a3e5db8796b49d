/* Which idempotency keys are in flight in this process (decision 2: a key is in one batch at a time,
 * duplicates join it), and which were found held by somebody else a moment ago. Internal to the store;
 * thread-safe. */
#ifndef PAYFLOW_STORE_KEYMAP_H
#define PAYFLOW_STORE_KEYMAP_H

#include <pthread.h>
#include <stdatomic.h>

#include "store/lane.h"

#define KEYMAP_BUCKETS 1024
#define KEYMAP_SUSPECTS 64

/* A write with a key: embedded in the operation. */
struct keyed {
    struct op *op;
    int32_t account_id;
    bool livemode;
    int16_t operation;  /* enum payment_step */
    const char *target; /* the payment the route names, "" for a new one */
    const struct idempotency *key;
    struct keyed *next;      /* in the bucket */
    struct keyed *followers; /* duplicates that joined this one, through `next` */
};

struct keymap {
    pthread_mutex_t lock;
    struct keyed *buckets[KEYMAP_BUCKETS]; /* at most one leader a key; bounded by the callers there are */
    struct {
        uint64_t hash;
        int64_t until_us;
    } suspects[KEYMAP_SUSPECTS];
    _Atomic int64_t suspects_until_us; /* no suspect is known after this */
};

/* An empty map; and its end, when nobody is in it any more. */
void keymap_init(struct keymap *map);
void keymap_destroy(struct keymap *map);

/* Enters `keyed` as the leader of its key (true), or joins the one that is there (false): then op_finish will
 * come from the leader's side. */
bool keymap_enter(struct keymap *map, struct keyed *keyed);

/* The leader leaves; the list of its followers is the caller's to finish. */
struct keyed *keymap_leave(struct keymap *map, struct keyed *leader);

/* Remembers for ten seconds that somebody outside holds this key: its next requests go to quarantine at once
 * instead of stopping a batch again. */
void keymap_suspect(struct keymap *map, const struct keyed *keyed);
bool keymap_is_suspect(struct keymap *map, const struct keyed *keyed);
void keymap_clear_suspect(struct keymap *map, const struct keyed *keyed);

#endif
