/* The shared limit's arithmetic as Redis runs it, and its commands. Pure. */
#ifndef PAYFLOW_CACHE_SCRIPT_H
#define PAYFLOW_CACHE_SCRIPT_H

#include <hiredis/hiredis.h>

#include "cache/gcra.h"

#define SCRIPT_NAME_SIZE 41 /* a SHA-1 in hex */

/* The name by which Redis knows the script, once it has seen it. */
void script_name(char name[SCRIPT_NAME_SIZE]);

/* What is asked of a subject's limit at once, and what is got. */
struct script_take {
    int64_t wanted; /* requests that are here: as many as the limit has left are granted */
    int64_t ahead;  /* more of them, to be used later: at most 1/64 of what is left then */
    int64_t back;   /* of those taken ahead once, that were never used: given back first */
};

struct script_grant {
    int64_t granted; /* of those wanted */
    int64_t ahead;
    int64_t debt; /* afterwards, all of them in it */
};

/* Puts the command on the connection's buffer; whole: with the script itself, for a Redis that does not know
 * it. False without memory. */
MUST_CHECK bool script_append(redisContext *redis, const char *name, bool whole, const char *subject,
                              const struct gcra *gcra, const struct script_take *take);

/* Reads the reply; false if it is no such reply. */
MUST_CHECK bool script_read(const redisReply *reply, struct script_grant *grant);

#endif
