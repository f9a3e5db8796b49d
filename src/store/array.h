/* One-dimensional PostgreSQL arrays in the binary format, for UNNEST: exact, no escaping. Internal to the
 * store. */
#ifndef PAYFLOW_STORE_ARRAY_H
#define PAYFLOW_STORE_ARRAY_H

#include "core/base.h"
#include "core/text.h"
#include "store/pg.h"

/* The element types that we send, by their fixed OIDs in pg_type. */
enum array_type {
    ARRAY_BOOL = 16,
    ARRAY_BYTEA = 17,
    ARRAY_INT8 = 20,
    ARRAY_INT2 = 21,
    ARRAY_INT4 = 23,
    ARRAY_TEXT = 25,
    ARRAY_TIMESTAMPTZ = 1184,
};

struct array {
    struct text bytes; /* keeps its memory from batch to batch */
    enum array_type type;
    int32_t count;
    bool has_null;
};

/* Empties the array for elements of `type`. The first call must be on a zeroed struct. */
void array_begin(struct array *array, enum array_type type);

/* Frees its memory. */
void array_free(struct array *array);

/* Append one element; the function must fit the type given to array_begin. */
void array_add_bool(struct array *array, bool value);
void array_add_int2(struct array *array, int16_t value);
void array_add_int4(struct array *array, int32_t value);
void array_add_int8(struct array *array, int64_t value);
void array_add_time(struct array *array, int64_t time_ms);     /* ms since 1970 */
void array_add_bytes(struct array *array, struct slice value); /* text and bytea; absent is NULL */

/* Binds the arrays as parameters $1, $2, … False if one of them ran out of memory. They must stay as they are
 * until the statement was sent. */
MUST_CHECK bool arrays_bind(struct array *arrays, int count, struct pg_parameters *parameters);

#endif
