#include "cache/slots.h"

#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "sys/turn.h"

enum slot_state {
    WAITING,  /* the caller waits */
    DONE,     /* the thread has answered; the slot is the caller's */
    GIVEN_UP, /* the caller has gone; the slot is the thread's */
};

bool slots_init(struct slots *slots) {
    pthread_mutex_init(&slots->lock, NULL);
    slots->unused = NULL;
    slots->waiting = NULL;
    slots->waiting_end = &slots->waiting;
    slots->open = false;
    slots->asleep = false;
    for (size_t i = 0; i < SLOTS_MAX; i++) {
        sem_init(&slots->all[i].done, 0, 0);
        slots->all[i].next = slots->unused;
        slots->unused = &slots->all[i];
    }
    slots->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return slots->wake_fd >= 0;
}

void slots_destroy(struct slots *slots) {
    for (size_t i = 0; i < SLOTS_MAX; i++) {
        sem_destroy(&slots->all[i].done);
    }
    if (slots->wake_fd >= 0) {
        close(slots->wake_fd);
    }
    pthread_mutex_destroy(&slots->lock);
}

void slots_wake(struct slots *slots) {
    uint64_t one = 1;
    ssize_t written = write(slots->wake_fd, &one, sizeof one);
    (void)written; /* full: it is awake already */
}

static struct slot *enter(struct slots *slots, const char *subject, const struct gcra *gcra) {
    pthread_mutex_lock(&slots->lock);
    struct slot *slot = slots->open ? slots->unused : NULL;
    bool wake = false;
    if (slot != NULL) {
        slots->unused = slot->next;
        snprintf(slot->subject, sizeof slot->subject, "%s", subject);
        slot->gcra = *gcra;
        slot->answered = false;
        slot->next = NULL;
        atomic_store_explicit(&slot->state, WAITING, memory_order_relaxed);
        *slots->waiting_end = slot;
        slots->waiting_end = &slot->next;
        wake = slots->asleep;
        slots->asleep = false;
    }
    pthread_mutex_unlock(&slots->lock);
    if (wake) {
        slots_wake(slots);
    }
    return slot;
}

static void leave(struct slots *slots, struct slot *slot) {
    pthread_mutex_lock(&slots->lock);
    slot->next = slots->unused;
    slots->unused = slot;
    pthread_mutex_unlock(&slots->lock);
}

static bool wait_done(struct slot *slot, int64_t timeout_us) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_us / 1000000;
    until.tv_nsec += timeout_us % 1000000 * 1000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    int status;
    turn_give_up();
    do {
        status = sem_clockwait(&slot->done, CLOCK_MONOTONIC, &until);
    } while (status != 0 && errno == EINTR);
    return status == 0;
}

bool slots_check(struct slots *slots, const char *subject, const struct gcra *gcra, int64_t timeout_us,
                 struct rate_answer *answer) {
    struct slot *slot = enter(slots, subject, gcra);
    if (slot == NULL) {
        return false;
    }
    int expected = WAITING;
    if (!wait_done(slot, timeout_us)) {
        if (atomic_compare_exchange_strong(&slot->state, &expected, GIVEN_UP)) {
            return false;
        }
        while (sem_wait(&slot->done) != 0) { /* the answer came this very moment */
        }
    }
    bool answered = atomic_load(&slot->state) == DONE && slot->answered;
    *answer = slot->answer;
    leave(slots, slot);
    return answered;
}

void slots_open(struct slots *slots, bool open) {
    pthread_mutex_lock(&slots->lock);
    slots->open = open;
    pthread_mutex_unlock(&slots->lock);
}

struct slot *slots_take(struct slots *slots) {
    pthread_mutex_lock(&slots->lock);
    struct slot *first = slots->waiting;
    slots->waiting = NULL;
    slots->waiting_end = &slots->waiting;
    slots->asleep = first == NULL;
    pthread_mutex_unlock(&slots->lock);
    return first;
}

bool slots_given_up(const struct slot *slot) {
    return atomic_load(&slot->state) == GIVEN_UP;
}

void slots_finish(struct slots *slots, struct slot *slot) {
    int expected = WAITING;
    if (atomic_compare_exchange_strong(&slot->state, &expected, DONE)) {
        sem_post(&slot->done);
    } else {
        leave(slots, slot);
    }
}
