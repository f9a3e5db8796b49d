/* What every module may use: attributes and the slice of text. Pure; no I/O. */
#ifndef PAYFLOW_CORE_BASE_H
#define PAYFLOW_CORE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The caller must look at the result. */
#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(template, first) __attribute__((format(printf, template, first)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* A piece of somebody else's text: not owned, not NUL-terminated; data is NULL when there is none. */
struct slice {
    const char *data;
    size_t len;
};

/* The slice over a NUL-terminated string (NULL gives the absent slice); valid as long as the string is. */
static inline struct slice slice_of(const char *text) {
    return (struct slice){text, text == NULL ? 0 : strlen(text)};
}

/* True if both hold the same bytes. */
static inline bool slice_equal(struct slice a, struct slice b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

#endif
