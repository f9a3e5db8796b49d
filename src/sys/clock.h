/* The clocks, waiting by them, and the randomness: the only places that ask the system for them, so that a
 * test can put its own in. */
#ifndef PAYFLOW_SYS_CLOCK_H
#define PAYFLOW_SYS_CLOCK_H

#include "core/base.h"

/* Microseconds of CLOCK_MONOTONIC: for durations and deadlines. Thread-safe. */
int64_t clock_monotonic_us(void);

/* Milliseconds since 1970, UTC: for created_at and logs only, never for a deadline. Thread-safe. */
int64_t clock_wall_ms(void);

/* Fills `out` from getrandom(2); aborts the process if the kernel refuses, because an id must never repeat.
 * Cheap: each thread draws from a block it fetched before. Thread-safe. */
void random_bytes(uint8_t *out, size_t len);

/* Sleeps that long, or until interrupted by a signal. */
void clock_sleep_ms(int64_t duration_ms);

/* Sleeps until the file is ready for `events` (poll's; also when it broke), or until deadline_us of
 * clock_monotonic_us (false). False at once if there is no such file (fd < 0). Thread-safe. */
MUST_CHECK bool clock_wait_fd(int fd, short events, int64_t deadline_us);

#endif
