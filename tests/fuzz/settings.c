/* Settings: whatever stands in the environment is read or complained about, and no secret is printed. Each
 * line of the input is a setting's number (a letter, a = the first) and its value. */
#include "settings.h"
#include "core/redis_url.h"
#include "fuzz.h"

static const char *const names[] = {
    "PORT",      "PAYFLOW_ENV", "PAYFLOW_AUTH", "MAX_CONCURRENCY", "REQUEST_TIMEOUT_MS", "DATABASE_URL",
    "DB_HOST",   "DB_SSLMODE",  "DB_PASSWORD",  "REDIS_URL",       "REDIS_TIMEOUT_MS",   "RATE_LIMIT",
    "LOG_LEVEL", "LOG_FORMAT",  "TRUSTED_HOPS", "PAYFLOW_ATUH",    "BATCH_ROWS_MAX",     "APP_VERSION"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char line[8192];
    struct settings settings;
    struct text errors;
    struct text shown;
    char secret[24]; /* of the input, so that no input can hold it by chance */
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ data[i]) * UINT64_C(1099511628211);
    }
    snprintf(secret, sizeof secret, "%016llx", (unsigned long long)hash);
    clearenv();
    for (size_t at = 0; at < size;) {
        size_t len = 0;
        while (at + len < size && data[at + len] != '\n' && data[at + len] != '\0' && len < sizeof line - 1) {
            len++;
        }
        if (len > 0) {
            memcpy(line, data + at + 1, len - 1);
            line[len - 1] = '\0';
            setenv(names[data[at] % ARRAY_LEN(names)], line, 1);
        }
        at += len + 1;
    }
    setenv("DB_PASSWORD", secret, 1);
    text_init(&errors, NULL, 0, 1 << 20);
    text_init(&shown, NULL, 0, 1 << 20);
    if (settings_read(&settings, &errors)) {
        MUST(settings.port >= 1 && settings.port <= 65535 && settings.max_concurrency >= 1);
        MUST(errors.len == 0);
        settings_write(&settings, &shown);
        MUST(strstr(shown.data, secret) == NULL);
    } else {
        MUST(errors.len > 0 && strstr(errors.data, secret) == NULL);
    }
    if (size < sizeof line) {
        struct redis_url url;
        memcpy(line, data, size);
        line[size] = '\0';
        const char *wrong = redis_url_parse(line, &url);
        MUST(wrong != NULL ||
             (url.port >= 1 && url.port <= 65535 && url.host[0] != '\0' && url.database >= 0));
    }
    text_free(&errors);
    text_free(&shown);
    return 0;
}
