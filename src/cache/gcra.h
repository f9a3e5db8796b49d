/* The arithmetic of a rate limit (GCRA, the generic cell rate algorithm). Pure.
 *
 * A subject's whole state is the time when its burst will be whole again; the debt is how far off that is.
 * Each request adds one interval to the debt, time takes it away, and what would lift it over the tolerance
 * is refused. Times are ticks of 1/16 microsecond: fine enough for any useful limit (within 2 % up to 40
 * million a minute), and so coarse that Lua's doubles in Redis count the ticks since 2025 exactly until 2042.
 */
#ifndef PAYFLOW_CACHE_GCRA_H
#define PAYFLOW_CACHE_GCRA_H

#include "cache/cache.h"

#define TICKS_PER_US 16

struct gcra {
    int64_t interval;  /* ticks that one request costs, at least 1 */
    int64_t tolerance; /* the highest debt: a whole burst's */
};

/* The limit's figures; `shares` > 1 gives one of so many equal shares of it, but never less than a burst
 * of 1. A burst above the limit counts as the limit. */
struct gcra gcra_of(const struct rate_limit *limit, int64_t shares);

/* Takes one request from the subject whose burst is whole at *whole_at (0: it is), and moves that if it is
 * allowed. */
struct rate_answer gcra_take(const struct gcra *gcra, int64_t *whole_at, int64_t now);

/* What to tell a caller who was allowed, or not, with this debt afterwards. */
struct rate_answer gcra_answer(const struct gcra *gcra, bool allowed, int64_t debt);

#endif
