/* Redis: one multiplexed connection for rate limits; everything degrades when it is gone.
 *
 * One thread owns the connection; callers hand it their checks, it pipelines all that wait in one write, and
 * matches the replies. A caller waits at most the time-out (20 ms by default); a reply that comes later is
 * matched and dropped. After a failure a limiter inside the process answers until Redis is back, and a log
 * line and metrics say so. */
#ifndef PAYFLOW_CACHE_CACHE_H
#define PAYFLOW_CACHE_CACHE_H

#include "core/base.h"
#include "settings.h"

struct cache;

/* Starts the thread, which connects behind. Never fails for an unreachable Redis; returns NULL only without
 * memory or threads, or if settings->redis_url is malformed (written to error). With no URL the cache is
 * always "not configured". */
struct cache *cache_start(const struct settings *settings, char *error, size_t error_size);

/* Ends the thread and frees the cache. Waiting callers are answered by the limiter inside the process. */
void cache_stop(struct cache *cache);

enum cache_state { CACHE_NOT_CONFIGURED, CACHE_UP, CACHE_DEGRADED };

/* The connection's state, no older than a second. Thread-safe, never blocks. */
enum cache_state cache_state(const struct cache *cache);

/* One limit: `limit` requests a `window_ms`, with bursts of up to `burst` (GCRA). */
struct rate_limit {
    int64_t limit;
    int64_t window_ms;
    int64_t burst;
};

struct rate_answer {
    bool allowed;
    int64_t remaining;      /* requests left at once */
    int64_t reset_ms;       /* until the burst is whole again */
    int64_t retry_after_ms; /* 0 if allowed */
    bool local;             /* answered inside the process */
};

/* Takes one request from the limit of `subject` ("account:7", "address:203.0.113.9"; at most 100 bytes).
 * Thread-safe; returns within the time-out whatever Redis does, and within 50 ms in all. */
struct rate_answer cache_rate_check(struct cache *cache, const char *subject, const struct rate_limit *limit);

#endif
