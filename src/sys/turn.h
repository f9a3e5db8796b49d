/* Threads that take turns: no more of them run at once than there are processors, however many there are. Who
 * has a turn and is about to wait for something slow gives it up first, so that another thread runs
 * meanwhile. That says turn_give_up, which modules that know nothing of the others call before they sleep. */
#ifndef PAYFLOW_SYS_TURN_H
#define PAYFLOW_SYS_TURN_H

#include <pthread.h>
#include <semaphore.h>

#include "core/base.h"

struct turns {
    pthread_mutex_t lock;
    unsigned free;
    struct turn_waiter *waiters; /* who came last is served first: its stack and caches are warm */
};

/* Thread-safe, but for turns_init and turns_destroy. */
void turns_init(struct turns *turns, unsigned count);
void turns_destroy(struct turns *turns);

/* Waits for a turn, unless this thread has one. */
void turn_take(struct turns *turns);

/* Takes a turn if one is free. True if this thread has one now. */
MUST_CHECK bool turn_try(struct turns *turns);

/* This thread is about to wait: gives up its turn, if it has one. */
void turn_give_up(void);

/* From now on everybody gets a turn: `threads` more are there. */
void turns_end(struct turns *turns, unsigned threads);

#endif
