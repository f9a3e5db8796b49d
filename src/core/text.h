/* A text that grows up to a limit: how answers, log lines and metrics are written.
 *
 * Every append either fits whole or marks the text as failed and changes nothing more, so a writer checks
 * once, at the end. A text may start in a buffer of the caller's (no allocation for common answers) and moves
 * to the heap when it outgrows it. Not thread-safe: one writer. */
#ifndef PAYFLOW_CORE_TEXT_H
#define PAYFLOW_CORE_TEXT_H

#include "core/base.h"

struct text {
    char *data;      /* the bytes so far; NUL-terminated after each append */
    size_t len;      /* bytes, without the NUL */
    size_t capacity; /* bytes at data */
    size_t limit;    /* len never exceeds this */
    bool on_heap;    /* data is ours to free */
    bool failed;     /* an append did not fit, or memory ran out */
};

/* Starts an empty text in `buffer` (may be NULL with capacity 0) that may grow to `limit` bytes on the heap.
 * The buffer stays the caller's and must outlive the text. */
void text_init(struct text *text, char *buffer, size_t capacity, size_t limit);

/* Frees what the text allocated. Safe to call twice. */
void text_free(struct text *text);

/* Empties the text, keeps its memory, forgets a failure. */
void text_clear(struct text *text);

/* Appends `len` bytes. */
void text_add(struct text *text, const char *data, size_t len);

/* Appends a NUL-terminated string. */
void text_add_string(struct text *text, const char *string);

/* Appends as printf does, in the C locale. */
void text_printf(struct text *text, const char *format, ...) PRINTF_LIKE(2, 3);

/* Appends a decimal integer (much cheaper than text_printf). */
void text_add_int(struct text *text, int64_t value);

/* Appends `value` as a JSON string with its quotes, escaped by RFC 8259, section 7 (valid UTF-8 passes as it
 * is; an absent slice gives null). */
void text_add_json(struct text *text, struct slice value);

#endif
