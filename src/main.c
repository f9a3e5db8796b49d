/* The commands of the binary. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/access.h"
#include "cloud/cloud.h"
#include "healthcheck.h"
#include "obs/log.h"
#include "settings.h"
#include "smoke.h"
#include "store/keys.h"
#include "store/migrate.h"
#include "store/prune.h"
#include "store/verify.h"
#include "sys/clock.h"
#include "version.h"

#define EXIT_USAGE 64      /* sysexits.h's EX_USAGE */
#define EXIT_SOFTWARE 70   /* EX_SOFTWARE */
#define EXIT_CONFIG 78     /* EX_CONFIG */
#define STOP_LIMIT_MS 8000 /* with the drain second before it, below Cloud Run's ten seconds */

static const char usage[] =
    "Usage: payflow [COMMAND]\n"
    "\n"
    "  serve        take requests (the default)\n"
    "  migrate      bring the database's schema up to date\n"
    "  keys         make, list and revoke API keys\n"
    "  verify       prove that payments, refunds and history agree\n"
    "  prune        delete idempotency keys that are old enough\n"
    "  smoke        make and read back a payment at SMOKE_URL with the test key SMOKE_KEY; exit 0 or 1\n"
    "  healthcheck  exit 0 if the server on this machine's PORT is healthy, else 1\n"
    "  config       print the settings in force, secrets hidden (--markdown: the table of all settings)\n"
    "  version      print the version of the binary and of what is linked into it\n"
    "\n"
    "Settings are environment variables; see `payflow config --markdown`. More of one command:\n"
    "payflow COMMAND --help\n";

/* What `payflow COMMAND --help` prints below its first line; `keys` has its own (keys_usage). */
static const struct {
    const char *name;
    const char *help;
} commands[] = {
    {"serve", "Takes requests on PORT until SIGTERM or SIGINT, then finishes what is in flight within 10 s.\n"
              "Listens at once and connects behind: /health says that it lives, /ready that it has its\n"
              "database.\n"},
    {"migrate", "Brings the schema up to date as its owner; safe beside running servers, and twice.\n"
                "Exit 0: up to date; 1: a migration was refused, and why; 69: no database.\n"},
    {"keys", NULL},
    {"verify", "Reads all payments, refunds and history and says where they disagree; changes nothing.\n"
               "Exit 0: they agree; 1: they don't; 69: no database.\n"},
    {"prune", "Deletes idempotency keys older than IDEMPOTENCY_HOURS, in batches, beside running servers,\n"
              "and nothing else. Exit 0: done; 1: refused; 69: no database.\n"},
    {"config", "Prints the settings in force, secrets hidden; --markdown: the table of all settings.\n"
               "Exit 78: bad settings; all of them are named.\n"},
    {"smoke",
     "Asks SMOKE_URL for /health and /ready, makes SMOKE_ROUNDS payments with the test key SMOKE_KEY,\n"
     "sends each again and reads it back. Exit 0: all is well; 1: the first thing that was not.\n"},
    {"healthcheck", "Exit 0 if the server on this machine's PORT is healthy, else 1.\n"},
    {"version", "Prints the version of the binary and of what is linked into it.\n"},
};

/* Waits for SIGTERM or SIGINT, which every thread has blocked. */
static int wait_for_signal(const sigset_t *signals) {
    int signal_number = 0;
    while (sigwait(signals, &signal_number) != 0) {
    }
    return signal_number;
}

static double feed_lag(void *store) {
    return store_feed_lag_s(store);
}

static double redis_is_up(void *cache) {
    return cache_state(cache) == CACHE_UP ? 1 : 0;
}

/* Intake goes on for a moment, because a front end may still send; then what is in flight is finished. */
static void drain(struct api *api, struct http_server *server) {
    int64_t begun_us = clock_monotonic_us();
    log_event(LOG_INFO, "draining", "asked to stop: finishing what is in flight");
    atomic_store(&api->draining, true);
    http_drain(server);
    while (clock_monotonic_us() - begun_us < api->settings->drain_ms * 1000) {
        clock_sleep_ms(20);
    }
    http_stop(server, STOP_LIMIT_MS);
}

static int serve_with(struct api *api, const sigset_t *signals) {
    const struct settings *settings = api->settings;
    char error[200];
    size_t count = 0;
    const struct http_route *routes = api_routes(&count);
    const struct http_options options = {
        .port = (int)settings->port,
        .max_concurrency = (int)settings->max_concurrency,
        .max_connections = (int)settings->max_connections,
        .max_connections_per_address = (int)settings->max_connections_per_address,
        .request_timeout_ms = settings->request_timeout_ms,
        .head_timeout_ms = settings->head_timeout_ms,
        .body_timeout_ms = settings->body_timeout_ms,
        .keep_alive_ms = settings->keep_alive_ms,
    };
    struct http_server *server = http_start(&options, routes, count, api, error, sizeof error);
    if (server == NULL) {
        log_event(LOG_CRITICAL, "not_listening", "%s", error);
        return EXIT_SOFTWARE;
    }
    log_event(LOG_INFO, "serving", "PayFlow API %s running on port %d", settings->app_version,
              http_port(server));
    wait_for_signal(signals);
    drain(api, server);
    return 0;
}

static int serve(const struct settings *settings) {
    char error[200];
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* before any thread: they inherit it */
    signal(SIGPIPE, SIG_IGN);
    bool readable = strcmp(settings->log_format, "text") == 0 ||
                    (strcmp(settings->log_format, "auto") == 0 && isatty(STDERR_FILENO) == 1);
    log_start(settings->log_level, readable, settings->google_project, settings->app_version);
    metrics_start(settings->app_version);
    struct api api = {.settings = settings};
    int status = EXIT_SOFTWARE;
    bool tokens = cloud_start(settings);
    api.store = store_start(settings);
    api.cache = cache_start(settings, error, sizeof error);
    api.keys = key_cache_new(settings->key_cache_ms);
    if (!tokens || api.store == NULL || api.cache == NULL || api.keys == NULL) {
        log_event(LOG_CRITICAL, "not_started", "%s",
                  api.cache == NULL && api.store != NULL ? error : "out of memory or threads");
    } else {
        metrics_callback("payflow_feed_lag_seconds", "gauge",
                         "How long the oldest running transaction has held back the end of the events feed.",
                         feed_lag, api.store);
        if (cache_state(api.cache) != CACHE_NOT_CONFIGURED) { /* absent there: nothing is missing */
            metrics_callback("payflow_redis_up", "gauge", "1 while Redis answers.", redis_is_up, api.cache);
        }
        status = serve_with(&api, &signals);
    }
    if (api.store != NULL) {
        store_stop(api.store);
    }
    if (api.cache != NULL) {
        cache_stop(api.cache);
    }
    cloud_stop();
    key_cache_free(api.keys);
    log_event(LOG_INFO, "stopped", "stopped with exit code %d", status);
    log_stop();
    return status;
}

static int config(const struct settings *settings, bool markdown) {
    struct text out;
    text_init(&out, NULL, 0, 1 << 20);
    if (markdown) {
        settings_write_markdown(&out);
    } else {
        settings_write(settings, &out);
    }
    int status = out.failed ? EXIT_SOFTWARE : 0;
    fputs(out.data, stdout);
    text_free(&out);
    return status;
}

static int run_on_database(const char *command, int argc, char **argv, const struct settings *settings) {
    if (strcmp(command, "keys") == 0) {
        return keys_run(settings, argc, argv);
    }
    if (strcmp(command, "verify") == 0) {
        return verify_run(settings);
    }
    return strcmp(command, "migrate") == 0 ? migrate_run(settings) : prune_run(settings);
}

static int run_command(const char *command, int argc, char **argv, const struct settings *settings) {
    if (strcmp(command, "serve") == 0) {
        return serve(settings);
    }
    if (strcmp(command, "config") == 0) {
        return config(settings, argc > 0);
    }
    if (strcmp(command, "smoke") == 0) {
        return smoke_run(settings);
    }
    if (!settings_database_configured(settings)) {
        fprintf(stderr, "payflow %s: no database is configured; set DB_HOST or DATABASE_URL\n", command);
        return EXIT_CONFIG;
    }
    if (!cloud_start(settings)) {
        fprintf(stderr, "payflow %s: out of threads\n", command);
        return EXIT_SOFTWARE;
    }
    int status = run_on_database(command, argc, argv, settings);
    cloud_stop();
    return status;
}

static bool is_help(const char *argument) {
    return strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0;
}

/* `payflow COMMAND --help`. */
static int help(const char *command) {
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (strcmp(command, commands[i].name) == 0 && commands[i].help != NULL) {
            printf("Usage: payflow %s%s\n\n%s", command,
                   strcmp(command, "config") == 0 ? " [--markdown]" : "", commands[i].help);
        } else if (strcmp(command, commands[i].name) == 0) {
            keys_usage(stdout);
        }
    }
    return 0;
}

int main(int argc, char **argv) {
    const char *command = argc > 1 ? argv[1] : "serve";
    bool known = false;
    bool markdown = argc == 3 && strcmp(command, "config") == 0 && strcmp(argv[2], "--markdown") == 0;
    if (is_help(command) || strcmp(command, "help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        known = known || strcmp(command, commands[i].name) == 0;
    }
    if (known && argc > 2 && is_help(argv[argc - 1])) {
        return help(command);
    }
    if (strcmp(command, "version") == 0 || strcmp(command, "--version") == 0) {
        version_write(stdout);
        return 0;
    }
    if (!known || (argc > 2 && !markdown && strcmp(command, "keys") != 0)) {
        fprintf(stderr, "payflow: unknown command or argument\n\n%s", usage);
        return EXIT_USAGE;
    }
    struct settings settings;
    struct text errors;
    text_init(&errors, NULL, 0, 65536);
    if (!settings_read(&settings, &errors)) {
        fputs(errors.data, stderr);
        text_free(&errors);
        return EXIT_CONFIG;
    }
    text_free(&errors);
    return strcmp(command, "healthcheck") == 0 ? healthcheck_run(settings.port)
                                               : run_command(command, argc - 2, argv + 2, &settings);
}
