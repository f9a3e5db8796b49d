/* The name that a limit is counted under. */
#ifndef PAYFLOW_CACHE_SUBJECT_H
#define PAYFLOW_CACHE_SUBJECT_H

#include "core/base.h"

#define SUBJECT_MAX 100 /* bytes */

/* FNV-1a with a seed. Two subjects that share a hash share an entry of a table, which 64 bits make a matter
 * of no account. */
static inline uint64_t subject_hash(uint64_t seed, const char *subject) {
    uint64_t hash = UINT64_C(14695981039346656037) ^ seed;
    for (; *subject != '\0'; subject++) {
        hash = (hash ^ (unsigned char)*subject) * UINT64_C(1099511628211);
    }
    return hash ^ hash >> 32;
}

#endif
