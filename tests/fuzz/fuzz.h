/* What the fuzz targets share. A target holds what must be true for every input, and stops the process where
 * it isn't. */
#ifndef PAYFLOW_FUZZ_H
#define PAYFLOW_FUZZ_H

#include <stdio.h>
#include <stdlib.h>

#include "core/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                                      \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                          \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

static inline struct slice input_of(const uint8_t *data, size_t size) {
    return (struct slice){(const char *)data, size};
}

/* True if `part` is absent or lies within `whole`. */
static inline bool within(struct slice part, struct slice whole) {
    return part.data == NULL || (part.data >= whole.data && part.data + part.len <= whole.data + whole.len);
}

#endif
