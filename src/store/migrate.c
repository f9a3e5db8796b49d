#include "store/migrate.h"

#include <stdio.h>
#include <stdlib.h>

#include "store/pg.h"
#include "sys/clock.h"

#define DATABASE_WAIT_US 30000000
#define LOCK_WAIT_US 60000000
#define STEP_US 3600000000       /* one migration: an index on a large table may take long */
#define DDL_LOCK_TIMEOUT_MS 2000 /* DDL that waits for a lock makes everybody behind it wait */
#define DDL_TRIES 15
#define LOCK_NUMBER "7238615011337453" /* of the advisory lock: any number that nobody else uses */

#define EXIT_OK 0
#define EXIT_FAILED 1
#define EXIT_NO_DATABASE 69

static const char table_sql[] =
    "CREATE TABLE IF NOT EXISTS schema_migrations ("
    "version integer PRIMARY KEY, name text NOT NULL, breaks_before integer NOT NULL DEFAULT 0,"
    "applied_at timestamptz NOT NULL DEFAULT now())";

/* The value after `-- name:` in the comment lines at the head of a file. An option without a value gives an
 * empty one; an absent one gives false. */
static bool header_option(const char *sql, const char *name, char *value, size_t size) {
    size_t name_len = strlen(name);
    while (strncmp(sql, "--", 2) == 0) {
        const char *text = sql + 2 + strspn(sql + 2, " ");
        size_t line = strcspn(text, "\n");
        if (line >= name_len && strncmp(text, name, name_len) == 0) {
            const char *start = text + name_len + strspn(text + name_len, ": ");
            snprintf(value, size, "%.*s", (int)(text + line - start), start);
            return true;
        }
        sql = text + line + (text[line] == '\n' ? 1 : 0);
    }
    return false;
}

static struct pg_answer run(struct pg *pg, const char *sql) {
    return pg_run_text(pg, sql, clock_monotonic_us() + STEP_US);
}

static char last_refusal[6]; /* SQLSTATE; one migration runs at a time */

/* Runs SQL whose rows don't matter; says on stderr what went wrong. */
static bool command(struct pg *pg, const char *sql) {
    struct pg_answer answer = run(pg, sql);
    PQclear(answer.result);
    if (answer.outcome == PG_REFUSED) {
        if (strcmp(answer.sqlstate, "25P02") != 0) { /* in a failed transaction: the first refusal says why */
            memcpy(last_refusal, answer.sqlstate, sizeof last_refusal);
        }
        fprintf(stderr, "payflow migrate: %s (SQLSTATE %s)\n", pg_message(pg), answer.sqlstate);
    } else if (answer.outcome != PG_OK) {
        fprintf(stderr, "payflow migrate: lost the connection to PostgreSQL\n");
    }
    return answer.outcome == PG_OK;
}

/* Runs a query and gives its first value as text; false if there is no row or it failed. */
static bool value(struct pg *pg, const char *sql, char *out, size_t size) {
    struct pg_answer answer = run(pg, sql);
    bool found = answer.outcome == PG_OK && PQntuples(answer.result) > 0;
    if (found) {
        snprintf(out, size, "%s", PQgetvalue(answer.result, 0, 0));
    }
    PQclear(answer.result);
    return found;
}

/* Polls: a session that waits inside pg_advisory_lock holds a snapshot, and CREATE INDEX CONCURRENTLY waits
 * for it (tested). */
static bool take_lock(struct pg *pg) {
    int64_t limit_us = clock_monotonic_us() + LOCK_WAIT_US;
    char got[8];
    bool told = false;
    while (value(pg, "SELECT pg_try_advisory_lock(" LOCK_NUMBER ")", got, sizeof got)) {
        if (got[0] == 't') {
            return true;
        }
        if (clock_monotonic_us() > limit_us) {
            fprintf(stderr,
                    "payflow migrate: another migration has held the lock for a minute; try again later\n");
            return false;
        }
        if (!told) {
            printf("waiting for another migration\n");
            told = true;
        }
        clock_sleep_ms(200);
    }
    fprintf(stderr, "payflow migrate: cannot ask for the lock: %s\n", pg_message(pg));
    return false;
}

static bool is_applied(struct pg *pg, int version) {
    char sql[100];
    char found[8];
    snprintf(sql, sizeof sql, "SELECT 1 FROM schema_migrations WHERE version = %d", version);
    return value(pg, sql, found, sizeof found);
}

static bool record(struct pg *pg, const struct migration *migration) {
    char sql[300];
    char breaks[16] = "0";
    (void)header_option(migration->sql, "breaks-before", breaks, sizeof breaks);
    snprintf(sql, sizeof sql,
             "INSERT INTO schema_migrations (version, name, breaks_before) VALUES (%d, '%s', %d)",
             migration->version, migration->name, atoi(breaks));
    return command(pg, sql);
}

/* A file that can't run in a transaction: one statement that makes one index, named in the header. A try that
 * failed left an INVALID index behind, which is dropped first. */
static bool apply_alone(struct pg *pg, const struct migration *migration, const char *index) {
    char sql[400];
    char invalid[8];
    snprintf(sql, sizeof sql,
             "SELECT 1 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relname = '%s' AND "
             "NOT i.indisvalid"
             " AND pg_table_is_visible(c.oid)",
             index);
    if (value(pg, sql, invalid, sizeof invalid)) {
        printf("dropping the invalid index %s of an earlier try\n", index);
        snprintf(sql, sizeof sql, "DROP INDEX CONCURRENTLY %s", index);
        if (!command(pg, sql)) {
            return false;
        }
    }
    return command(pg, migration->sql) && record(pg, migration);
}

static bool apply_in_transaction(struct pg *pg, const struct migration *migration) {
    if (command(pg, "BEGIN") && command(pg, migration->sql) && record(pg, migration)) {
        return command(pg, "COMMIT");
    }
    (void)command(pg, "ROLLBACK");
    return false;
}

/* Traffic may hold a lock that the DDL needs: it gives up after two seconds and tries again. */
static bool apply(struct pg *pg, const struct migration *migration) {
    char index[64] = "";
    bool alone = header_option(migration->sql, "no-transaction", index, sizeof index);
    for (int attempt = 1; attempt <= DDL_TRIES; attempt++) {
        if (alone ? apply_alone(pg, migration, index) : apply_in_transaction(pg, migration)) {
            printf("applied %s\n", migration->name);
            return true;
        }
        if (!pg_alive(pg)) {
            return false;
        }
        if (strcmp(last_refusal, "55P03") != 0) { /* lock_not_available */
            return false;
        }
        clock_sleep_ms(500);
    }
    return false;
}

/* Applies what is missing. */
static int apply_missing(struct pg *pg) {
    char newest[32];
    int applied = 0;
    if (!command(pg, table_sql) ||
        !value(pg, "SELECT coalesce(max(breaks_before), 0) FROM schema_migrations", newest, sizeof newest)) {
        return EXIT_FAILED;
    }
    if (atoi(newest) > migrations_count) {
        fprintf(stderr,
                "payflow migrate: the database needs a binary that knows at least %s migrations; this one "
                "knows %d\n",
                newest, migrations_count);
        return EXIT_FAILED;
    }
    for (int i = 0; i < migrations_count; i++) {
        if (!is_applied(pg, migrations[i].version)) {
            if (!apply(pg, &migrations[i])) {
                fprintf(stderr, "payflow migrate: %s failed; the database is as it was before it\n",
                        migrations[i].name);
                return EXIT_FAILED;
            }
            applied++;
        }
    }
    if (!value(pg, "SELECT coalesce(max(version), 0) FROM schema_migrations", newest, sizeof newest)) {
        return EXIT_FAILED;
    }
    printf("%d applied, the schema is at %s%s\n", applied, newest,
           atoi(newest) > migrations_count ? ", newer than this binary, which still works with it" : "");
    return EXIT_OK;
}

int migrate_run(const struct settings *settings) {
    struct pg pg;
    const struct pg_session session = {.lock_timeout_ms = DDL_LOCK_TIMEOUT_MS, .statement_timeout_ms = 0};
    int64_t limit_us = clock_monotonic_us() + DATABASE_WAIT_US;
    setvbuf(stdout, NULL, _IOLBF, 0);
    pg_init(&pg, settings, session);
    while (!pg_connect(&pg, limit_us)) {
        if (clock_monotonic_us() >= limit_us) {
            fprintf(stderr,
                    "payflow migrate: no database answered within 30 seconds; see DB_HOST or DATABASE_URL\n");
            return EXIT_NO_DATABASE;
        }
        clock_sleep_ms(pg_backoff_left_ms(&pg));
    }
    int status = take_lock(&pg) ? apply_missing(&pg) : EXIT_FAILED;
    pg_close(&pg); /* and with it the lock */
    return status;
}
