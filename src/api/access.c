#include "api/access.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "sys/clock.h"

#define CACHE_SETS 256
#define CACHE_WAYS 4
#define KEY_DIGITS 64 /* 256 random bits in hex */
#define ADDRESS_SIZE 64
#define MINUTE_MS 60000

/* A key that was found in the database a moment ago. Unknown keys are not remembered: guesses must not push
 * out real ones. */
struct cached_key {
    uint8_t hash[FINGERPRINT_BYTES];
    struct api_key key;
    int64_t checked_us; /* 0: empty */
};

struct key_cache {
    int64_t trust_us; /* a revocation is felt everywhere within this */
    struct {
        pthread_mutex_t lock;
        struct cached_key ways[CACHE_WAYS];
    } sets[CACHE_SETS];
};

struct key_cache *key_cache_new(int64_t trust_ms) {
    struct key_cache *cache = calloc(1, sizeof *cache);
    if (cache == NULL) {
        return NULL;
    }
    cache->trust_us = trust_ms * 1000;
    for (size_t i = 0; i < CACHE_SETS; i++) {
        pthread_mutex_init(&cache->sets[i].lock, NULL);
    }
    return cache;
}

void key_cache_free(struct key_cache *cache) {
    for (size_t i = 0; cache != NULL && i < CACHE_SETS; i++) {
        pthread_mutex_destroy(&cache->sets[i].lock);
    }
    free(cache);
}

static bool cache_find(struct key_cache *cache, const uint8_t *hash, struct api_key *key) {
    int64_t now_us = clock_monotonic_us();
    bool found = false;
    size_t set = hash[0];
    pthread_mutex_lock(&cache->sets[set].lock);
    for (size_t i = 0; i < CACHE_WAYS && !found; i++) {
        const struct cached_key *way = &cache->sets[set].ways[i];
        found = way->checked_us != 0 && now_us - way->checked_us < cache->trust_us &&
                memcmp(way->hash, hash, FINGERPRINT_BYTES) == 0;
        if (found) {
            *key = way->key;
        }
    }
    pthread_mutex_unlock(&cache->sets[set].lock);
    return found && (key->expires_at_ms == 0 || key->expires_at_ms > clock_wall_ms());
}

static void cache_keep(struct key_cache *cache, const uint8_t *hash, const struct api_key *key,
                       int64_t checked_us) {
    size_t set = hash[0];
    pthread_mutex_lock(&cache->sets[set].lock);
    struct cached_key *oldest = &cache->sets[set].ways[0];
    for (size_t i = 0; i < CACHE_WAYS; i++) {
        struct cached_key *way = &cache->sets[set].ways[i];
        if (memcmp(way->hash, hash, FINGERPRINT_BYTES) == 0) {
            oldest = way;
            break;
        }
        if (way->checked_us < oldest->checked_us) {
            oldest = way;
        }
    }
    memcpy(oldest->hash, hash, FINGERPRINT_BYTES);
    oldest->key = *key;
    oldest->checked_us = checked_us;
    pthread_mutex_unlock(&cache->sets[set].lock);
}

void client_address(struct slice forwarded_for, const char *peer, int64_t trusted_hops, char *out,
                    size_t size) {
    if (trusted_hops == 0) {
        snprintf(out, size, "%s", peer);
        return;
    }
    struct slice rest = forwarded_for;
    struct slice entry = {NULL, 0};
    for (int64_t hop = 0; hop < trusted_hops; hop++) {
        if (rest.data == NULL) {
            entry.len = 0;
            break;
        }
        size_t start = rest.len;
        while (start > 0 && rest.data[start - 1] != ',') {
            start--;
        }
        entry = (struct slice){rest.data + start, rest.len - start};
        rest = start == 0 ? (struct slice){NULL, 0} : (struct slice){rest.data, start - 1};
    }
    while (entry.len > 0 && (entry.data[0] == ' ' || entry.data[0] == '\t')) {
        entry.data++;
        entry.len--;
    }
    while (entry.len > 0 && (entry.data[entry.len - 1] == ' ' || entry.data[entry.len - 1] == '\t')) {
        entry.len--;
    }
    bool plain = entry.len > 0 && entry.len < size;
    for (size_t i = 0; i < entry.len && plain; i++) {
        plain = strchr("0123456789abcdefABCDEF.:", entry.data[i]) != NULL && entry.data[i] != '\0';
    }
    snprintf(out, size, "%.*s", plain ? (int)entry.len : 7, plain ? entry.data : "unknown");
}

static bool refuse(const struct http_request *request, struct http_response *response, enum problem_kind kind,
                   const char *challenge, const char *detail) {
    struct problem problem;
    problem_set(&problem, kind, NULL, NULL, "%s", detail);
    http_header(response, "WWW-Authenticate", challenge);
    http_problem(request, response, &problem);
    return false;
}

/* Counts the request against one limit. False after answering 429. */
static bool within_limit(struct api *api, const struct http_request *request, struct http_response *response,
                         const char *subject, int64_t a_minute) {
    char value[80];
    if (a_minute == 0) {
        return true;
    }
    const struct rate_limit limit = {
        .limit = a_minute, .window_ms = MINUTE_MS, .burst = api->settings->rate_burst};
    struct rate_answer answer = cache_rate_check(api->cache, subject, &limit);
    snprintf(value, sizeof value, "\"default\";q=%lld;w=60", (long long)a_minute);
    http_header(response, "RateLimit-Policy", value);
    snprintf(value, sizeof value, "\"default\";r=%lld;t=%lld", (long long)answer.remaining,
             (long long)((answer.reset_ms + 999) / 1000));
    http_header(response, "RateLimit", value);
    if (answer.allowed) {
        return true;
    }
    struct problem problem;
    int64_t wait_s = (answer.retry_after_ms + 999) / 1000;
    problem_set(&problem, PROBLEM_RATE_LIMITED, NULL, "rate_limited",
                "Too many requests; send it again after Retry-After seconds.");
    snprintf(value, sizeof value, "%lld", (long long)(wait_s < 1 ? 1 : wait_s));
    http_header(response, "Retry-After", value);
    http_problem(request, response, &problem);
    return false;
}

/* Takes the key out of "Bearer pfk_live_…"; an absent slice if it has not the form of one. */
static struct slice bearer_key(struct slice authorization) {
    static const char *const prefixes[] = {"pfk_live_", "pfk_test_"};
    struct slice none = {NULL, 0};
    if (authorization.len < 7 || strncasecmp(authorization.data, "Bearer ", 7) != 0) {
        return none;
    }
    struct slice key = {authorization.data + 7, authorization.len - 7};
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        size_t prefix_len = strlen(prefixes[i]);
        if (key.len == prefix_len + KEY_DIGITS && memcmp(key.data, prefixes[i], prefix_len) == 0) {
            return key;
        }
    }
    return none;
}

/* Finds the key; false after answering 401, 429 or 503. */
static bool authenticate(struct api *api, const struct http_request *request, struct http_response *response,
                         struct api_key *key) {
    char subject[ADDRESS_SIZE + 16] = "address:";
    uint8_t hash[FINGERPRINT_BYTES];
    struct slice text = bearer_key(request->authorization);
    if (text.data != NULL) {
        fingerprint_sha256(text, hash);
        if (cache_find(api->keys, hash, key)) {
            return true;
        }
    }
    /* From here on it costs a look-up or is a guess: limited by address. */
    client_address(request->forwarded_for, request->remote_address, api->settings->trusted_hops, subject + 8,
                   ADDRESS_SIZE);
    if (!within_limit(api, request, response, subject, api->settings->rate_limit_address)) {
        return false;
    }
    if (request->authorization.data == NULL) {
        return refuse(request, response, PROBLEM_UNAUTHENTICATED, "Bearer realm=\"payflow\"",
                      "Send an API key: Authorization: Bearer pfk_…");
    }
    int64_t asked_us = clock_monotonic_us();
    enum store_result result =
        text.data == NULL ? STORE_NOT_FOUND : store_key(api->store, hash, request->deadline_us, key);
    if (result == STORE_NOT_FOUND) {
        return refuse(request, response, PROBLEM_UNAUTHENTICATED,
                      "Bearer realm=\"payflow\", error=\"invalid_token\"",
                      "The API key is unknown, expired or revoked.");
    }
    if (result != STORE_OK) {
        bool told = result == STORE_BUSY || result == STORE_REJECTED;
        api_store_problem(request, response, told ? result : STORE_UNAVAILABLE, NULL, NULL);
        return false;
    }
    cache_keep(api->keys, hash, key, asked_us);
    return true;
}

bool access_check(struct api *api, const struct http_request *request, struct http_response *response,
                  enum key_scope scope, struct caller *caller, struct api_key *key) {
    char subject[32];
    if (!api->settings->auth) {
        *key = (struct api_key){.id = "none",
                                .account_id = 1,
                                .livemode = false,
                                .scopes = SCOPE_PAYMENTS_READ | SCOPE_PAYMENTS_WRITE};
    } else if (!authenticate(api, request, response, key)) {
        return false;
    }
    *caller = (struct caller){.account_id = key->account_id,
                              .livemode = key->livemode,
                              .actor = key->id,
                              .request_id = request->trace.request_id};
    snprintf(subject, sizeof subject, "account:%d:%s", (int)key->account_id, key->livemode ? "live" : "test");
    if (!within_limit(api, request, response, subject, api->settings->rate_limit)) {
        return false;
    }
    if ((key->scopes & (unsigned)scope) == 0) {
        return refuse(request, response, PROBLEM_FORBIDDEN,
                      "Bearer realm=\"payflow\", error=\"insufficient_scope\"",
                      "The API key's scopes do not allow this.");
    }
    return true;
}
