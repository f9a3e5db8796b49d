/* Opaque cursors of lists and feeds: base64url (RFC 4648, section 5, no padding) over a version, the place,
 * and a check that the filter is the one the cursor was made for. Pure; thread-safe. */
#ifndef PAYFLOW_CORE_CURSOR_H
#define PAYFLOW_CORE_CURSOR_H

#include "core/base.h"
#include "core/id.h"

#define CURSOR_TEXT_MAX 96 /* bytes of a cursor's text, with the NUL */

/* Writes the cursor that continues after `id` in a list filtered by something whose hash is `filter_hash`. */
void cursor_format(const char *id, uint32_t filter_hash, char out[CURSOR_TEXT_MAX]);

/* Reads a cursor. False if it is malformed, of another filter, or its id is not of this prefix. */
MUST_CHECK bool cursor_parse(struct slice text, const char *prefix, uint32_t filter_hash, char id[ID_SIZE]);

/* A place in the events feed (decision 12): after every event of a smaller (epoch, xid, seq). */
struct feed_place {
    int32_t epoch;
    uint64_t xid;
    int64_t seq;
};

/* The same for the feed's cursor. */
void feed_cursor_format(struct feed_place place, char out[CURSOR_TEXT_MAX]);
MUST_CHECK bool feed_cursor_parse(struct slice text, struct feed_place *place);

/* FNV-1a over bytes, to be chained from CURSOR_HASH_SEED: what filter_hash is made of. */
#define CURSOR_HASH_SEED UINT32_C(2166136261)
uint32_t cursor_hash(uint32_t hash, struct slice bytes);

#endif
