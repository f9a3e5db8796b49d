/* The limiter inside the process: a table of fixed size. */
#ifndef PAYFLOW_CACHE_LOCAL_H
#define PAYFLOW_CACHE_LOCAL_H

#include "cache/gcra.h"

struct local;

/* An empty table; clock_us is clock_monotonic_us but in tests. NULL without memory. */
struct local *local_new(int64_t (*clock_us)(void));
void local_free(struct local *local);

/* Takes one request from the subject's share of the limit. Where the table is full, the subject with the
 * least debt is forgotten. Thread-safe. */
struct rate_answer local_take(struct local *local, const char *subject, const struct gcra *gcra);

#endif
