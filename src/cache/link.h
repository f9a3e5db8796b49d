/* A connection to Redis, opened with deadlines: TCP, TLS with the server's name or address verified, log-in.
 */
#ifndef PAYFLOW_CACHE_LINK_H
#define PAYFLOW_CACHE_LINK_H

#include <hiredis/hiredis.h>

#include "core/redis_url.h"
#include "settings.h"

/* Connects, blocking for at most a second a step, and logs in. NULL on failure, with the reason in `why` (no
 * secret in it). The connection still blocks; link_unblock ends that. */
MUST_CHECK redisContext *link_open(const struct redis_url *url, const struct settings *settings, char *why,
                                   size_t why_size);

/* Puts another log-in on the connection's buffer, whose reply is "OK"; with a token, a new one. False without
 * one. */
MUST_CHECK bool link_append_login(redisContext *redis, const struct redis_url *url,
                                  const struct settings *settings);

/* From here on redisBufferRead and redisBufferWrite return at once. */
MUST_CHECK bool link_unblock(redisContext *redis);

#endif
