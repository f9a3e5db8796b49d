/* Ids: a prefix that says what it names, and 128 bits as a ULID: 48 bits of time in ms, 80 random ones, in 26
 * lower-case characters of Crockford's base 32 ("pay_01jdewx1b8tq3v9h6k2m4n5p7r"). They sort by time as plain
 * bytes, so an index on them stays local. Pure; thread-safe. */
#ifndef PAYFLOW_CORE_ID_H
#define PAYFLOW_CORE_ID_H

#include "core/base.h"

#define ID_RANDOM_BYTES 10
#define ID_BODY_CHARS 26
#define ID_SIZE 31 /* the longest id ("pay_", "ref_" + 26) and its NUL */

#define ID_PAYMENT "pay_"
#define ID_REFUND "ref_"

/* Makes an id of prefix (at most 4 characters), time in ms since 1970 (UTC; 0 .. 2^48-1) and 80 random bits,
 * NUL-terminated. */
void id_make(const char *prefix, int64_t time_ms, const uint8_t random[ID_RANDOM_BYTES], char out[ID_SIZE]);

/* True if `text` is exactly what id_make writes for this prefix. */
bool id_valid(const char *prefix, struct slice text);

/* The time in ms inside an id that id_valid accepted for a prefix of 4 characters. */
int64_t id_time_ms(struct slice id);

/* The smallest id body of all made at time_ms: what a list's created_from and created_to compare with. Writes
 * an id. */
void id_lowest(const char *prefix, int64_t time_ms, char out[ID_SIZE]);

#endif
