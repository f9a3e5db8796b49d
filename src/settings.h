/* Settings: environment variables, one table (settings.c: name, type, default, limits, help) that reads,
 * checks, documents and prints them. */
#ifndef PAYFLOW_SETTINGS_H
#define PAYFLOW_SETTINGS_H

#include "core/base.h"
#include "core/text.h"
#include "obs/log.h"

enum environment { ENV_DEVELOPMENT, ENV_STAGING, ENV_PRODUCTION };

struct settings {
    /* serving */
    int64_t port;                 /* PORT, 1..65535, 3000 */
    const char *app_version;      /* APP_VERSION, the build's version */
    enum environment environment; /* PAYFLOW_ENV: development (default), staging, production */
    bool auth; /* PAYFLOW_AUTH: on, off; default off in development, on elsewhere; production refuses off */
    int64_t
        max_concurrency; /* MAX_CONCURRENCY, 1..1000, 128: requests handled at once; threads = this + 32 */
    int64_t max_connections; /* MAX_CONNECTIONS, 10..100000, 4096: open client connections in all */
    int64_t max_connections_per_address; /* MAX_CONNECTIONS_PER_ADDRESS, 0 = no cap (default: behind a proxy
                                            all have its address) */
    int64_t request_timeout_ms; /* REQUEST_TIMEOUT_MS, 100..60000, 5000: until a request must be answered */
    int64_t head_timeout_ms;    /* HEAD_TIMEOUT_MS, 10000: until a request's head is complete */
    int64_t body_timeout_ms;    /* BODY_TIMEOUT_MS, 5000: until a request's body is complete */
    int64_t
        keep_alive_ms; /* KEEP_ALIVE_MS, 620000: an idle connection; longer than Google's front end's 600 s */
    int64_t drain_ms;  /* DRAIN_MS, 1000: intake goes on after SIGTERM */
    int64_t trusted_hops; /* TRUSTED_HOPS, 0..10, 0: how many X-Forwarded-For entries from the right our own
                             proxies wrote */
    /* the database */
    const char *database_url; /* DATABASE_URL (secret), overrides the DB_* ones */
    const char *db_host, *db_name, *db_user, *db_password, *db_sslmode, *db_sslrootcert; /* DB_HOST ... */
    bool db_iam;               /* DB_IAM: off; on: a token of the metadata server is the password */
    int64_t db_port;           /* DB_PORT, 5432 */
    int64_t db_writers;        /* DB_WRITERS, 1..16, 2: connections that commit batches */
    int64_t db_readers;        /* DB_READERS, 1..64, 4 */
    int64_t batch_rows_max;    /* BATCH_ROWS_MAX, 1..1024, 128 */
    int64_t queue_max;         /* QUEUE_MAX, 1..100000, 4096: operations waiting for a connection */
    int64_t idempotency_hours; /* IDEMPOTENCY_HOURS, 24..8760, 24: what prune keeps at least */
    /* Redis */
    const char *redis_url;    /* REDIS_URL (secret): redis:// or rediss://, "" = no Redis */
    const char *redis_ca;     /* REDIS_CA: a file of PEM certificates */
    int64_t redis_timeout_ms; /* REDIS_TIMEOUT_MS, 20 */
    bool redis_iam;           /* REDIS_IAM: off; on: as DB_IAM, for Redis */
    /* the cloud */
    const char *metadata_host; /* METADATA_HOST: name or address, or with :port */
    int64_t
        connection_lifetime_s; /* CONNECTION_LIFETIME_S, 1..86400, 1800: with tokens, a log-in is renewed */
    /* limits */
    int64_t key_cache_ms;       /* KEY_CACHE_MS, 0..30000, 30000: a checked API key is trusted this long */
    int64_t rate_limit;         /* RATE_LIMIT, requests a minute an account, 0 = none */
    int64_t rate_limit_address; /* RATE_LIMIT_ADDRESS, requests a minute a client address without a key, 0 =
                                   none */
    int64_t rate_burst;         /* RATE_BURST */
    int64_t max_instances; /* MAX_INSTANCES, 1..1000, 1: the limiter inside the process takes limit / this */
    /* payflow smoke */
    const char *smoke_url; /* SMOKE_URL: http or https, the revision to ask */
    const char *smoke_key; /* SMOKE_KEY (secret): a test API key */
    int64_t smoke_rounds;  /* SMOKE_ROUNDS, 1..1000, 1 */
    int64_t smoke_limit_s; /* SMOKE_LIMIT_S, 1..600, 60 */
    /* logs */
    enum log_level log_level;   /* LOG_LEVEL: debug, info (default), warning, error */
    const char *log_format;     /* LOG_FORMAT: json, text, auto (default: text on a terminal) */
    const char *google_project; /* GOOGLE_CLOUD_PROJECT */
};

/* Reads the environment; a secret may also stand in a file that NAME_FILE names (DB_PASSWORD_FILE). All bad
 * values are reported at once, one line each naming the variable, what is wrong and what is allowed (never
 * the value of a secret) in `errors`; returns false if there was any. Strings point into the environment,
 * constants or memory that the next call overwrites, and live as long as the process. */
MUST_CHECK bool settings_read(struct settings *settings, struct text *errors);

/* Writes what is in force, one NAME=value a line, secrets as (set) or (not set): `payflow config`. */
void settings_write(const struct settings *settings, struct text *out);

/* Writes the table as Markdown, for docs/settings.md: `payflow config --markdown`. */
void settings_write_markdown(struct text *out);

/* True if a database is configured at all (/ready answers "database not configured" otherwise). */
bool settings_database_configured(const struct settings *settings);

#endif
