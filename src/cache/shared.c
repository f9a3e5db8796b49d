#include "cache/shared.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "cache/lease.h"
#include "cache/link.h"
#include "cache/script.h"
#include "cache/slots.h"
#include "obs/log.h"
#include "obs/metrics.h"
#include "sys/clock.h"

#define BACKOFF_FIRST_US 100000
#define BACKOFF_MAX_US 3000000
#define STEADY_US 10000000 /* up this long, the next failure backs off from the start again */
#define PROBE_US 1000000   /* an idle connection is tried this often */
#define STALL_US 1000000   /* silent this long after it was found slow, the connection is given up */
#define COMMANDS_MAX (SLOTS_MAX + 2) /* each has a check of its own, but for a probe and a log-in */
#define LATE_MAX 8                   /* replies in a row that came too late for their callers */
#define STOP_LIMIT_S 2

/* A command under way: checks of one subject, or a probe with none. Replies come in the order of the
 * commands. */
struct command {
    struct slot *first, *last;
    struct script_take take; /* wanted is 0: this is a new log-in */
    int64_t sent_us;
};

struct shared {
    const struct settings *settings;
    struct redis_url url;
    struct slots slots;
    struct leases *leases;
    pthread_t thread;
    _Atomic bool stopping;
    _Atomic bool up;
    /* the thread's own */
    char name[SCRIPT_NAME_SIZE];
    redisContext *redis; /* NULL: there is no connection */
    struct command commands[COMMANDS_MAX];
    size_t oldest, count;
    struct command groups[SLOTS_MAX]; /* to be sent */
    bool change_logged;               /* the present state of `up` */
    int late;                         /* replies in a row that came too late for their callers */
    int64_t slow_us;                  /* a reply that takes longer closes the intake */
    int64_t backoff_us;
    int64_t try_us;   /* not before this is anything tried on a Redis that failed */
    int64_t login_us; /* with tokens: when the next log-in is due */
    int64_t up_since_us;
    int64_t heard_us; /* the last reply */
};

static const struct gcra probe_gcra = {.interval = 1, .tolerance = 1};
static const struct script_take probe_take = {.wanted = 1};

/* --- what is known of Redis --- */

static void now_up(struct shared *shared) {
    shared->late = 0;
    shared->up_since_us = clock_monotonic_us();
    shared->heard_us = shared->up_since_us;
    atomic_store(&shared->up, true);
    slots_open(&shared->slots, true);
    log_event(LOG_INFO, "redis_connected", "limits are shared through Redis");
    shared->change_logged = false;
}

/* Hands checks back as they are: unanswered. */
static void finish_all(struct shared *shared, struct slot *first) {
    for (struct slot *slot = first, *next; slot != NULL; slot = next) {
        next = slot->next;
        slots_finish(&shared->slots, slot);
    }
}

/* Closes the intake: from here on every process counts for itself. */
static void now_down(struct shared *shared, const char *why) {
    int64_t now_us = clock_monotonic_us();
    uint8_t jitter = 0;
    if (atomic_exchange(&shared->up, false) && now_us - shared->up_since_us > STEADY_US) {
        shared->backoff_us = 0;
    }
    slots_open(&shared->slots, false);
    finish_all(shared, slots_take(&shared->slots));
    if (!shared->change_logged) {
        log_event(LOG_WARNING, "redis_lost", "limits are counted in this process until Redis is back: %s",
                  why);
        shared->change_logged = true;
    }
    random_bytes(&jitter, 1);
    shared->backoff_us = shared->backoff_us == 0 ? BACKOFF_FIRST_US : shared->backoff_us * 2;
    shared->backoff_us = shared->backoff_us > BACKOFF_MAX_US ? BACKOFF_MAX_US : shared->backoff_us;
    shared->try_us = now_us + shared->backoff_us * (192 + jitter / 2) / 256; /* 75 to 125 % */
}

static void disconnect(struct shared *shared, const char *why) {
    now_down(shared, why);
    for (; shared->count > 0; shared->count--) {
        finish_all(shared, shared->commands[shared->oldest].first);
        shared->oldest = (shared->oldest + 1) % COMMANDS_MAX;
    }
    redisFree(shared->redis);
    shared->redis = NULL;
}

static void plan_login(struct shared *shared) {
    uint8_t jitter = 0;
    random_bytes(&jitter, 1);
    shared->login_us =
        clock_monotonic_us() + shared->settings->connection_lifetime_s * 1000000 / 256 * (192 + jitter / 2);
}

static void connect_again(struct shared *shared) {
    char why[200];
    shared->redis = link_open(&shared->url, shared->settings, why, sizeof why);
    if (shared->redis == NULL) {
        now_down(shared, why);
        return;
    }
    /* The first command shows whether Redis can do what we need, and teaches it the script. */
    redisReply *reply = NULL;
    struct script_grant grant;
    bool good = script_append(shared->redis, shared->name, true, "probe", &probe_gcra, &probe_take) &&
                redisGetReply(shared->redis, (void **)&reply) == REDIS_OK && script_read(reply, &grant) &&
                link_unblock(shared->redis);
    if (good) {
        plan_login(shared);
        now_up(shared);
    } else {
        disconnect(shared,
                   reply != NULL && reply->type == REDIS_REPLY_ERROR ? reply->str : shared->redis->errstr);
    }
    freeReplyObject(reply);
}

/* --- sending --- */

/* Puts a command under way. False without memory: then its checks are done with. */
static bool send_command(struct shared *shared, struct command command, bool whole) {
    struct slot *first = command.first;
    command.sent_us = clock_monotonic_us();
    if (shared->count == COMMANDS_MAX ||
        !script_append(shared->redis, shared->name, whole, first == NULL ? "probe" : first->subject,
                       first == NULL ? &probe_gcra : &first->gcra, &command.take)) {
        finish_all(shared, first);
        return false;
    }
    shared->commands[(shared->oldest + shared->count) % COMMANDS_MAX] = command;
    shared->count++;
    return true;
}

/* What was logged in with a token must be so again from time to time: on the way, without a pause. */
static void renew_login(struct shared *shared) {
    if (!shared->settings->redis_iam || clock_monotonic_us() < shared->login_us ||
        shared->count >= COMMANDS_MAX - 1) {
        return;
    }
    plan_login(shared);
    if (link_append_login(shared->redis, &shared->url, shared->settings)) {
        shared->commands[(shared->oldest + shared->count) % COMMANDS_MAX] =
            (struct command){.sent_us = clock_monotonic_us()};
        shared->count++;
    }
}

/* Checks of the same subject become one command. */
static size_t group(struct shared *shared, struct slot *waiting) {
    struct command *groups = shared->groups;
    size_t count = 0;
    for (struct slot *slot = waiting, *next; slot != NULL; slot = next) {
        size_t i = 0;
        next = slot->next;
        slot->next = NULL;
        if (slots_given_up(slot)) {
            slots_finish(&shared->slots, slot);
            continue;
        }
        while (i < count && (strcmp(groups[i].first->subject, slot->subject) != 0 ||
                             groups[i].first->gcra.interval != slot->gcra.interval ||
                             groups[i].first->gcra.tolerance != slot->gcra.tolerance)) {
            i++;
        }
        if (i == count) {
            groups[count++] = (struct command){.first = slot, .last = slot, .take = {.wanted = 1}};
        } else {
            groups[i].last->next = slot;
            groups[i].last = slot;
            groups[i].take.wanted++;
        }
    }
    return count;
}

/* Sends all that waits; until nothing does, so that the next caller will wake us. */
static bool send_waiting(struct shared *shared) {
    struct slot *waiting;
    do {
        waiting = slots_take(&shared->slots);
        size_t count = group(shared, waiting);
        bool good = true;
        for (size_t i = 0; i < count; i++) {
            struct command *command = &shared->groups[i];
            leases_order(shared->leases, command->first->subject, &command->first->gcra, &command->take);
            good = send_command(shared, *command, false) && good;
        }
        if (!good || redisBufferWrite(shared->redis, NULL) != REDIS_OK) {
            return false;
        }
    } while (waiting != NULL);
    return true;
}

/* --- receiving --- */

static struct command take_command(struct shared *shared) {
    struct command command = shared->commands[shared->oldest];
    shared->oldest = (shared->oldest + 1) % COMMANDS_MAX;
    shared->count--;
    return command;
}

/* What was taken ahead becomes the lease. The first `granted` of the command's checks were allowed, the
 * others not. */
static void answer_checks(struct shared *shared, const struct command *command,
                          const struct script_grant *grant) {
    int64_t place = 0;
    if (command->take.ahead > 0) {
        leases_fill(shared->leases, command->first->subject, grant);
    }
    for (struct slot *slot = command->first, *next; slot != NULL; slot = next, place++) {
        next = slot->next;
        bool allowed = place < grant->granted;
        int64_t later = grant->ahead + (allowed ? grant->granted - 1 - place : 0);
        slot->answer = gcra_answer(&slot->gcra, allowed, grant->debt - later * slot->gcra.interval);
        slot->answered = true;
        slots_finish(&shared->slots, slot);
    }
}

/* Opens or closes the intake by how long a reply took. */
static void judge_time(struct shared *shared, const struct command *command) {
    bool in_time = shared->heard_us - command->sent_us <= shared->settings->redis_timeout_ms * 1000;
    shared->late = in_time ? 0 : shared->late + 1;
    if (atomic_load(&shared->up)) {
        if (shared->late >= LATE_MAX) {
            now_down(shared, "it is too slow");
        }
    } else if (command->first == NULL) { /* the probe after a slow time */
        if (in_time) {
            now_up(shared);
        } else {
            now_down(shared, "it is too slow");
        }
    }
}

/* Handles one reply; false, with the reason, if Redis can't be used. */
static bool handle_reply(struct shared *shared, const redisReply *reply, const char **why) {
    struct script_grant grant;
    if (shared->count == 0) {
        *why = "a reply without a command";
        return false;
    }
    struct command command = take_command(shared);
    shared->heard_us = clock_monotonic_us();
    if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOSCRIPT", 8) == 0) {
        return send_command(shared, command, true);
    }
    if (command.take.wanted == 0 && reply->type == REDIS_REPLY_STATUS) {
        return true;
    }
    if (!script_read(reply, &grant)) {
        finish_all(shared, command.first);
        *why = reply->type == REDIS_REPLY_ERROR ? reply->str : "not the script's reply";
        return false;
    }
    answer_checks(shared, &command, &grant);
    judge_time(shared, &command);
    return true;
}

static bool receive(struct shared *shared) {
    const char *why = NULL;
    if (redisBufferRead(shared->redis) != REDIS_OK) {
        disconnect(shared, shared->redis->errstr);
        return false;
    }
    for (;;) {
        redisReply *reply = NULL;
        if (redisGetReplyFromReader(shared->redis, (void **)&reply) != REDIS_OK) {
            disconnect(shared, shared->redis->errstr);
            return false;
        }
        if (reply == NULL) {
            return true;
        }
        bool good = handle_reply(shared, reply, &why);
        if (!good) {
            disconnect(shared, why == NULL ? "out of memory" : why);
        }
        freeReplyObject(reply);
        if (!good) {
            return false;
        }
    }
}

/* --- the thread --- */

/* When something is to be judged or tried if no reply comes. */
static int64_t next_look_us(const struct shared *shared) {
    bool up = atomic_load(&shared->up);
    if (shared->count > 0) {
        return shared->commands[shared->oldest].sent_us + shared->slow_us + (up ? 0 : STALL_US);
    }
    return up ? shared->heard_us + PROBE_US : shared->try_us;
}

/* Nothing has come although it should have, or it is time to try. */
static void look(struct shared *shared) {
    if (shared->count > 0 && atomic_load(&shared->up)) {
        now_down(shared, "it does not answer in time");
    } else if (shared->count > 0) {
        disconnect(shared, "it does not answer");
    } else if (!send_command(shared, (struct command){.take = probe_take}, false)) {
        disconnect(shared, "out of memory");
    }
}

/* Waits until the socket has something, somebody wakes us or until_us; returns what the socket has. */
static short wait_event(struct shared *shared, int64_t until_us) {
    struct pollfd entries[2] = {{.fd = shared->slots.wake_fd, .events = POLLIN}, {.fd = -1}};
    int64_t left_us = until_us - clock_monotonic_us();
    if (shared->redis != NULL) {
        entries[1].fd = shared->redis->fd;
        entries[1].events = sdslen(shared->redis->obuf) > 0 ? POLLIN | POLLOUT : POLLIN;
    }
    if (poll(entries, 2, left_us <= 0 ? 0 : (int)(left_us / 1000) + 1) <= 0) {
        return 0;
    }
    if (entries[0].revents != 0) {
        uint64_t wakes = 0;
        ssize_t got = read(shared->slots.wake_fd, &wakes, sizeof wakes);
        (void)got;
    }
    return entries[1].revents;
}

static void turn(struct shared *shared) {
    renew_login(shared);
    if (!send_waiting(shared)) {
        disconnect(shared, shared->redis->err != 0 ? shared->redis->errstr : "out of memory");
        return;
    }
    short ready = wait_event(shared, next_look_us(shared));
    if ((ready & ~POLLOUT) != 0 && !receive(shared)) {
        return;
    }
    if (clock_monotonic_us() >= next_look_us(shared)) {
        look(shared);
    }
}

static void *run(void *context) {
    struct shared *shared = context;
    while (!atomic_load(&shared->stopping)) {
        if (shared->redis != NULL) {
            turn(shared);
        } else if (clock_monotonic_us() >= shared->try_us) {
            connect_again(shared);
        } else {
            wait_event(shared, shared->try_us);
        }
    }
    shared->change_logged = true;
    disconnect(shared, "stopping");
    return NULL;
}

struct shared *shared_start(const struct settings *settings, const struct redis_url *url) {
    struct shared *shared = calloc(1, sizeof *shared);
    if (shared == NULL) {
        return NULL;
    }
    shared->settings = settings;
    shared->url = *url;
    shared->slow_us = 2 * settings->redis_timeout_ms * 1000;
    shared->leases = leases_new(clock_monotonic_us);
    script_name(shared->name);
    if (!slots_init(&shared->slots) || shared->leases == NULL ||
        pthread_create(&shared->thread, NULL, run, shared) != 0) {
        leases_free(shared->leases);
        slots_destroy(&shared->slots);
        free(shared);
        return NULL;
    }
    return shared;
}

void shared_stop(struct shared *shared) {
    struct timespec until;
    atomic_store(&shared->stopping, true);
    slots_wake(&shared->slots);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += STOP_LIMIT_S;
    if (pthread_timedjoin_np(shared->thread, NULL, &until) != 0) {
        return; /* it is looking up a name or connecting; the process ends without it */
    }
    leases_free(shared->leases);
    slots_destroy(&shared->slots);
    OPENSSL_cleanse(&shared->url, sizeof shared->url);
    free(shared);
}

bool shared_is_up(const struct shared *shared) {
    return atomic_load(&shared->up);
}

bool shared_take(struct shared *shared, const char *subject, const struct gcra *gcra,
                 struct rate_answer *answer) {
    if (!shared_is_up(shared)) {
        return false;
    }
    if (leases_take(shared->leases, subject, gcra, answer)) {
        return true;
    }
    bool answered =
        slots_check(&shared->slots, subject, gcra, shared->settings->redis_timeout_ms * 1000, answer);
    if (!answered) {
        metric_add(METRIC_REDIS_ERRORS, 1);
    }
    return answered;
}
