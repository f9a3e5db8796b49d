#include "cache/lease.h"

#include <pthread.h>
#include <stdlib.h>

#include "cache/subject.h"
#include "sys/clock.h"

/* 256 sets of 4 entries of 64 bytes: 1024 busy subjects in 64 KiB. */
#define SETS 256
#define WAYS 4
#define WINDOW_US 25000
#define LIFE_US 50000  /* of a lease, from its order on */
#define TRIP_US 100000 /* no order takes longer to reach Redis: it would count as away */

struct lease {
    uint64_t subject;  /* its hash */
    int64_t cells;     /* requests taken ahead and not used */
    int64_t debt;      /* in Redis when the order was answered, the cells included */
    int64_t order_us;  /* when the last order for more was given */
    bool ordered;      /* and it is not answered yet */
    int64_t window_us; /* when the present window began; 0: the entry is free */
    int64_t used;      /* requests in it */
    int64_t pace;      /* requests a window, in the last one that is over */
};

struct leases {
    int64_t (*clock_us)(void);
    uint64_t seed;
    struct {
        pthread_mutex_t lock;
        struct lease ways[WAYS];
    } sets[SETS];
};

struct leases *leases_new(int64_t (*clock_us)(void)) {
    struct leases *leases = calloc(1, sizeof *leases);
    if (leases == NULL) {
        return NULL;
    }
    leases->clock_us = clock_us;
    random_bytes((uint8_t *)&leases->seed, sizeof leases->seed);
    for (size_t i = 0; i < SETS; i++) {
        pthread_mutex_init(&leases->sets[i].lock, NULL);
    }
    return leases;
}

void leases_free(struct leases *leases) {
    for (size_t i = 0; leases != NULL && i < SETS; i++) {
        pthread_mutex_destroy(&leases->sets[i].lock);
    }
    free(leases);
}

/* True if there is something to use. */
static bool lives(const struct lease *lease, int64_t now_us) {
    return lease->cells > 0 && now_us - lease->order_us < LIFE_US;
}

static struct lease *find(struct lease *ways, uint64_t hash) {
    for (size_t i = 0; i < WAYS; i++) {
        if (ways[i].subject == hash && ways[i].window_us != 0) {
            return &ways[i];
        }
    }
    return NULL;
}

/* A place for a subject that has none: the one that was longest without a request, unless it is still good
 * for some, so that a flood of subjects takes nothing from a busy one. NULL if all are. */
static struct lease *make(struct lease *ways, uint64_t hash, int64_t now_us) {
    struct lease *oldest = NULL;
    for (size_t i = 0; i < WAYS; i++) {
        if (!lives(&ways[i], now_us) && (oldest == NULL || ways[i].window_us < oldest->window_us)) {
            oldest = &ways[i];
        }
    }
    if (oldest != NULL) {
        *oldest = (struct lease){.subject = hash, .window_us = now_us};
    }
    return oldest;
}

static void count(struct lease *lease, int64_t now_us) {
    int64_t passed_us = now_us - lease->window_us;
    if (passed_us >= WINDOW_US) {
        lease->pace = lease->used * WINDOW_US / passed_us;
        lease->used = 0;
        lease->window_us = now_us;
    }
    lease->used++;
}

/* The debt in Redis but for what time has paid off since and what is not used. Other servers' requests since
 * then are not in it. */
static int64_t debt_now(const struct lease *lease, const struct gcra *gcra, int64_t now_us) {
    int64_t debt = lease->debt - (now_us - lease->order_us) * TICKS_PER_US - lease->cells * gcra->interval;
    return debt > gcra->interval ? debt : gcra->interval;
}

bool leases_take(struct leases *leases, const char *subject, const struct gcra *gcra,
                 struct rate_answer *answer) {
    uint64_t hash = subject_hash(leases->seed, subject);
    size_t set = hash % SETS;
    bool taken = false;
    pthread_mutex_lock(&leases->sets[set].lock);
    int64_t now_us = leases->clock_us(); /* not before the lock is held: time may pass until then */
    struct lease *lease = find(leases->sets[set].ways, hash);
    if (lease == NULL) {
        lease = make(leases->sets[set].ways, hash, now_us);
    }
    if (lease != NULL) {
        count(lease, now_us);
        taken = lives(lease, now_us);
    }
    if (taken) {
        lease->cells--;
        *answer = gcra_answer(gcra, true, debt_now(lease, gcra, now_us));
    }
    pthread_mutex_unlock(&leases->sets[set].lock);
    return taken;
}

/* How many of the lease's cells are in the debt still: had it come to nothing meanwhile, then time has paid
 * for them. */
static int64_t still_owed(const struct lease *lease, const struct gcra *gcra, int64_t now_us) {
    int64_t debt = lease->debt - (now_us - lease->order_us + TRIP_US) * TICKS_PER_US;
    int64_t owed = debt > 0 ? debt / gcra->interval : 0;
    return owed < lease->cells ? owed : lease->cells;
}

void leases_order(struct leases *leases, const char *subject, const struct gcra *gcra,
                  struct script_take *take) {
    uint64_t hash = subject_hash(leases->seed, subject);
    size_t set = hash % SETS;
    pthread_mutex_lock(&leases->sets[set].lock);
    int64_t now_us = leases->clock_us();
    struct lease *lease = find(leases->sets[set].ways, hash);
    if (lease != NULL && !lives(lease, now_us)) {
        take->back = still_owed(lease, gcra, now_us);
        lease->cells = 0;
        bool under_way = lease->ordered && now_us - lease->order_us < LIFE_US;
        if (!under_way && lease->pace > 1) {
            take->ahead = lease->pace;
            lease->ordered = true;
            lease->order_us = now_us;
        }
    }
    pthread_mutex_unlock(&leases->sets[set].lock);
}

void leases_fill(struct leases *leases, const char *subject, const struct script_grant *grant) {
    uint64_t hash = subject_hash(leases->seed, subject);
    size_t set = hash % SETS;
    pthread_mutex_lock(&leases->sets[set].lock);
    struct lease *lease = find(leases->sets[set].ways, hash);
    if (lease != NULL) {
        lease->ordered = false;
        lease->cells += grant->ahead;
        lease->debt = grant->debt;
    }
    pthread_mutex_unlock(&leases->sets[set].lock);
}
