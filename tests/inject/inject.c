/* Failures on demand, for build/inject/payflow alone: its linker sends each call named here to its __wrap_
 * (see the Makefile), also those of CivetWeb, cJSON, hiredis and libpq, which is linked in for that. The
 * binary that ships is linked without this file and without those options.
 *
 * INJECT_CONTROL names a file that holds one struct control, shared with the test that fills it in. Without
 * it, nothing fails. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define SITES_MAX 1024

/* A kind of call, and which of its calls fail: those numbered first .. last, counted from 1 since count was
 * set to 0. tests/inject/control.py has the same. */
struct fault {
    _Atomic uint32_t armed;
    _Atomic uint32_t count;
    _Atomic uint32_t failed;
    uint32_t first;
    uint32_t last;
};

enum side { SIDE_CLIENT = 1, SIDE_DATABASE = 2, SIDE_REDIS = 4, SIDE_OTHER = 8 };
enum call { CALL_RECEIVE = 1, CALL_SEND = 2, CALL_ACCEPT = 4, CALL_POLL = 8 };

struct control {
    struct fault allocations;
    struct fault calls;
    uint32_t sides; /* whose calls are counted: enum side, or-ed */
    uint32_t kinds; /* and which: enum call, or-ed */
    int32_t error;  /* errno of those that fail; 0: they move one byte */
    uint32_t database_port;
    uint32_t redis_port;
    uint32_t server_port;
    _Atomic uint32_t sites_used;
    _Atomic uint64_t sites[SITES_MAX]; /* where in the program failing calls were made from, each once */
};

static struct control nothing;
static struct control *control = &nothing;

extern const char __executable_start[];

__attribute__((constructor)) static void attach(void) {
    const char *path = getenv("INJECT_CONTROL");
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    void *shared = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (shared != MAP_FAILED) {
        control = shared;
    }
}

static void note_site(const void *caller) {
    uint64_t site = (uint64_t)((uintptr_t)caller - (uintptr_t)__executable_start);
    uint32_t used = atomic_load(&control->sites_used);
    for (uint32_t i = 0; i < used && i < SITES_MAX; i++) {
        if (atomic_load(&control->sites[i]) == site) {
            return;
        }
    }
    uint32_t place = atomic_fetch_add(&control->sites_used, 1);
    if (place < SITES_MAX) {
        atomic_store(&control->sites[place], site);
    }
}

static bool fails(struct fault *fault, const void *caller) {
    if (atomic_load(&fault->armed) == 0) {
        return false;
    }
    uint32_t number = atomic_fetch_add(&fault->count, 1) + 1;
    if (number < fault->first || number > fault->last) {
        return false;
    }
    atomic_fetch_add(&fault->failed, 1);
    note_site(caller);
    return true;
}

/* --- memory
 * ------------------------------------------------------------------------------------------------------ */

#define FAILS_HERE fails(&control->allocations, __builtin_return_address(0))

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t most);

void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size) {
    if (FAILS_HERE) {
        errno = ENOMEM;
        return NULL;
    }
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size) {
    if (FAILS_HERE) {
        errno = ENOMEM;
        return NULL;
    }
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size) {
    if (FAILS_HERE) {
        errno = ENOMEM;
        return NULL;
    }
    return __real_realloc(old, size);
}

char *__wrap_strdup(const char *text);
char *__wrap_strdup(const char *text) {
    if (FAILS_HERE) {
        errno = ENOMEM;
        return NULL;
    }
    return __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t most);
char *__wrap_strndup(const char *text, size_t most) {
    if (FAILS_HERE) {
        errno = ENOMEM;
        return NULL;
    }
    return __real_strndup(text, most);
}

/* --- sockets
 * ----------------------------------------------------------------------------------------------------- */

static uint32_t port_of(int fd, int (*name)(int, struct sockaddr *, socklen_t *)) {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_storage space;
    } address = {.any.sa_family = AF_UNSPEC};
    socklen_t size = sizeof address;
    if (name(fd, &address.any, &size) != 0) {
        return 0;
    }
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

static int peer_name(int fd, struct sockaddr *address, socklen_t *size) {
    return getpeername(fd, address, size);
}

static int own_name(int fd, struct sockaddr *address, socklen_t *size) {
    return getsockname(fd, address, size);
}

static enum side side_of(int fd) {
    uint32_t peer = port_of(fd, peer_name);
    if (peer != 0 && peer == control->database_port) {
        return SIDE_DATABASE;
    }
    if (peer != 0 && peer == control->redis_port) {
        return SIDE_REDIS;
    }
    return port_of(fd, own_name) == control->server_port ? SIDE_CLIENT : SIDE_OTHER;
}

/* True if this call is to fail, with control->error. */
static bool call_fails(enum call call, int fd, const void *caller) {
    if (atomic_load(&control->calls.armed) == 0 || (control->kinds & call) == 0) {
        return false;
    }
    int before = errno;
    bool counted = (side_of(fd) & control->sides) != 0;
    errno = before;
    return counted && fails(&control->calls, caller);
}

ssize_t __real_recv(int fd, void *out, size_t size, int flags);
ssize_t __real_send(int fd, const void *data, size_t size, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
int __real_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags);
int __real_poll(struct pollfd *entries, nfds_t count, int timeout_ms);

#define FAILS_AT(call, fd) call_fails(call, fd, __builtin_return_address(0))

ssize_t __wrap_recv(int fd, void *out, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *out, size_t size, int flags) {
    bool whole = control->error == 0 && (flags & MSG_PEEK) != 0; /* the kernel shows all that is there */
    if (whole || !FAILS_AT(CALL_RECEIVE, fd)) {
        return __real_recv(fd, out, size, flags);
    }
    if (control->error == 0) {
        return __real_recv(fd, out, size > 1 ? 1 : size, flags);
    }
    errno = control->error;
    return -1;
}

ssize_t __wrap_send(int fd, const void *data, size_t size, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t size, int flags) {
    if (!FAILS_AT(CALL_SEND, fd)) {
        return __real_send(fd, data, size, flags);
    }
    if (control->error == 0) {
        return __real_send(fd, data, size > 1 ? 1 : size, flags);
    }
    errno = control->error;
    return -1;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags) {
    if (!FAILS_AT(CALL_SEND, fd)) {
        return __real_sendmsg(fd, message, flags);
    }
    for (size_t i = 0; control->error == 0 && i < message->msg_iovlen; i++) {
        if (message->msg_iov[i].iov_len > 0) {
            return __real_send(fd, message->msg_iov[i].iov_base, 1, flags);
        }
    }
    errno = control->error;
    return -1;
}

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags) {
    if (control->error == 0 || !FAILS_AT(CALL_ACCEPT, fd)) {
        return __real_accept4(fd, address, size, flags);
    }
    errno = control->error;
    return -1;
}

int __wrap_poll(struct pollfd *entries, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *entries, nfds_t count, int timeout_ms) {
    if (control->error != EINTR || count == 0 || !FAILS_AT(CALL_POLL, entries[0].fd)) {
        return __real_poll(entries, count, timeout_ms);
    }
    errno = EINTR;
    return -1;
}
