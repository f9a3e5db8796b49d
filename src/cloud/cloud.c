#include "cloud/cloud.h"

#include <pthread.h>
#include <time.h>

#include "obs/log.h"
#include "obs/metrics.h"
#include "sys/clock.h"

#define FETCH_LIMIT_US 2000000
/* The metadata server hands out the same token until five minutes before its end, so asking earlier gains
 * nothing. */
#define RENEW_BEFORE_US 240000000
#define MARGIN_US 2000000 /* a token that ends sooner might not live until the server looks at it */
#define BACKOFF_FIRST_US 200000
#define BACKOFF_MAX_US 5000000
#define STOP_LIMIT_S 3

static const char *const scopes[CLOUD_PURPOSES] = {
    [CLOUD_DATABASE] = "https://www.googleapis.com/auth/sqlservice.login",
    [CLOUD_REDIS] = "https://www.googleapis.com/auth/cloud-platform",
};
static const char *const names[CLOUD_PURPOSES] = {[CLOUD_DATABASE] = "PostgreSQL", [CLOUD_REDIS] = "Redis"};

struct kept {
    bool needed;
    struct token token;
    int64_t ends_us;  /* 0: there is none */
    int64_t renew_us; /* when the next one is fetched */
    int64_t backoff_us;
    bool failing; /* so that only a change is logged */
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a token has come, or it is time to stop */
    bool running;
    bool stopping;
    pthread_t thread;
    const struct settings *settings;
    struct kept kept[CLOUD_PURPOSES];
} cloud = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* Waits for a change until until_us. Called with the lock held. */
static void wait_change(int64_t until_us) {
    const struct timespec until = {.tv_sec = until_us / 1000000, .tv_nsec = until_us % 1000000 * 1000};
    pthread_cond_clockwait(&cloud.changed, &cloud.lock, CLOCK_MONOTONIC, &until);
}

static void keep(struct kept *kept, struct token *token, const char *name) {
    int64_t life_us = token->lifetime_s * 1000000;
    int64_t now_us = clock_monotonic_us();
    kept->token = *token;
    kept->ends_us = now_us + life_us;
    kept->renew_us = kept->ends_us - (RENEW_BEFORE_US < life_us / 2 ? RENEW_BEFORE_US : life_us / 2);
    kept->backoff_us = 0;
    if (kept->failing) {
        log_event(LOG_INFO, "token_fetched", "the metadata server gives tokens for %s again", name);
        kept->failing = false;
    }
}

static void fail(struct kept *kept, const char *wrong, const char *name) {
    uint8_t jitter = 0;
    random_bytes(&jitter, 1);
    kept->backoff_us = kept->backoff_us == 0 ? BACKOFF_FIRST_US : kept->backoff_us * 2;
    kept->backoff_us = kept->backoff_us > BACKOFF_MAX_US ? BACKOFF_MAX_US : kept->backoff_us;
    kept->renew_us = clock_monotonic_us() + kept->backoff_us * (192 + jitter / 2) / 256; /* 75 to 125 % */
    metric_add(METRIC_TOKEN_ERRORS, 1);
    if (!kept->failing) {
        log_event(LOG_WARNING, "token_unavailable", "no new token for %s from the metadata server: %s", name,
                  wrong);
        kept->failing = true;
    }
}

/* Fetches one token; called with the lock held, which is open meanwhile. */
static void fetch(enum cloud_purpose purpose) {
    struct token token;
    pthread_mutex_unlock(&cloud.lock);
    const char *wrong = metadata_token(cloud.settings->metadata_host, scopes[purpose],
                                       clock_monotonic_us() + FETCH_LIMIT_US, &token);
    pthread_mutex_lock(&cloud.lock);
    if (wrong == NULL) {
        keep(&cloud.kept[purpose], &token, names[purpose]);
        explicit_bzero(&token, sizeof token);
        pthread_cond_broadcast(&cloud.changed);
    } else {
        fail(&cloud.kept[purpose], wrong, names[purpose]);
    }
}

static void *run(void *unused) {
    (void)unused;
    pthread_mutex_lock(&cloud.lock);
    while (!cloud.stopping) {
        int64_t next_us = INT64_MAX;
        for (int i = 0; i < CLOUD_PURPOSES && !cloud.stopping; i++) {
            if (cloud.kept[i].needed && clock_monotonic_us() >= cloud.kept[i].renew_us) {
                fetch((enum cloud_purpose)i);
            }
            if (cloud.kept[i].needed && cloud.kept[i].renew_us < next_us) {
                next_us = cloud.kept[i].renew_us;
            }
        }
        if (!cloud.stopping && clock_monotonic_us() < next_us) {
            wait_change(next_us);
        }
    }
    pthread_mutex_unlock(&cloud.lock);
    return NULL;
}

bool cloud_start(const struct settings *settings) {
    cloud.settings = settings;
    cloud.kept[CLOUD_DATABASE].needed = settings->db_iam;
    cloud.kept[CLOUD_REDIS].needed = settings->redis_iam;
    cloud.stopping = false;
    if (settings->db_iam || settings->redis_iam) {
        cloud.running = pthread_create(&cloud.thread, NULL, run, NULL) == 0;
        return cloud.running;
    }
    return true;
}

void cloud_stop(void) {
    struct timespec until;
    if (!cloud.running) {
        return;
    }
    pthread_mutex_lock(&cloud.lock);
    cloud.stopping = true;
    pthread_cond_broadcast(&cloud.changed);
    pthread_mutex_unlock(&cloud.lock);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += STOP_LIMIT_S;
    if (pthread_timedjoin_np(cloud.thread, NULL, &until) == 0) { /* else it is looking up a name */
        cloud.running = false;
        explicit_bzero(cloud.kept, sizeof cloud.kept);
    }
}

bool cloud_token(enum cloud_purpose purpose, int64_t deadline_us, char out[TOKEN_MAX + 1]) {
    struct kept *kept = &cloud.kept[purpose];
    pthread_mutex_lock(&cloud.lock);
    for (;;) {
        int64_t now_us = clock_monotonic_us();
        if (kept->ends_us - MARGIN_US > now_us) {
            memcpy(out, kept->token.text, sizeof kept->token.text);
            break;
        }
        if (now_us >= deadline_us || !cloud.running || cloud.stopping) {
            out[0] = '\0';
            break;
        }
        wait_change(deadline_us);
    }
    pthread_mutex_unlock(&cloud.lock);
    return out[0] != '\0';
}
