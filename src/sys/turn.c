#include "sys/turn.h"

struct turn_waiter {
    struct turn_waiter *next;
    sem_t given;
};

static _Thread_local struct turns *mine; /* of which this thread has a turn, or NULL */
static _Thread_local struct turn_waiter self;

void turns_init(struct turns *turns, unsigned count) {
    pthread_mutex_init(&turns->lock, NULL);
    turns->free = count;
    turns->waiters = NULL;
}

void turns_destroy(struct turns *turns) {
    pthread_mutex_destroy(&turns->lock);
}

bool turn_try(struct turns *turns) {
    if (mine == NULL) {
        pthread_mutex_lock(&turns->lock);
        if (turns->free > 0) {
            turns->free--;
            mine = turns;
        }
        pthread_mutex_unlock(&turns->lock);
    }
    return mine != NULL;
}

void turn_take(struct turns *turns) {
    if (mine != NULL) {
        return;
    }
    pthread_mutex_lock(&turns->lock);
    bool waits = turns->free == 0;
    if (waits) {
        sem_init(&self.given, 0, 0);
        self.next = turns->waiters;
        turns->waiters = &self;
    } else {
        turns->free--;
    }
    pthread_mutex_unlock(&turns->lock);
    if (waits) {
        while (sem_wait(&self.given) != 0) {
        }
        sem_destroy(&self.given);
    }
    mine = turns;
}

static void give(struct turns *turns) {
    pthread_mutex_lock(&turns->lock);
    struct turn_waiter *last = turns->waiters;
    if (last == NULL) {
        turns->free++;
    } else {
        turns->waiters = last->next;
        sem_post(&last->given);
    }
    pthread_mutex_unlock(&turns->lock);
}

void turn_give_up(void) {
    if (mine != NULL) {
        give(mine);
        mine = NULL;
    }
}

void turns_end(struct turns *turns, unsigned threads) {
    for (unsigned i = 0; i < threads; i++) {
        give(turns);
    }
}
