#include "cache/cache.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/crypto.h>

#include "cache/local.h"
#include "cache/shared.h"
#include "sys/clock.h"

struct cache {
    const struct settings *settings;
    struct local *local;
    struct shared *shared; /* NULL: no Redis is configured */
};

struct cache *cache_start(const struct settings *settings, char *error, size_t error_size) {
    struct redis_url url;
    bool configured = settings->redis_url[0] != '\0';
    const char *wrong = configured ? redis_url_parse(settings->redis_url, &url) : NULL;
    if (wrong != NULL) {
        snprintf(error, error_size, "REDIS_URL: %s", wrong);
        return NULL;
    }
    snprintf(error, error_size, "out of memory or threads");
    struct cache *cache = calloc(1, sizeof *cache);
    struct local *local = local_new(clock_monotonic_us);
    struct shared *shared =
        cache != NULL && local != NULL && configured ? shared_start(settings, &url) : NULL;
    OPENSSL_cleanse(&url, sizeof url);
    if (cache == NULL || local == NULL || (configured && shared == NULL)) {
        local_free(local);
        free(cache);
        return NULL;
    }
    *cache = (struct cache){.settings = settings, .local = local, .shared = shared};
    return cache;
}

void cache_stop(struct cache *cache) {
    if (cache->shared != NULL) {
        shared_stop(cache->shared);
    }
    local_free(cache->local);
    free(cache);
}

enum cache_state cache_state(const struct cache *cache) {
    if (cache->shared == NULL) {
        return CACHE_NOT_CONFIGURED;
    }
    return shared_is_up(cache->shared) ? CACHE_UP : CACHE_DEGRADED;
}

struct rate_answer cache_rate_check(struct cache *cache, const char *subject,
                                    const struct rate_limit *limit) {
    struct rate_answer answer;
    struct gcra gcra = gcra_of(limit, 1);
    if (cache->shared != NULL && shared_take(cache->shared, subject, &gcra, &answer)) {
        return answer;
    }
    if (cache->shared != NULL) {
        gcra = gcra_of(limit, cache->settings->max_instances);
    }
    return local_take(cache->local, subject, &gcra);
}
