#include "cache/gcra.h"

#define TICKS_PER_MS (1000 * TICKS_PER_US)

static int64_t ms_rounded_up(int64_t ticks) {
    return (ticks + TICKS_PER_MS - 1) / TICKS_PER_MS;
}

struct gcra gcra_of(const struct rate_limit *limit, int64_t shares) {
    int64_t interval = (limit->window_ms * TICKS_PER_MS * shares + limit->limit / 2) / limit->limit;
    int64_t burst = (limit->burst < limit->limit ? limit->burst : limit->limit) / shares;
    struct gcra gcra = {.interval = interval < 1 ? 1 : interval};
    gcra.tolerance = gcra.interval * (burst < 1 ? 1 : burst);
    return gcra;
}

struct rate_answer gcra_answer(const struct gcra *gcra, bool allowed, int64_t debt) {
    struct rate_answer answer = {
        .allowed = allowed,
        .remaining = debt < gcra->tolerance ? (gcra->tolerance - debt) / gcra->interval : 0,
        .reset_ms = ms_rounded_up(debt),
    };
    if (!allowed) {
        int64_t wait_ms = ms_rounded_up(debt + gcra->interval - gcra->tolerance);
        answer.retry_after_ms = wait_ms < 1 ? 1 : wait_ms;
    }
    return answer;
}

struct rate_answer gcra_take(const struct gcra *gcra, int64_t *whole_at, int64_t now) {
    if (*whole_at > now + gcra->tolerance) { /* the limit was lowered, or a clock went back */
        *whole_at = now + gcra->tolerance;
    }
    int64_t debt = *whole_at > now ? *whole_at - now : 0;
    bool allowed = debt + gcra->interval <= gcra->tolerance;
    if (allowed) {
        debt += gcra->interval;
        *whole_at = now + debt;
    }
    return gcra_answer(gcra, allowed, debt);
}
