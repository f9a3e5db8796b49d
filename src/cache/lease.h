/* Requests that were taken ahead from a busy subject's limit in Redis, so that most of its requests are
 * answered here, under a short lock, without a round trip.
 *
 * A subject's pace is what it asked of this process in the last whole window of 25 ms. When a round trip is
 * due anyway, as many more are ordered as the pace says; Redis gives them only where they are a small part of
 * what the limit has left (script.c), so a subject near its limit, or with a small one, has no lease and is
 * counted one by one. What was not used after 50 ms is void, and goes back with the next round trip. All of
 * it was paid for in Redis before it is used: servers together never grant more than the limit. */
#ifndef PAYFLOW_CACHE_LEASE_H
#define PAYFLOW_CACHE_LEASE_H

#include "cache/script.h"

struct leases;

/* A table of fixed size, empty; clock_us is clock_monotonic_us but in tests. NULL without memory. */
struct leases *leases_new(int64_t (*clock_us)(void));
void leases_free(struct leases *leases);

/* Counts a request of the subject, and takes it from the lease. False if there is none: it must ask Redis.
 * Thread-safe. */
MUST_CHECK bool leases_take(struct leases *leases, const char *subject, const struct gcra *gcra,
                            struct rate_answer *answer);

/* Sets what a command for the subject, which is about to be sent, should take ahead and give back.
 * Thread-safe.
 */
void leases_order(struct leases *leases, const char *subject, const struct gcra *gcra,
                  struct script_take *take);

/* What was taken ahead may be used from now on; only for a command that was to. Thread-safe. */
void leases_fill(struct leases *leases, const char *subject, const struct script_grant *grant);

#endif
