#include "sys/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#define BLOCK_BYTES 256 /* what getrandom gives whole, whatever signals come */

static int64_t now_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now); /* cannot fail: both clocks are always there */
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t clock_monotonic_us(void) {
    return now_ns(CLOCK_MONOTONIC) / 1000;
}

int64_t clock_wall_ms(void) {
    return now_ns(CLOCK_REALTIME) / 1000000;
}

static void fetch(uint8_t *out, size_t len) {
    while (len > 0) {
        ssize_t got = getrandom(out, len, 0);
        if (got < 0 && errno != EINTR) {
            abort();
        }
        if (got > 0) {
            out += got;
            len -= (size_t)got;
        }
    }
}

void random_bytes(uint8_t *out, size_t len) {
    /* Each thread's own, so no lock. A child after fork would draw the same bytes as its parent: this program
     * never forks. */
    static _Thread_local uint8_t block[BLOCK_BYTES];
    static _Thread_local size_t left;
    if (len > BLOCK_BYTES) {
        fetch(out, len);
        return;
    }
    if (left < len) {
        fetch(block, sizeof block);
        left = sizeof block;
    }
    left -= len;
    memcpy(out, block + left, len);
    memset(block + left, 0, len); /* no byte is given twice, nor kept */
}

void clock_sleep_ms(int64_t duration_ms) {
    if (duration_ms > 0) {
        struct timespec duration = {.tv_sec = (time_t)(duration_ms / 1000),
                                    .tv_nsec = (duration_ms % 1000) * 1000000};
        nanosleep(&duration, NULL);
    }
}

bool clock_wait_fd(int fd, short events, int64_t deadline_us) {
    struct pollfd entry = {.fd = fd, .events = events};
    for (;;) {
        int64_t left_us = deadline_us - clock_monotonic_us();
        if (left_us <= 0 || fd < 0) {
            return false;
        }
        int ready = poll(&entry, 1, (int)(left_us / 1000) + 1);
        if (ready > 0) {
            return true;
        }
        if (ready < 0 && errno != EINTR) {
            return false;
        }
    }
}
