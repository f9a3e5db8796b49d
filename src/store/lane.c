#include "store/lane.h"

#include <stdlib.h>
#include <time.h>

#include "obs/log.h"
#include "obs/metrics.h"
#include "sys/clock.h"
#include "sys/turn.h"

#define IDLE_US 500000            /* how often an idle thread looks after its connection */
#define DOWN_FAIL_FAST_US 1000000 /* away for longer: callers are answered at once */
#define RUN_MIN_US 500000
#define RUN_MAX_US 3000000

void op_init(struct op *op, const struct op_kind *kind, int64_t deadline_us) {
    *op = (struct op){.kind = kind, .deadline_us = deadline_us, .result = STORE_UNAVAILABLE};
    sem_init(&op->done, 0, 0);
}

enum store_result op_expired(const struct op *op) {
    return op->sent ? STORE_UNKNOWN : op->contended ? STORE_IN_FLIGHT : STORE_UNAVAILABLE;
}

void op_finish(struct op *op, enum store_result result) {
    op->result = result;
    if (op->on_finish != NULL) {
        op->on_finish(op);
    }
    if (op->early != NULL) {
        op->early->done(op->early->context, result);
    }
    if (atomic_exchange(&op->progress, OP_FINISHED) == OP_AWAITED) {
        sem_post(&op->done);
    }
}

static void depth_changed(struct lane *lane, int by) {
    lane->depth += by;
    if (lane->options.measured) {
        metric_set(METRIC_QUEUE_DEPTH, lane->depth);
    }
}

static void push(struct lane *lane, struct op *op, bool first) {
    atomic_store_explicit(&op->lane, lane, memory_order_relaxed);
    op->next = first ? lane->head : NULL;
    if (first) {
        lane->head = op;
        if (lane->tail == NULL) {
            lane->tail = op;
        }
    } else {
        if (lane->tail == NULL) {
            lane->head = op;
        } else {
            lane->tail->next = op;
        }
        lane->tail = op;
    }
    depth_changed(lane, 1);
    pthread_cond_signal(&lane->wake);
}

/* True if no thread of the lane could connect for a while. */
static bool is_down(struct lane *lane, int64_t now_us) {
    int64_t since_us = atomic_load_explicit(&lane->down_since_us, memory_order_relaxed);
    return since_us != 0 && now_us - since_us > DOWN_FAIL_FAST_US;
}

/* Queues the operation. STORE_OK: queued, op_wait must follow. */
static enum store_result lane_submit(struct lane *lane, struct op *op) {
    int64_t now_us = clock_monotonic_us();
    if (lane->started == 0) {
        return STORE_UNAVAILABLE; /* no database is configured */
    }
    if (is_down(lane, now_us)) {
        return STORE_UNAVAILABLE;
    }
    op->queued_us = now_us;
    enum store_result result = STORE_OK;
    pthread_mutex_lock(&lane->lock);
    if (lane->stopping) {
        result = STORE_UNAVAILABLE;
    } else if (lane->depth >= lane->options.depth_max) {
        result = STORE_BUSY;
    } else {
        push(lane, op, false);
    }
    pthread_mutex_unlock(&lane->lock);
    if (result == STORE_BUSY) {
        metric_add(METRIC_QUEUE_REFUSED, 1);
    }
    return result;
}

void lane_pass(struct lane *lane, struct op *op, bool first) {
    pthread_mutex_lock(&lane->lock);
    bool stopping = lane->stopping;
    if (!stopping) {
        push(lane, op, first);
    }
    pthread_mutex_unlock(&lane->lock);
    if (stopping) {
        op_finish(op, op_expired(op));
    }
}

/* Takes the operation out of the queue; false if a thread has it already. One word says whether it waits and
 * where: were they two, the look at one could come before the operation went to another lane, and the look at
 * the other after. */
static bool take_back(struct op *op) {
    struct lane *lane = atomic_load_explicit(&op->lane, memory_order_relaxed);
    if (lane == NULL) {
        return false;
    }
    pthread_mutex_lock(&lane->lock);
    bool waiting = atomic_load_explicit(&op->lane, memory_order_relaxed) == lane;
    if (waiting) {
        struct op *before = NULL;
        for (struct op *at = lane->head; at != op; at = at->next) { /* bounded by the queue's depth */
            before = at;
        }
        if (before == NULL) {
            lane->head = op->next;
        } else {
            before->next = op->next;
        }
        if (lane->tail == op) {
            lane->tail = before;
        }
        atomic_store_explicit(&op->lane, NULL, memory_order_relaxed);
        depth_changed(lane, -1);
    }
    pthread_mutex_unlock(&lane->lock);
    return waiting;
}

static struct timespec timespec_of(int64_t monotonic_us) {
    return (struct timespec){.tv_sec = monotonic_us / 1000000, .tv_nsec = (monotonic_us % 1000000) * 1000};
}

/* The caller's view of what the thread wrote comes with the progress, not with the semaphore: ThreadSanitizer
 * does not know sem_clockwait. */
static enum store_result result_of(struct op *op) {
    (void)atomic_load_explicit(&op->progress, memory_order_acquire);
    sem_destroy(&op->done);
    return op->result;
}

/* True if the caller must sleep; false if the operation is finished already. */
static bool must_sleep(struct op *op) {
    enum op_progress running = OP_RUNNING;
    bool sleeps = atomic_compare_exchange_strong(&op->progress, &running, OP_AWAITED);
    if (sleeps) {
        turn_give_up();
    }
    return sleeps;
}

enum store_result op_sleep(struct op *op) {
    if (must_sleep(op)) {
        while (sem_wait(&op->done) != 0) {
        }
    }
    return result_of(op);
}

/* Waits until the operation is finished, or takes it back at its deadline. */
static enum store_result op_wait(struct op *op) {
    int64_t until_us = op->deadline_us;
    if (op->early != NULL) {
        op->early->wait(op->early->context);
    }
    bool sleeping = must_sleep(op);
    while (sleeping) {
        struct timespec until = timespec_of(until_us);
        if (sem_clockwait(&op->done, CLOCK_MONOTONIC, &until) == 0) {
            break;
        }
        if (clock_monotonic_us() < until_us) {
            continue; /* a signal */
        }
        if (take_back(op)) {
            op->result = op_expired(op);
            break;
        }
        until_us += 100000; /* in a thread's hands, which is bounded, or on its way to another lane */
    }
    return result_of(op);
}

enum store_result lane_carry_out(struct lane *lane, struct op *op) {
    enum store_result refused = lane_submit(lane, op);
    if (refused != STORE_OK) {
        op->result = refused;
        return result_of(op);
    }
    return op_wait(op);
}

enum store_result op_refused(const struct op *op) {
    return op->sent ? STORE_UNKNOWN : STORE_REJECTED;
}

void ops_refuse(struct op **ops, int count, const char *what, const char *sqlstate, const char *message) {
    const char *advice = "This is a fault of PayFlow's own: roll back, and keep this line.";
    if (strcmp(sqlstate, "42501") == 0) {
        advice =
            "Run `payflow migrate` as the schema's owner, and see that DB_USER is a member of payflow_app.";
    } else if (strcmp(sqlstate, "42P01") == 0 || strcmp(sqlstate, "42703") == 0 ||
               strcmp(sqlstate, "42883") == 0 || strcmp(sqlstate, "3F000") == 0) {
        advice =
            "The schema is not this version's: run `payflow migrate` on the database that DB_NAME names.";
    }
    log_event(LOG_ERROR, "statement_refused", "PostgreSQL refused %d %s for good with SQLSTATE %s: %s. %s",
              count, what, sqlstate, message, advice);
    for (int i = 0; i < count; i++) {
        op_finish(ops[i], op_refused(ops[i]));
    }
}

int ops_drop_expired(struct op **ops, int count) {
    int64_t now_us = clock_monotonic_us();
    int left = 0;
    for (int i = 0; i < count; i++) {
        if (ops[i]->deadline_us <= now_us || ops[i]->given_up) {
            op_finish(ops[i], op_expired(ops[i]));
        } else {
            ops[left++] = ops[i];
        }
    }
    return left;
}

int64_t ops_run_deadline_us(struct op *const *ops, int count) {
    int64_t now_us = clock_monotonic_us();
    int64_t deadline_us = ops[0]->deadline_us;
    for (int i = 1; i < count; i++) {
        if (ops[i]->deadline_us < deadline_us) {
            deadline_us = ops[i]->deadline_us;
        }
    }
    if (deadline_us < now_us + RUN_MIN_US) {
        return now_us + RUN_MIN_US;
    }
    return deadline_us > now_us + RUN_MAX_US ? now_us + RUN_MAX_US : deadline_us;
}

bool lane_reconnect(struct pg *pg, struct op *const *ops, int count) {
    if (pg_connect(pg, ops_run_deadline_us(ops, count))) {
        return true;
    }
    bool away = pg->failing_us != 0 && clock_monotonic_us() - pg->failing_us > DOWN_FAIL_FAST_US;
    for (int i = 0; i < count; i++) {
        ops[i]->given_up = away && !ops[i]->sent;
    }
    int64_t wait_ms = pg_backoff_left_ms(pg);
    clock_sleep_ms(wait_ms < 1 ? 1 : wait_ms > 50 ? 50 : wait_ms);
    return false;
}

/* Takes the operations at the head that are of one kind, up to its limit. Called with the lock held. */
static int take(struct lane *lane, struct op **ops) {
    int count = 0;
    const struct op_kind *kind = lane->head == NULL ? NULL : lane->head->kind;
    int most = kind == NULL || kind->alone ? 1 : lane->options.batch_max;
    while (lane->head != NULL && lane->head->kind == kind && count < most) {
        struct op *op = lane->head;
        lane->head = op->next;
        atomic_store_explicit(&op->lane, NULL, memory_order_relaxed);
        ops[count++] = op;
    }
    if (lane->head == NULL) {
        lane->tail = NULL;
    }
    depth_changed(lane, -count);
    return count;
}

/* Finishes what waits and has no more time than until_us. Callers take back by themselves what is past its
 * deadline, but one may be held up by another request that it serves meanwhile, which may wait for this very
 * one. Called with the lock held, and gives it up for a while. */
static void answer_waiting(struct lane *lane, struct op **ops, int64_t until_us) {
    int count;
    do {
        struct op *last = NULL;
        struct op **link = &lane->head;
        count = 0;
        while (*link != NULL) {
            struct op *op = *link;
            if (op->deadline_us <= until_us && count < LANE_BATCH_MAX) {
                *link = op->next;
                atomic_store_explicit(&op->lane, NULL, memory_order_relaxed);
                ops[count++] = op;
            } else {
                last = op;
                link = &op->next;
            }
        }
        lane->tail = last;
        depth_changed(lane, -count);
        pthread_mutex_unlock(&lane->lock);
        for (int i = 0; i < count; i++) {
            op_finish(ops[i], op_expired(ops[i]));
        }
        pthread_mutex_lock(&lane->lock);
    } while (count == LANE_BATCH_MAX);
}

static void note_connection(struct lane *lane, bool up) {
    int64_t since_us = atomic_load_explicit(&lane->down_since_us, memory_order_relaxed);
    if (up && since_us != 0) {
        atomic_store_explicit(&lane->down_since_us, 0, memory_order_relaxed);
    } else if (!up && since_us == 0) {
        atomic_store_explicit(&lane->down_since_us, clock_monotonic_us(), memory_order_relaxed);
    }
}

/* Sleeps until there is something to do. Called with the lock held. */
static void sleep_idle(struct lane *lane, int64_t limit_us) {
    struct timespec until = timespec_of(clock_monotonic_us() + limit_us);
    pthread_cond_clockwait(&lane->wake, &lane->lock, CLOCK_MONOTONIC, &until);
}

static void *lane_thread(void *argument) {
    struct lane *lane = argument;
    struct pg pg;
    struct op *ops[LANE_BATCH_MAX];
    void *scratch = lane->options.scratch_new == NULL ? NULL : lane->options.scratch_new();
    int64_t looked_us = 0;
    pg_init(&pg, lane->settings, lane->options.session);
    pthread_mutex_lock(&lane->lock);
    while (!lane->stopping) {
        int64_t now_us = clock_monotonic_us();
        if (!pg_alive(&pg) || now_us - looked_us >= IDLE_US) {
            looked_us = now_us;
            pthread_mutex_unlock(&lane->lock);
            bool up = pg_connect(&pg, now_us + 3000000);
            note_connection(lane, up || pg.failing_us == 0);
            pg_renew(&pg);
            if (lane->options.idle != NULL) {
                lane->options.idle(lane, &pg);
            }
            pthread_mutex_lock(&lane->lock);
            if (!up && !lane->stopping) {
                now_us = clock_monotonic_us();
                /* If it is down, all are answered, as those are that come now. */
                answer_waiting(lane, ops, is_down(lane, now_us) ? INT64_MAX : now_us);
            }
            if (!up && !lane->stopping) {
                sleep_idle(lane, (pg_backoff_left_ms(&pg) + 1) * 1000);
                continue;
            }
        }
        int count = take(lane, ops);
        if (count == 0) {
            if (!lane->stopping) {
                sleep_idle(lane, IDLE_US);
            }
            continue;
        }
        pthread_mutex_unlock(&lane->lock);
        if (lane->options.measured) {
            histogram_observe(HISTOGRAM_QUEUE_SECONDS, now_us - ops[0]->queued_us);
        }
        ops[0]->kind->run(lane, &pg, scratch, ops, count);
        pthread_mutex_lock(&lane->lock);
    }
    answer_waiting(lane, ops, INT64_MAX);
    pthread_mutex_unlock(&lane->lock);
    pg_close(&pg);
    if (scratch != NULL) {
        lane->options.scratch_free(scratch);
    }
    return NULL;
}

bool lane_start(struct lane *lane, const struct settings *settings, const struct lane_options *options) {
    *lane = (struct lane){.options = *options, .settings = settings};
    pthread_mutex_init(&lane->lock, NULL);
    pthread_cond_init(&lane->wake, NULL);
    lane->threads = calloc((size_t)options->threads, sizeof *lane->threads);
    if (lane->threads == NULL) {
        return false;
    }
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 256 * 1024);
    while (lane->started < options->threads) {
        if (pthread_create(&lane->threads[lane->started], &attributes, lane_thread, lane) != 0) {
            log_event(LOG_CRITICAL, "thread_failed", "cannot start a thread for %s", options->name);
            pthread_attr_destroy(&attributes);
            lane_stop(lane);
            return false;
        }
        lane->started++;
    }
    pthread_attr_destroy(&attributes);
    return true;
}

void lane_stop(struct lane *lane) {
    pthread_mutex_lock(&lane->lock);
    lane->stopping = true;
    pthread_cond_broadcast(&lane->wake);
    pthread_mutex_unlock(&lane->lock);
    for (int i = 0; i < lane->started; i++) {
        pthread_join(lane->threads[i], NULL);
    }
    lane->started = 0;
    free(lane->threads);
    lane->threads = NULL;
}
