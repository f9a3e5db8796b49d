/* A lane: a bounded queue of operations and the threads, each with its own connection, that carry them out.
 * Internal to the store.
 *
 * An operation lives on its caller's stack; the caller waits until it is finished. While it waits in the
 * queue the caller may take it back at its deadline; once a thread took it, that thread finishes it, and
 * bounds itself by the deadline. */
#ifndef PAYFLOW_STORE_LANE_H
#define PAYFLOW_STORE_LANE_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "store/pg.h"
#include "store/store.h"

#define LANE_BATCH_MAX 1024

struct lane;
struct op;

/* A kind of operation. Those of one kind that wait together are carried out together, unless it is `alone`.
 */
struct op_kind {
    const char *name;
    bool alone;
    /* Carries out `count` operations of this kind on a connection that is alive. Must finish each of them by
     * op_finish or pass it on, within its deadline. */
    void (*run)(struct lane *lane, struct pg *pg, void *scratch, struct op **ops, int count);
};

enum op_progress {
    OP_RUNNING,
    OP_AWAITED, /* and its caller sleeps: it needs waking */
    OP_FINISHED
};

struct op {
    const struct op_kind *kind;
    struct op *next;
    int64_t deadline_us;
    int64_t queued_us;
    /* In whose queue it waits, or NULL. Changes to and from a lane under that lane's lock only. */
    _Atomic(struct lane *) lane;
    bool sent;      /* it was sent and its fate is not known: it may have been done */
    bool given_up;  /* nothing of it was sent, and the database is away: it need not wait for its deadline */
    bool contended; /* a lock that it needs was held by somebody else */
    enum store_result result;
    /* Both, unless NULL, come into their own in op_finish: on the thread that has the result, while the
     * caller waits. */
    void (*on_finish)(struct op *op);
    const struct store_early *early;
    _Atomic enum op_progress progress; /* carries the caller's view of what the thread wrote */
    sem_t done;                        /* posted if the caller sleeps */
};

struct lane_options {
    const char *name;
    int threads;
    int depth_max; /* operations that may wait */
    int batch_max; /* operations taken at once, 1 .. LANE_BATCH_MAX */
    struct pg_session session;
    void *(*scratch_new)(void); /* a thread's own working memory, or NULL */
    void (*scratch_free)(void *scratch);
    /* Called about twice a second by one thread, or NULL; pg may be dead. */
    void (*idle)(struct lane *lane, struct pg *pg);
    bool measured; /* depth and waits go to the metrics */
    void *store;
};

struct lane {
    struct lane_options options;
    const struct settings *settings;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct op *head, *tail;
    int depth;
    bool stopping;
    _Atomic int64_t down_since_us; /* 0 while connecting works */
    pthread_t *threads;
    int started;
};

/* Starts the threads. False without memory or threads; then nothing is left behind. */
MUST_CHECK bool lane_start(struct lane *lane, const struct settings *settings,
                           const struct lane_options *options);

/* No thread takes anything new; what waits is answered with STORE_UNAVAILABLE; ends the threads. */
void lane_stop(struct lane *lane);

/* A fresh operation; lane_carry_out or op_sleep ends its life. deadline_us: clock_monotonic_us. */
void op_init(struct op *op, const struct op_kind *kind, int64_t deadline_us);

/* Queues the operation and waits until it is finished, or takes it back at its deadline. Returns its result.
 * At once, and not queued: STORE_BUSY, the queue is full; STORE_UNAVAILABLE, the database has been away for
 * more than a second, or the lane is stopping. Thread-safe, as all that follow. */
MUST_CHECK enum store_result lane_carry_out(struct lane *lane, struct op *op);

/* Queues an operation that a thread holds: first (true) or last. Never refused: as many wait as there are
 * callers. */
void lane_pass(struct lane *lane, struct op *op, bool first);

/* Sleeps until the operation is finished, which the caller knows to be bounded. Returns its result. */
enum store_result op_sleep(struct op *op);

/* Gives the result to the caller, who may be gone with the operation's memory at once. */
void op_finish(struct op *op, enum store_result result);

/* What an operation whose deadline passed ends with: unknown, in flight, or unavailable. */
enum store_result op_expired(const struct op *op);

/* What an operation ends with that PostgreSQL refused for good: unknown if an earlier try of it was sent. */
enum store_result op_refused(const struct op *op);

/* Finishes operations that no second try can help, and logs what to do about it. `what` names them, `message`
 * is PostgreSQL's. */
void ops_refuse(struct op **ops, int count, const char *what, const char *sqlstate, const char *message);

/* Takes the operations out of `ops` whose deadline passed or that were given up, finishing them by
 * op_expired; returns how many are left. */
int ops_drop_expired(struct op **ops, int count);

/* Until when `count` > 0 operations may keep PostgreSQL busy at once: until the first of them expires, but at
 * least half a second, because a run that is cut short costs all of them the connection, and at most the
 * statement time-out and a second. */
int64_t ops_run_deadline_us(struct op *const *ops, int count);

/* Makes sure of a connection for operations in hand. False after waiting a moment (drop the expired ones,
 * then call again); once connecting has failed for a second, those of which nothing was sent are given up. */
MUST_CHECK bool lane_reconnect(struct pg *pg, struct op *const *ops, int count);

#endif
