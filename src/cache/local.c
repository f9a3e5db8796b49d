#include "cache/local.h"

#include <pthread.h>
#include <stdlib.h>

#include "cache/subject.h"
#include "sys/clock.h"

/* 1024 sets of 8 entries of 16 bytes: 8192 subjects in 128 KiB. */
#define SETS 1024
#define WAYS 8
#define LOCKS 64

struct entry {
    uint64_t subject; /* its hash */
    int64_t whole_at; /* 0: free */
};

struct local {
    int64_t (*clock_us)(void);
    pthread_mutex_t locks[LOCKS];
    uint64_t seed;
    struct entry sets[SETS][WAYS];
};

struct local *local_new(int64_t (*clock_us)(void)) {
    struct local *local = calloc(1, sizeof *local);
    for (size_t i = 0; local != NULL && i < LOCKS; i++) {
        pthread_mutex_init(&local->locks[i], NULL);
    }
    if (local != NULL) {
        local->clock_us = clock_us;
        random_bytes((uint8_t *)&local->seed, sizeof local->seed);
    }
    return local;
}

void local_free(struct local *local) {
    for (size_t i = 0; local != NULL && i < LOCKS; i++) {
        pthread_mutex_destroy(&local->locks[i]);
    }
    free(local);
}

struct rate_answer local_take(struct local *local, const char *subject, const struct gcra *gcra) {
    uint64_t hash = subject_hash(local->seed, subject);
    size_t set = hash % SETS;
    pthread_mutex_lock(&local->locks[set % LOCKS]);
    /* Read with the lock held: who waits for it long would come with a time that others have left behind. */
    int64_t now = local->clock_us() * TICKS_PER_US;
    struct entry *entry = &local->sets[set][0];
    for (size_t i = 0; i < WAYS; i++) {
        struct entry *way = &local->sets[set][i];
        if (way->subject == hash && way->whole_at != 0) {
            entry = way;
            break;
        }
        entry = way->whole_at < entry->whole_at ? way : entry;
    }
    if (entry->subject != hash) {
        *entry = (struct entry){.subject = hash};
    }
    struct rate_answer answer = gcra_take(gcra, &entry->whole_at, now);
    pthread_mutex_unlock(&local->locks[set % LOCKS]);
    answer.local = true;
    return answer;
}
