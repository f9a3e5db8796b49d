/* The limits that all instances share in Redis: one thread, one connection, everything that waits in one
 * write. */
#ifndef PAYFLOW_CACHE_SHARED_H
#define PAYFLOW_CACHE_SHARED_H

#include "cache/gcra.h"
#include "core/redis_url.h"
#include "settings.h"

struct shared;

/* Starts the thread, which connects behind. NULL without memory or threads. settings must outlive it. */
struct shared *shared_start(const struct settings *settings, const struct redis_url *url);

/* Ends the thread and frees all. Nobody may be in shared_take any more, nor come. */
void shared_stop(struct shared *shared);

/* True while Redis answers in time. Thread-safe, never blocks. */
bool shared_is_up(const struct shared *shared);

/* Takes one request from the subject's limit. False if Redis did not answer within
 * settings->redis_timeout_ms, at once while it is known to be away or too much waits already: nothing is
 * known then. Thread-safe. */
MUST_CHECK bool shared_take(struct shared *shared, const char *subject, const struct gcra *gcra,
                            struct rate_answer *answer);

#endif
