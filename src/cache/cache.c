#include "cache/cache.h"

#include <stdlib.h>

#include "cache/local.h"
#include "sys/clock.h"

struct cache {
    const struct settings *settings;
    struct local *local;
};

struct cache *cache_start(const struct settings *settings, char *error, size_t error_size) {
    struct cache *cache = calloc(1, sizeof *cache);
    struct local *local = local_new();
    (void)error;
    (void)error_size;
    if (cache == NULL || local == NULL) {
        local_free(local);
        free(cache);
        return NULL;
    }
    *cache = (struct cache){.settings = settings, .local = local};
    return cache;
}

void cache_stop(struct cache *cache) {
    local_free(cache->local);
    free(cache);
}

enum cache_state cache_state(const struct cache *cache) {
    return cache->settings->redis_url[0] == '\0' ? CACHE_NOT_CONFIGURED : CACHE_DEGRADED;
}

struct rate_answer cache_rate_check(struct cache *cache, const char *subject,
                                    const struct rate_limit *limit) {
    bool shared = cache->settings->redis_url[0] != '\0';
    struct gcra gcra = gcra_of(limit, shared ? cache->settings->max_instances : 1);
    return local_take(cache->local, subject, &gcra, clock_monotonic_us() * TICKS_PER_US);
}
