/* Loaded in front of libc: a wall clock that is CLOCK_SHIM_MS off, as that of another machine may be. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    long result = syscall(SYS_clock_gettime, clock, now);
    const char *off = getenv("CLOCK_SHIM_MS");
    if (result == 0 && clock == CLOCK_REALTIME && off != NULL) {
        now->tv_sec += atol(off) / 1000;
    }
    return (int)result;
}
