/* The shared limit's arithmetic as Redis runs it, and its commands. Pure. */
#ifndef PAYFLOW_CACHE_SCRIPT_H
#define PAYFLOW_CACHE_SCRIPT_H

#include <hiredis/hiredis.h>

#include "cache/gcra.h"

#define SCRIPT_NAME_SIZE 41 /* a SHA-1 in hex */

/* The name by which Redis knows the script, once it has seen it. */
void script_name(char name[SCRIPT_NAME_SIZE]);

/* Puts the command that takes `wanted` requests from the subject on the connection's buffer; whole: with the
 * script itself, for a Redis that does not know it. False without memory. */
MUST_CHECK bool script_append(redisContext *redis, const char *name, bool whole, const char *subject,
                              const struct gcra *gcra, int wanted);

/* Reads the reply: how many of those wanted were granted, and the debt afterwards. False if it is no such
 * reply. */
MUST_CHECK bool script_read(const redisReply *reply, int64_t *granted, int64_t *debt);

#endif
