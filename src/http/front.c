/* The front: one thread that accepts connections and watches new and slow ones, in an epoll of its own; and
 * the epoll of those that are ready, at which the workers wait. */
#include <errno.h>
#include <linux/sockios.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/census.h"
#include "http/internal.h"
#include "obs/log.h"
#include "obs/metrics.h"
#include "sys/clock.h"
#include "sys/turn.h"

#define EVENTS_MAX 128
#define ACCEPTS_MAX 64 /* in one go, so that those who wait are not kept waiting */
#define TICK_MS 250    /* time-outs set by workers are seen after this long at the latest */
#define STOPPING_TICK_MS 10
#define ACCEPT_PAUSE_MS 100 /* when the process has no more file descriptors */
#define STOPPING_ACCEPTS 32 /* times ACCEPTS_MAX: more than the listener's queue can hold */
#define LINGER_MS 1000
#define FLUSH_MS 20 /* how often is looked whether a client has its answers: nothing reports that */
#define LINGER_BYTES_MAX 262144
#define HANDSHAKE_MS 50 /* when stopping, handshakes that have begun are awaited this long */
#define FRESH_MS 1000   /* when stopping, a new connection's first request is awaited this long */
#define STACK_BYTES 131072

#define TAG_LISTENER UINT64_MAX
#define TAG_WAKE (UINT64_MAX - 1)
#define TAG_STOPPED (UINT64_MAX - 2)

struct peer_list {
    struct peer *first, *last;
};

enum phase { PHASE_RUNNING, PHASE_STOPPING, PHASE_QUIT };

struct front {
    struct http_server *server;
    int epoll, listener, wake; /* the front's own; listener is -1 once closed */
    struct turns turns;        /* to wait at `ready` */
    int ready, stopped;        /* the workers'; stopped is an eventfd that is never read again once written */
    pthread_t thread;
    _Atomic enum phase phase;
    _Atomic unsigned open;  /* connections, whoever has them */
    _Atomic bool closed;    /* the listener: no more connections will come */
    pthread_mutex_t lock;   /* the lists, and each peer's list, state and deadline */
    struct peer_list heads; /* new, or part of a head is there: head_timeout_ms */
    struct peer_list idle;  /* ready, silent for all we know: keep_alive_ms */
    struct peer_list given; /* ready, their first head complete: a worker comes at once */
    struct peer_list lingering;
    struct peer_list flushing; /* lingering, and the client will send no more: until it has its answers */
    struct peer *free;         /* slots that were used before, a stack through `next` */
    size_t slots_used;         /* slots from here on were never touched, and cost no memory yet */
    struct census *census;     /* NULL: no cap per address */
    int64_t accept_again_us;   /* 0: accepting */
    bool accept_failing;       /* said so in the log */
    int64_t stopping_since_us;
    struct peer *peers; /* max_connections slots */
    char buffer[HTTP_HEAD_BYTES_MAX];
};

/* Each list is in order of its deadlines, because each has one duration: appending keeps the order. */
static void list_append(struct peer_list *list, struct peer *peer) {
    peer->list = list;
    peer->next = NULL;
    peer->previous = list->last;
    if (list->last == NULL) {
        list->first = peer;
    } else {
        list->last->next = peer;
    }
    list->last = peer;
}

static void list_remove(struct peer *peer) {
    struct peer_list *list = peer->list;
    if (list == NULL) {
        return;
    }
    if (peer->previous == NULL) {
        list->first = peer->next;
    } else {
        peer->previous->next = peer->next;
    }
    if (peer->next == NULL) {
        list->last = peer->previous;
    } else {
        peer->next->previous = peer->previous;
    }
    peer->list = NULL;
}

static void control(const struct front *front, int epoll, int operation, const struct peer *peer,
                    uint32_t events) {
    struct epoll_event event = {
        .events = events, .data.u64 = (uint64_t)peer->generation << 32 | (uint64_t)(peer - front->peers)};
    epoll_ctl(epoll, operation, peer->fd, &event);
}

/* In the front's epoll: one report at the next bytes, or at once if there are some, then silence until armed
 * again. */
#define ARMED (EPOLLIN | EPOLLRDHUP | EPOLLONESHOT)

static void arm(const struct front *front, const struct peer *peer, int operation, uint32_t events) {
    control(front, front->epoll, operation, peer, events);
}

/* The lock is held: moves a peer to a list, with its time-out from now on. */
static void put(struct peer_list *list, struct peer *peer, enum peer_state state, int64_t timeout_ms) {
    list_remove(peer);
    peer->state = state;
    peer->deadline_us = clock_monotonic_us() + timeout_ms * 1000;
    list_append(list, peer);
}

/* True if answers are still on their way to the client. */
static bool has_unsent(int fd) {
    int unsent = 0;
    return ioctl(fd, SIOCOUTQ, &unsent) == 0 && unsent > 0;
}

/* What the client has not taken by now is thrown away with the connection. Else the kernel would go on
 * offering it for minutes, in memory that no cap of ours counts. */
static void forget_unsent(int fd) {
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    if (has_unsent(fd)) {
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
}

static void drop(struct front *front, struct peer *peer) {
    forget_unsent(peer->fd);
    pthread_mutex_lock(&front->lock);
    close(peer->fd);
    list_remove(peer);
    peer->fd = -1;
    peer->enrolled = false;
    peer->state = PEER_FREE;
    peer->next = front->free;
    front->free = peer;
    if (front->census != NULL) {
        census_leave(front->census, peer->bucket);
    }
    /* Before the slot can be taken again, or the figure would exceed the cap for a moment. */
    metric_add(METRIC_HTTP_CONNECTIONS, -1);
    atomic_fetch_sub(&front->open, 1);
    pthread_mutex_unlock(&front->lock);
}

/* The lock is held: from now on its bytes are the front's alone. */
static void leave_workers(struct front *front, struct peer *peer) {
    if (peer->enrolled) {
        control(front, front->ready, EPOLL_CTL_DEL, peer, 0);
        peer->enrolled = false;
    }
}

/* Ends our side of the connection and drops what the client still sends. Closing at once would make the
 * kernel answer those bytes with a reset, which can destroy the answer before the client has read it. */
static void linger(struct front *front, struct peer *peer) {
    if (shutdown(peer->fd, SHUT_WR) != 0) {
        drop(front, peer);
        return;
    }
    pthread_mutex_lock(&front->lock);
    peer->drained = 0;
    leave_workers(front, peer);
    put(&front->lingering, peer, PEER_LINGERING, LINGER_MS);
    arm(front, peer, EPOLL_CTL_MOD, ARMED);
    pthread_mutex_unlock(&front->lock);
}

/* The client has said its last word. What it was answered may be on its way yet, and it may be reading. */
static void part(struct front *front, struct peer *peer, bool unread) {
    if (unread || has_unsent(peer->fd)) { /* with bytes unread, closing would be a reset */
        peer->edge = false;
        linger(front, peer);
    } else {
        drop(front, peer);
    }
}

/* The lock is held: whoever takes it first may have it. A connection is enrolled once and for all with the
 * workers, who get a report when bytes arrive; one that came while it was not ready is asked for again. */
static void make_ready(struct front *front, struct peer *peer, struct peer_list *list, bool more) {
    put(list, peer, PEER_READY, front->server->options.keep_alive_ms);
    if (!peer->enrolled || more || peer->more) {
        control(front, front->ready, peer->enrolled ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, peer,
                EPOLLIN | EPOLLRDHUP | EPOLLET);
    }
    peer->enrolled = true;
    peer->more = false;
}

/* Its next head is slow to come: the front watches it. */
static void make_partial(struct front *front, struct peer *peer) {
    leave_workers(front, peer);
    peer->seen = 0;
    put(&front->heads, peer, PEER_WAITING, front->server->options.head_timeout_ms);
    arm(front, peer, EPOLL_CTL_MOD, ARMED);
}

void front_return(struct front *front, struct peer *peer, enum fate fate, bool more) {
    switch (fate) {
    case FATE_PARK:
        pthread_mutex_lock(&front->lock);
        make_ready(front, peer, &front->idle, more);
        pthread_mutex_unlock(&front->lock);
        break;
    case FATE_PARTIAL:
        pthread_mutex_lock(&front->lock);
        make_partial(front, peer);
        pthread_mutex_unlock(&front->lock);
        break;
    case FATE_CLOSE:
        linger(front, peer);
        break;
    case FATE_END:
        part(front, peer, false);
        break;
    case FATE_DROP:
        drop(front, peer);
        break;
    }
}

/* The peer that a report is about, if it is ready and now ours. */
static struct peer *take_ready(struct front *front, const struct epoll_event *event) {
    struct peer *peer = &front->peers[(uint32_t)event->data.u64];
    pthread_mutex_lock(&front->lock);
    bool current = peer->generation == event->data.u64 >> 32;
    bool taken = current && peer->state == PEER_READY;
    if (taken) {
        list_remove(peer);
        peer->state = PEER_WORKING;
        peer->more = (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0; /* behind the last request */
    } else if (current) {
        peer->more = true; /* whoever has it makes it ready again, and asks */
    }
    pthread_mutex_unlock(&front->lock);
    return taken ? peer : NULL;
}

struct peer *front_take(struct front *front, int wait_ms) {
    struct epoll_event event;
    if (wait_ms < 0) {
        turn_take(&front->turns);
    } else if (!turn_try(&front->turns)) {
        return NULL;
    }
    for (;;) {
        int count = epoll_wait(front->ready, &event, 1, wait_ms);
        if (count == 0 || (count > 0 && event.data.u64 == TAG_STOPPED)) {
            return NULL;
        }
        struct peer *peer = count > 0 ? take_ready(front, &event) : NULL;
        if (peer != NULL) {
            return peer;
        }
    }
}

bool front_stopped(const struct front *front) {
    return atomic_load(&front->phase) == PHASE_QUIT;
}

/* Its head is complete, or will never be: a worker shall have it. */
static void dispatch(struct front *front, struct peer *peer) {
    if (peer->edge) {
        arm(front, peer, EPOLL_CTL_MOD, EPOLLONESHOT);
    }
    peer->edge = false;
    peer->seen = 0;
    peer->ready_us = clock_monotonic_us();
    pthread_mutex_lock(&front->lock);
    make_ready(front, peer, &front->given, true);
    pthread_mutex_unlock(&front->lock);
}

/* Part of a head is there. From now on epoll reports only what is new. */
static void await_rest(struct front *front, struct peer *peer, size_t seen) {
    bool first = peer->seen == 0;
    peer->seen = seen;
    if (first) {
        peer->edge = true;
        arm(front, peer, EPOLL_CTL_MOD, EPOLLIN | EPOLLRDHUP | EPOLLET);
    }
}

/* True if the connection still waits and is silent. */
static bool look(struct front *front, struct peer *peer, uint32_t events) {
    ssize_t have = recv(peer->fd, front->buffer, sizeof front->buffer, MSG_PEEK | MSG_DONTWAIT);
    if (have < 0 && (errno == EAGAIN || errno == EINTR)) {
        return true;
    }
    bool ended = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    if (have > 0 && head_ready(front->buffer, (size_t)have, peer->seen)) {
        dispatch(front, peer);
    } else if (have <= 0 || ended) {
        part(front, peer, have > 0); /* the rest will never come */
    } else {
        await_rest(front, peer, (size_t)have);
    }
    return false;
}

static void drain(struct front *front, struct peer *peer) {
    ssize_t got = recv(peer->fd, front->buffer, sizeof front->buffer, MSG_DONTWAIT);
    peer->drained += got > 0 ? (size_t)got : 0;
    if (got == 0 && has_unsent(peer->fd)) {
        pthread_mutex_lock(&front->lock);
        peer->end_us = clock_monotonic_us() + front->server->options.request_timeout_ms * 1000;
        put(&front->flushing, peer, PEER_LINGERING, FLUSH_MS);
        pthread_mutex_unlock(&front->lock);
    } else if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR) ||
               peer->drained > LINGER_BYTES_MAX) {
        drop(front, peer);
    } else {
        arm(front, peer, EPOLL_CTL_MOD, ARMED);
    }
}

static void on_event(struct front *front, uint64_t tag, uint32_t events) {
    struct peer *peer = &front->peers[(uint32_t)tag];
    pthread_mutex_lock(&front->lock);
    enum peer_state state = peer->generation == tag >> 32 ? peer->state : PEER_FREE;
    pthread_mutex_unlock(&front->lock);

    if (state == PEER_WAITING) {
        if (look(front, peer, events) && !peer->edge) {
            arm(front, peer, EPOLL_CTL_MOD, ARMED);
        }
    } else if (state == PEER_LINGERING) {
        drain(front, peer);
    } /* else a late report of one that is a worker's or gone by now */
}

/* The lock is held: takes a free slot; NULL if max_connections are open, or too many from that address. */
static struct peer *claim(struct front *front, const struct sockaddr_storage *address) {
    uint32_t bucket = 0;
    struct peer *peer = front->free;
    if ((peer == NULL && front->slots_used == (size_t)front->server->options.max_connections) ||
        (front->census != NULL && !census_enter(front->census, address, &bucket))) {
        return NULL;
    }
    if (peer == NULL) {
        peer = &front->peers[front->slots_used++];
    } else {
        front->free = peer->next;
    }
    peer->bucket = bucket;
    peer->generation = (peer->generation + 1) & INT32_MAX; /* never that of the tags */
    return peer;
}

static void admit(struct front *front, int fd, const struct sockaddr_storage *address) {
    pthread_mutex_lock(&front->lock);
    struct peer *peer = claim(front, address);
    if (peer == NULL) {
        pthread_mutex_unlock(&front->lock);
        metric_add(METRIC_HTTP_CONNECTIONS_REFUSED, 1);
        close(fd);
        return;
    }
    peer->fd = fd;
    peer->edge = false;
    peer->more = false;
    peer->seen = 0;
    peer->ready_us = 0;
    put(&front->heads, peer, PEER_WAITING, front->server->options.head_timeout_ms);
    pthread_mutex_unlock(&front->lock);
    census_name(address, peer->address);
    metric_add(METRIC_HTTP_CONNECTIONS, 1);
    atomic_fetch_add(&front->open, 1);
    arm(front, peer, EPOLL_CTL_ADD, ARMED);
}

static void watch(int epoll, int operation, int fd, uint32_t events, uint64_t tag) {
    struct epoll_event event = {.events = events, .data.u64 = tag};
    epoll_ctl(epoll, operation, fd, &event);
}

/* Out of file descriptors or memory: the listener rests, else it would be reported without end. */
static void pause_accepting(struct front *front) {
    if (!front->accept_failing) {
        log_event(LOG_WARNING, "accept_paused", "cannot accept connections for now: %s",
                  strerrordesc_np(errno));
    }
    front->accept_failing = true;
    front->accept_again_us = clock_monotonic_us() + ACCEPT_PAUSE_MS * 1000;
    watch(front->epoll, EPOLL_CTL_MOD, front->listener, 0, TAG_LISTENER);
}

/* Takes at most ACCEPTS_MAX connections. False if there are no more, for now. */
static bool accept_some(struct front *front) {
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        struct sockaddr_storage address = {0};
        socklen_t size = sizeof address;
        int fd = accept4(front->listener, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            front->accept_failing = false;
            admit(front, fd, &address);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            pause_accepting(front);
            return false;
        } else if (errno != ECONNABORTED && errno != EINTR) {
            return false; /* no more, or a fault that epoll will report again */
        }
    }
    return true;
}

static void resume_accepting(struct front *front, int64_t now_us) {
    if (front->accept_again_us != 0 && now_us >= front->accept_again_us && front->listener >= 0) {
        front->accept_again_us = 0;
        watch(front->epoll, EPOLL_CTL_MOD, front->listener, EPOLLIN, TAG_LISTENER);
    }
}

/* Takes the first of a list whose time is up; NULL if there is none. */
static struct peer *expired(struct front *front, const struct peer_list *list, int64_t now_us) {
    pthread_mutex_lock(&front->lock);
    struct peer *peer = list->first;
    if (peer != NULL && peer->deadline_us > now_us) {
        peer = NULL;
    }
    if (peer != NULL) {
        list_remove(peer);
        peer->state = PEER_WORKING;
    }
    pthread_mutex_unlock(&front->lock);
    return peer;
}

static void expire(struct front *front, int64_t now_us) {
    struct peer *peer;
    while ((peer = expired(front, &front->heads, now_us)) != NULL) {
        if (peer->seen == 0) {
            drop(front, peer);
        } else {
            metric_add(METRIC_HTTP_MALFORMED, 1);
            exchange_head_timeout(front->server, peer);
            peer->edge = false;
            linger(front, peer);
        }
    }
    while ((peer = expired(front, &front->idle, now_us)) != NULL) {
        drop(front, peer);
    }
    while ((peer = expired(front, &front->lingering, now_us)) != NULL) {
        drop(front, peer);
    }
    while ((peer = expired(front, &front->flushing, now_us)) != NULL) {
        if (now_us >= peer->end_us || !has_unsent(peer->fd)) {
            drop(front, peer);
        } else {
            pthread_mutex_lock(&front->lock);
            put(&front->flushing, peer, PEER_LINGERING, FLUSH_MS);
            pthread_mutex_unlock(&front->lock);
        }
    }
}

/* Until the next deadline, but no longer than a tick. */
static int next_wait_ms(struct front *front) {
    if (atomic_load(&front->phase) != PHASE_RUNNING) {
        return STOPPING_TICK_MS;
    }
    const struct peer_list *lists[] = {&front->heads, &front->idle, &front->lingering, &front->flushing};
    int64_t now_us = clock_monotonic_us();
    int64_t until_us = now_us + TICK_MS * 1000;
    pthread_mutex_lock(&front->lock);
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        const struct peer *first = lists[i]->first;
        until_us = first != NULL && first->deadline_us < until_us ? first->deadline_us : until_us;
    }
    pthread_mutex_unlock(&front->lock);
    return until_us <= now_us ? 0 : (int)((until_us - now_us + 999) / 1000);
}

/* The listener ends in two steps, so that nobody who has connected is left without an answer. */
static void close_listener(struct front *front, int64_t now_us) {
    if (front->stopping_since_us == 0) {
        front->stopping_since_us = now_us;
        listener_refuse_new(front->listener);
    } else if (front->listener >= 0 && now_us - front->stopping_since_us > HANDSHAKE_MS * 1000) {
        for (int i = 0; i < STOPPING_ACCEPTS && accept_some(front); i++) {
        }
        close(front->listener);
        front->listener = -1;
        atomic_store(&front->closed, true);
    }
}

/* While stopping: ends all that is silent. New connections, and those with part of a head, get a moment more:
 * their request is on its way. */
static void wind_down(struct front *front) {
    int64_t now_us = clock_monotonic_us();
    close_listener(front, now_us);
    struct peer *peer;
    while ((peer = expired(front, &front->idle, INT64_MAX)) != NULL) {
        if (recv(peer->fd, front->buffer, 1, MSG_PEEK | MSG_DONTWAIT) > 0) {
            dispatch(front, peer);
        } else {
            drop(front, peer);
        }
    }
    while (now_us - front->stopping_since_us > FRESH_MS * 1000 &&
           (peer = expired(front, &front->heads, INT64_MAX)) != NULL) {
        drop(front, peer);
    }
}

static void *run(void *argument) {
    struct front *front = argument;
    struct epoll_event events[EVENTS_MAX];
    uint64_t ignored;
    pthread_setname_np(pthread_self(), "front");
    while (atomic_load(&front->phase) != PHASE_QUIT) {
        int count = epoll_wait(front->epoll, events, EVENTS_MAX, next_wait_ms(front));
        for (int i = 0; i < count; i++) {
            if (events[i].data.u64 == TAG_LISTENER) {
                accept_some(front);
            } else if (events[i].data.u64 == TAG_WAKE) {
                (void)!read(front->wake, &ignored, sizeof ignored);
            } else {
                on_event(front, events[i].data.u64, events[i].events);
            }
        }
        int64_t now_us = clock_monotonic_us();
        resume_accepting(front, now_us);
        expire(front, now_us);
        if (atomic_load(&front->phase) == PHASE_STOPPING) {
            wind_down(front);
        }
    }
    return NULL;
}

static unsigned processors(void) {
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online < 2 ? 2 : (unsigned)online;
}

static bool start_thread(struct front *front) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    int failed = pthread_create(&front->thread, &attributes, run, front);
    pthread_attr_destroy(&attributes);
    return failed == 0;
}

struct front *front_start(struct http_server *server, int listener) {
    struct front *front = calloc(1, sizeof *front);
    if (front == NULL) {
        close(listener);
        return NULL;
    }
    front->server = server;
    front->listener = listener;
    front->epoll = epoll_create1(EPOLL_CLOEXEC);
    front->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    turns_init(&front->turns, processors());
    front->ready = epoll_create1(EPOLL_CLOEXEC);
    front->stopped = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    front->peers = calloc((size_t)server->options.max_connections, sizeof *front->peers);
    pthread_mutex_init(&front->lock, NULL);
    bool capped = server->options.max_connections_per_address > 0;
    front->census = capped ? census_new((unsigned)server->options.max_connections_per_address) : NULL;
    bool ready = front->epoll >= 0 && front->wake >= 0 && front->ready >= 0 && front->stopped >= 0 &&
                 front->peers != NULL && (!capped || front->census != NULL);
    if (ready) {
        watch(front->epoll, EPOLL_CTL_ADD, front->wake, EPOLLIN, TAG_WAKE);
        watch(front->epoll, EPOLL_CTL_ADD, listener, EPOLLIN, TAG_LISTENER);
        watch(front->ready, EPOLL_CTL_ADD, front->stopped, EPOLLIN, TAG_STOPPED);
        server->front = front;
        ready = start_thread(front);
    }
    if (!ready) {
        front_free(front);
        return NULL;
    }
    return front;
}

static void enter(struct front *front, enum phase phase, int tell) {
    const uint64_t one = 1;
    atomic_store(&front->phase, phase);
    (void)!write(tell, &one, sizeof one);
}

void front_stop(struct front *front, int64_t limit_ms) {
    int64_t until_us = clock_monotonic_us() + limit_ms * 1000;
    enter(front, PHASE_STOPPING, front->wake);
    while ((atomic_load(&front->open) > 0 || !atomic_load(&front->closed)) &&
           clock_monotonic_us() < until_us) {
        clock_sleep_ms(5);
    }
    enter(front, PHASE_QUIT, front->wake);
    pthread_join(front->thread, NULL);
    enter(front, PHASE_QUIT, front->stopped);
    turns_end(&front->turns, front->server->worker_count);
    pthread_mutex_lock(&front->lock);
    for (size_t i = 0; i < front->slots_used; i++) {
        if (front->peers[i].state == PEER_WORKING) {
            shutdown(front->peers[i].fd, SHUT_RDWR); /* whoever waits for the client waits no longer */
        }
    }
    pthread_mutex_unlock(&front->lock);
}

void front_free(struct front *front) {
    for (size_t i = 0; front->peers != NULL && i < front->slots_used; i++) {
        if (front->peers[i].state != PEER_FREE) {
            close(front->peers[i].fd);
            metric_add(METRIC_HTTP_CONNECTIONS, -1);
        }
    }
    const int own[] = {front->listener, front->wake, front->epoll, front->ready, front->stopped};
    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        if (own[i] >= 0) {
            close(own[i]);
        }
    }
    pthread_mutex_destroy(&front->lock);
    turns_destroy(&front->turns);
    census_free(front->census);
    free(front->peers);
    free(front);
}
