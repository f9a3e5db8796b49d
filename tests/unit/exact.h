/* What the unit tests share. */
#ifndef PAYFLOW_TESTS_UNIT_EXACT_H
#define PAYFLOW_TESTS_UNIT_EXACT_H

#include <stdint.h>
#include <stdlib.h>

#include "core/base.h"

/* A copy of `len` bytes in a block of just that size, so that the sanitizers see a byte read beyond it. The
 * caller frees its data. */
static inline struct slice exact_copy(const char *data, size_t len) {
    char *copy = malloc(len);
    if (len > 0) {
        memcpy(copy, data, len);
    }
    return (struct slice){copy, len};
}

static inline void exact_free(struct slice slice) {
    free((void *)(uintptr_t)slice.data);
}

/* Random numbers that are the same in every run (xorshift64). */
static inline uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

#endif
