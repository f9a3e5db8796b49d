/* One request to the metadata server, in a tiny, bounded HTTP/1.1. Not for anything else. */
#ifndef PAYFLOW_CLOUD_METADATA_H
#define PAYFLOW_CLOUD_METADATA_H

#include "core/base.h"

#define TOKEN_MAX 4096 /* characters, more than Google's ever had */

struct token {
    char text[TOKEN_MAX + 1];
    int64_t lifetime_s; /* from when it was received */
};

/* Asks `server` (name or address, or name:port) for a token of the instance's service account with this OAuth
 * scope. NULL and *token filled, or why not (a constant, never a part of the answer). Blocks until
 * deadline_us at most, but for looking up the name. Thread-safe. */
MUST_CHECK const char *metadata_token(const char *server, const char *scope, int64_t deadline_us,
                                      struct token *token);

/* Reads an answer, as it came until the server closed. Pure; for the above and its tests. */
MUST_CHECK const char *metadata_read(struct slice answer, struct token *token);

#endif
