/* The checks that callers wait for: a fixed number of slots, handed from the caller to the thread that talks
 * to Redis, and back.
 *
 * A caller enters a check and waits for it. When it gives up, the slot stays with the thread until the late
 * reply has come; when the thread is done first, the slot is the caller's to leave. One compare-and-swap
 * decides which. */
#ifndef PAYFLOW_CACHE_SLOTS_H
#define PAYFLOW_CACHE_SLOTS_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "cache/gcra.h"
#include "cache/subject.h"

#define SLOTS_MAX 1024 /* more than there are threads, so that only late replies can fill it */

struct slot {
    char subject[SUBJECT_MAX + 1];
    struct gcra gcra;
    struct rate_answer answer;
    bool answered; /* by Redis; else the caller must decide by itself */
    _Atomic int state;
    sem_t done;
    struct slot *next; /* in the list it is on: free, waiting, or sharing a command */
};

struct slots {
    pthread_mutex_t lock;
    struct slot *unused;
    struct slot *waiting; /* newest last */
    struct slot **waiting_end;
    bool open;   /* new checks are taken */
    bool asleep; /* the thread must be woken */
    int wake_fd; /* by this eventfd */
    struct slot all[SLOTS_MAX];
};

/* Closed at first. False without an eventfd. */
MUST_CHECK bool slots_init(struct slots *slots);
void slots_destroy(struct slots *slots);

/* For callers: has the check done and waits for at most timeout_us; true if Redis answered. */
MUST_CHECK bool slots_check(struct slots *slots, const char *subject, const struct gcra *gcra,
                            int64_t timeout_us, struct rate_answer *answer);

/* For the thread: opens or closes intake. */
void slots_open(struct slots *slots, bool open);

/* For the thread: takes all that waits, linked by `next` in the order they came; NULL if nothing does, and
 * the next caller will wake the thread. */
struct slot *slots_take(struct slots *slots);

/* For the thread: true if nobody waits for it any more. */
bool slots_given_up(const struct slot *slot);

/* For the thread: hands a check back, with slot->answered and slot->answer set. */
void slots_finish(struct slots *slots, struct slot *slot);

/* Makes the thread's poll return. */
void slots_wake(struct slots *slots);

#endif
