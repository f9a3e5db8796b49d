#include "settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include <libpq-fe.h>

#include "core/redis_url.h"
#include "version.h"

#define SECRET_MAX 4096 /* bytes of a secret in a file */

extern char **environ;

enum type { NUMBER, SWITCH, WORD, TEXT };

/* One setting. Numbers go to an int64_t, switches to a bool, words (one of `words`) to an enum or a text,
 * texts to a const char * at `offset`. */
struct setting {
    const char *name;
    enum type type;
    size_t offset;
    const char *fallback; /* default, as text */
    int64_t lowest, highest;
    const char *words; /* separated by spaces */
    bool secret;
    const char *help;
};

#define AT(field) offsetof(struct settings, field)

static const struct setting table[] = {
    {"PORT", NUMBER, AT(port), "3000", 1, 65535, NULL, false, "Port to serve on"},
    {"APP_VERSION", TEXT, AT(app_version), NULL, 0, 0, NULL, false,
     "Version that /health and metrics show; default: the build's"},
    {"PAYFLOW_ENV", WORD, AT(environment), "development", 0, 0, "development staging production", false,
     "Environment; production refuses what is unsafe"},
    {"PAYFLOW_AUTH", SWITCH, AT(auth), NULL, 0, 0, NULL, false,
     "API keys are needed; default: off in development, else on"},
    {"MAX_CONCURRENCY", NUMBER, AT(max_concurrency), "128", 1, 1000, NULL, false,
     "Requests handled at once; threads are this and 32"},
    {"MAX_CONNECTIONS", NUMBER, AT(max_connections), "4096", 10, 100000, NULL, false,
     "Open client connections in all"},
    {"MAX_CONNECTIONS_PER_ADDRESS", NUMBER, AT(max_connections_per_address), "0", 0, 100000, NULL, false,
     "Open connections of one client address; 0: no cap, because behind a proxy all have its address"},
    {"REQUEST_TIMEOUT_MS", NUMBER, AT(request_timeout_ms), "5000", 100, 60000, NULL, false,
     "Until a request must be answered"},
    {"HEAD_TIMEOUT_MS", NUMBER, AT(head_timeout_ms), "10000", 100, 600000, NULL, false,
     "Until a request's head is complete"},
    {"BODY_TIMEOUT_MS", NUMBER, AT(body_timeout_ms), "5000", 100, 60000, NULL, false,
     "Until a request's body is complete"},
    {"KEEP_ALIVE_MS", NUMBER, AT(keep_alive_ms), "620000", 100, 3600000, NULL, false,
     "An idle connection is kept; longer than the front end's 600 s"},
    {"DRAIN_MS", NUMBER, AT(drain_ms), "1000", 0, 5000, NULL, false,
     "Requests are still taken after SIGTERM"},
    {"TRUSTED_HOPS", NUMBER, AT(trusted_hops), "0", 0, 10, NULL, false,
     "X-Forwarded-For entries, from the right, that our own proxies wrote"},
    {"DATABASE_URL", TEXT, AT(database_url), "", 0, 0, NULL, true, "PostgreSQL as a URI; overrides DB_*"},
    {"DB_HOST", TEXT, AT(db_host), "", 0, 0, NULL, false,
     "PostgreSQL's host, or a folder for its Unix socket"},
    {"DB_PORT", NUMBER, AT(db_port), "5432", 1, 65535, NULL, false, "PostgreSQL's port"},
    {"DB_NAME", TEXT, AT(db_name), "payflow", 0, 0, NULL, false, "Database"},
    {"DB_USER", TEXT, AT(db_user), "payflow", 0, 0, NULL, false, "Database user"},
    {"DB_PASSWORD", TEXT, AT(db_password), "", 0, 0, NULL, true, "Its password"},
    {"DB_IAM", SWITCH, AT(db_iam), "off", 0, 0, NULL, false,
     "Log in to PostgreSQL with a token of the metadata server as the password"},
    {"DB_SSLMODE", TEXT, AT(db_sslmode), NULL, 0, 0, NULL, false,
     "libpq's sslmode; default: prefer in development, else verify-full"},
    {"DB_SSLROOTCERT", TEXT, AT(db_sslrootcert), "", 0, 0, NULL, false,
     "File of the authorities that may vouch for PostgreSQL"},
    {"DB_WRITERS", NUMBER, AT(db_writers), "2", 1, 16, NULL, false, "Connections that commit batches"},
    {"DB_READERS", NUMBER, AT(db_readers), "4", 1, 64, NULL, false, "Connections that read"},
    {"BATCH_ROWS_MAX", NUMBER, AT(batch_rows_max), "128", 1, 1024, NULL, false,
     "Writes committed together at most"},
    {"QUEUE_MAX", NUMBER, AT(queue_max), "4096", 1, 100000, NULL, false,
     "Operations waiting for a connection"},
    {"IDEMPOTENCY_HOURS", NUMBER, AT(idempotency_hours), "24", 24, 8760, NULL, false,
     "Idempotency keys are kept at least this long"},
    {"REDIS_URL", TEXT, AT(redis_url), "", 0, 0, NULL, true,
     "redis:// or rediss://; none: limits are counted in the process"},
    {"REDIS_CA", TEXT, AT(redis_ca), "", 0, 0, NULL, false,
     "File of the authorities that may vouch for Redis"},
    {"REDIS_IAM", SWITCH, AT(redis_iam), "off", 0, 0, NULL, false,
     "Log in to Redis with a token of the metadata server"},
    {"METADATA_HOST", TEXT, AT(metadata_host), "metadata.google.internal", 0, 0, NULL, false,
     "Metadata server that gives the tokens: a name or address, or with :port"},
    {"CONNECTION_LIFETIME_S", NUMBER, AT(connection_lifetime_s), "1800", 1, 86400, NULL, false,
     "With tokens: a log-in is renewed after about this long"},
    {"REDIS_TIMEOUT_MS", NUMBER, AT(redis_timeout_ms), "20", 1, 1000, NULL, false,
     "A check waits this long for Redis"},
    {"KEY_CACHE_MS", NUMBER, AT(key_cache_ms), "30000", 0, 30000, NULL, false,
     "A checked API key is trusted this long; a revocation is felt within it"},
    {"RATE_LIMIT", NUMBER, AT(rate_limit), "0", 0, 100000000, NULL, false,
     "Requests a minute of one account; 0: no limit"},
    {"RATE_LIMIT_ADDRESS", NUMBER, AT(rate_limit_address), "0", 0, 100000000, NULL, false,
     "Requests a minute of one client address without a known key; 0: no limit"},
    {"RATE_BURST", NUMBER, AT(rate_burst), "50", 1, 100000, NULL, false,
     "Requests that may come at once within a limit"},
    {"MAX_INSTANCES", NUMBER, AT(max_instances), "1", 1, 1000, NULL, false,
     "Instances that share a limit when Redis is away"},
    {"SMOKE_URL", TEXT, AT(smoke_url), "", 0, 0, NULL, false,
     "`payflow smoke`: where the revision answers, http or https"},
    {"SMOKE_KEY", TEXT, AT(smoke_key), "", 0, 0, NULL, true,
     "`payflow smoke`: a test API key that may read and write payments"},
    {"SMOKE_ROUNDS", NUMBER, AT(smoke_rounds), "1", 1, 1000, NULL, false,
     "`payflow smoke`: payments to make, three requests each"},
    {"SMOKE_LIMIT_S", NUMBER, AT(smoke_limit_s), "60", 1, 600, NULL, false,
     "`payflow smoke`: seconds until it must have passed, and one more a round"},
    {"LOG_LEVEL", WORD, AT(log_level), "info", 0, 0, "debug info warning error", false,
     "Lowest level that is logged"},
    {"LOG_FORMAT", TEXT, AT(log_format), "auto", 0, 0, "auto json text", false,
     "auto: text on a terminal, else json"},
    {"GOOGLE_CLOUD_PROJECT", TEXT, AT(google_project), "", 0, 0, NULL, false,
     "Names the traces in log lines"},
};

static void *field(const struct setting *setting, struct settings *settings) {
    return (char *)settings + setting->offset;
}

static void complain(struct text *errors, const struct setting *setting, const char *why) {
    text_printf(errors, "%s: %s\n", setting->name, why);
}

static void read_number(const struct setting *setting, const char *value, struct settings *settings,
                        struct text *errors) {
    char *end = NULL;
    bool digits = value[0] >= '0' && value[0] <= '9' && strlen(value) <= 12;
    long long number = digits ? strtoll(value, &end, 10) : -1;
    if (!digits || *end != '\0' || number < setting->lowest || number > setting->highest) {
        text_printf(errors, "%s: must be a whole number from %lld to %lld\n", setting->name,
                    (long long)setting->lowest, (long long)setting->highest);
        return;
    }
    *(int64_t *)field(setting, settings) = number;
}

static void read_switch(const struct setting *setting, const char *value, struct settings *settings,
                        struct text *errors) {
    static const char *const yes[] = {"on", "true", "1", "yes"};
    static const char *const no[] = {"off", "false", "0", "no"};
    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        if (strcasecmp(value, yes[i]) == 0 || strcasecmp(value, no[i]) == 0) {
            *(bool *)field(setting, settings) = strcasecmp(value, yes[i]) == 0;
            return;
        }
    }
    complain(errors, setting, "must be on or off");
}

/* The place of `value` among words separated by spaces, or -1. */
static int word_index(const char *words, const char *value) {
    int index = 0;
    size_t value_len = strlen(value);
    while (*words != '\0') {
        size_t len = strcspn(words, " ");
        if (len == value_len && strncmp(words, value, len) == 0) {
            return index;
        }
        index++;
        words += len + (words[len] == ' ' ? 1 : 0);
    }
    return -1;
}

static void read_value(const struct setting *setting, const char *value, struct settings *settings,
                       struct text *errors) {
    int index = setting->words == NULL ? 0 : word_index(setting->words, value);
    if (index < 0) {
        text_printf(errors, "%s: must be one of: %s\n", setting->name, setting->words);
        return;
    }
    switch (setting->type) {
    case NUMBER:
        read_number(setting, value, settings, errors);
        break;
    case SWITCH:
        read_switch(setting, value, settings, errors);
        break;
    case WORD:
        *(int *)field(setting, settings) = index; /* the enums count as the words do */
        break;
    case TEXT:
        *(const char **)field(setting, settings) = value;
        break;
    }
}

/* Edits (insertions, deletions, changes) between two short names, up to 40 characters. */
static size_t distance(const char *a, const char *b) {
    size_t row[41];
    size_t b_len = strlen(b);
    if (strlen(a) > 40 || b_len > 40) {
        return 40;
    }
    for (size_t j = 0; j <= b_len; j++) {
        row[j] = j;
    }
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < b_len; j++) {
            size_t change = diagonal + (a[i] == b[j] ? 0 : 1);
            size_t least = row[j] < row[j + 1] ? row[j] : row[j + 1];
            diagonal = row[j + 1];
            row[j + 1] = change <= least ? change : least + 1;
        }
    }
    return row[b_len];
}

/* The secret that the file named by NAME_FILE holds: one line, whose end is not part of it. `place` is its
 * own for the life of the process. NULL if there is no such variable, or after a complaint, which never shows
 * the content. */
static const char *read_secret_file(const struct setting *setting, char place[SECRET_MAX + 2],
                                    struct text *errors) {
    char name[64];
    snprintf(name, sizeof name, "%s_FILE", setting->name);
    const char *path = secure_getenv(name);
    if (path == NULL || path[0] == '\0') {
        return NULL;
    }
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        text_printf(errors, "%s: the file can't be read\n", name);
        return NULL;
    }
    bool one_line = fgets(place, SECRET_MAX + 2, file) != NULL && fgetc(file) == EOF;
    fclose(file);
    char *end = one_line ? strchr(place, '\n') : NULL;
    if (end != NULL) {
        *end = '\0';
    }
    if (!one_line || place[0] == '\0') {
        text_printf(errors, "%s: the file must hold one line of 1 to %d characters\n", name, SECRET_MAX);
        return NULL;
    }
    return place;
}

/* A typo in PAYFLOW_AUTH must not go unnoticed. */
static void find_typos(struct text *errors) {
    for (char **at = environ; at != NULL && *at != NULL; at++) {
        char name[64];
        const struct setting *nearest = &table[0];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(*at, "="), *at);
        if (strncmp(name, "PAYFLOW_", 8) != 0 || strcmp(name, "PAYFLOW_BINARY") == 0 ||
            strcmp(name, "PAYFLOW_BUILD") == 0) {
            continue;
        }
        for (size_t i = 0; i < ARRAY_LEN(table); i++) {
            nearest = distance(name, table[i].name) < distance(name, nearest->name) ? &table[i] : nearest;
        }
        if (strcmp(name, nearest->name) != 0) {
            text_printf(errors, "%s: there is no such setting; did you mean %s?\n", name, nearest->name);
        }
    }
}

/* The sslmode and host that a DATABASE_URL leads to: its own, or libpq's defaults. */
static void url_security(const char *url, char *sslmode, size_t size, bool *socket) {
    PQconninfoOption *options = PQconninfoParse(url, NULL);
    sslmode[0] = '\0';
    *socket = false;
    for (const PQconninfoOption *option = options; option != NULL && option->keyword != NULL; option++) {
        if (option->val != NULL && strcmp(option->keyword, "sslmode") == 0) {
            snprintf(sslmode, size, "%s", option->val);
        } else if (option->val != NULL && strcmp(option->keyword, "host") == 0) {
            *socket = option->val[0] == '/';
        }
    }
    PQconninfoFree(options);
}

static void check_redis_url(const struct settings *settings, struct text *errors) {
    struct redis_url url;
    const char *wrong = settings->redis_url[0] == '\0' ? NULL : redis_url_parse(settings->redis_url, &url);
    explicit_bzero(&url, sizeof url);
    if (wrong != NULL) {
        text_printf(errors, "REDIS_URL: %s\n", wrong);
    }
}

/* Tokens and payments cross these wires: they must not be read or answered by somebody else. */
static void check_wires(const struct settings *settings, const char *who, bool database, bool redis,
                        struct text *errors) {
    char sslmode[32];
    bool socket = settings->db_host[0] == '/';
    bool url = settings->database_url[0] != '\0';
    snprintf(sslmode, sizeof sslmode, "%s", settings->db_sslmode);
    if (url) {
        url_security(settings->database_url, sslmode, sizeof sslmode, &socket);
    }
    if (database && settings_database_configured(settings) && !socket && strcmp(sslmode, "verify-ca") != 0 &&
        strcmp(sslmode, "verify-full") != 0) {
        text_printf(errors, "%s: %s needs sslmode verify-ca or verify-full\n",
                    url ? "DATABASE_URL" : "DB_SSLMODE", who);
    }
    if (redis && settings->redis_url[0] != '\0' && strncmp(settings->redis_url, "rediss://", 9) != 0) {
        text_printf(errors, "REDIS_URL: %s needs rediss://\n", who);
    }
}

bool settings_read(struct settings *settings, struct text *errors) {
    static char secrets[ARRAY_LEN(table)][SECRET_MAX + 2];
    *settings = (struct settings){.app_version = version_name};
    bool auth_set = false;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const char *value = secure_getenv(table[i].name);
        if (table[i].secret && (value == NULL || value[0] == '\0')) {
            value = read_secret_file(&table[i], secrets[i], errors);
        }
        if (value == NULL || value[0] == '\0') {
            value = table[i].fallback;
        } else if (table[i].offset == AT(auth)) {
            auth_set = true;
        }
        if (value != NULL) {
            read_value(&table[i], value, settings, errors);
        }
    }
    bool development = settings->environment == ENV_DEVELOPMENT;
    if (!auth_set) {
        settings->auth = !development;
    }
    if (settings->db_sslmode == NULL) {
        settings->db_sslmode = development ? "prefer" : "verify-full";
    }
    check_redis_url(settings, errors);
    if (settings->environment == ENV_PRODUCTION) {
        if (!settings->auth) {
            text_add_string(errors, "PAYFLOW_AUTH: production needs it on\n");
        }
        check_wires(settings, "production", true, true, errors);
    } else {
        check_wires(settings, "a token", settings->db_iam, settings->redis_iam, errors);
    }
    find_typos(errors);
    return errors->len == 0 && !errors->failed;
}

bool settings_database_configured(const struct settings *settings) {
    return settings->database_url[0] != '\0' || settings->db_host[0] != '\0';
}

/* The word at a place of a list. */
static struct slice word_at(const char *words, int index) {
    while (index-- > 0) {
        words += strcspn(words, " ") + 1;
    }
    return (struct slice){words, strcspn(words, " ")};
}

static void write_value(const struct setting *setting, const struct settings *settings, struct text *out) {
    const void *value = (const char *)settings + setting->offset;
    if (setting->secret) {
        text_add_string(out, (*(const char *const *)value)[0] == '\0' ? "(not set)" : "(set)");
        return;
    }
    switch (setting->type) {
    case NUMBER:
        text_add_int(out, *(const int64_t *)value);
        break;
    case SWITCH:
        text_add_string(out, *(const bool *)value ? "on" : "off");
        break;
    case WORD: {
        struct slice word = word_at(setting->words, *(const int *)value);
        text_add(out, word.data, word.len);
        break;
    }
    case TEXT:
        text_add_string(out, *(const char *const *)value);
        break;
    }
}

void settings_write(const struct settings *settings, struct text *out) {
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        text_add_string(out, table[i].name);
        text_add_string(out, "=");
        write_value(&table[i], settings, out);
        text_add_string(out, "\n");
    }
}

static void write_allowed(const struct setting *setting, struct text *out) {
    if (setting->type == NUMBER) {
        text_printf(out, "%lld to %lld", (long long)setting->lowest, (long long)setting->highest);
    } else if (setting->type == SWITCH) {
        text_add_string(out, "on, off");
    } else if (setting->words != NULL) {
        for (const char *word = setting->words; *word != '\0'; word++) {
            text_add_string(out, *word == ' ' ? ", " : (char[]){*word, '\0'});
        }
    } else {
        text_add_string(out, setting->secret ? "text, secret" : "text");
    }
}

void settings_write_markdown(struct text *out) {
    text_add_string(out, "# Settings\n\nEnvironment variables, read once at the start; an empty one counts "
                         "as not set. All bad "
                         "values are reported at\nonce, with exit code 78. `payflow config` prints what is "
                         "in force. A secret may also\nstand in a file: `DB_PASSWORD_FILE` names "
                         "it. This page is "
                         "written by `payflow config --markdown`.\n\n"
                         "| Name | Default | Allowed | Means |\n|---|---|---|---|\n");
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct setting *setting = &table[i];
        bool has = setting->fallback != NULL && setting->fallback[0] != '\0';
        text_printf(out, "| `%s` | %s%s%s | ", setting->name, has ? "`" : "", has ? setting->fallback : "",
                    has ? "`" : "");
        write_allowed(setting, out);
        text_printf(out, " | %s |\n", setting->help);
    }
}
