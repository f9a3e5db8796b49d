#include "store/pg.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "cloud/cloud.h"
#include "obs/log.h"
#include "obs/metrics.h"
#include "sys/clock.h"

#define CONNECT_LIMIT_US 3000000
#define RENEW_LIMIT_US 1000000
#define BACKOFF_FIRST_MS 50
#define BACKOFF_MAX_MS 1000
#define SHORT_LIFE_US 1000000 /* a connection that was lost before was hardly one */
#define IDLE_CHECK_US 50000   /* an idle connection is looked at before it is used again */

void pg_init(struct pg *pg, const struct settings *settings, struct pg_session session) {
    *pg = (struct pg){.settings = settings, .session = session, .was_up = true};
}

void pg_close(struct pg *pg) {
    if (pg->conn != NULL) {
        PQfinish(pg->conn);
        pg->conn = NULL;
        metric_add(METRIC_DB_CONNECTIONS, -1);
    }
    pg->prepared = 0;
}

const char *pg_message(struct pg *pg) {
    static _Thread_local char line[300];
    if (pg->conn == NULL) {
        return "";
    }
    snprintf(line, sizeof line, "%s", PQerrorMessage(pg->conn));
    size_t len = strlen(line);
    while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == ' ')) {
        line[--len] = '\0';
    }
    for (char *c = line; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ') {
            *c = ' ';
        }
    }
    return line;
}

/* Starts a connection with everything that bounds it: keepalives and user time-outs on both sides find a dead
 * peer (what a dead client locked would stay locked for hours otherwise), the session's time-outs end what
 * hangs on the server's side. Serving statements are all looked up by key, so plans that read whole tables
 * are switched off: one made while a table was empty must not be kept when it is large. */
static PGconn *start_connection(const struct pg *pg, const char *token) {
    const struct settings *s = pg->settings;
    char port[16];
    char options[700];
    snprintf(port, sizeof port, "%lld", (long long)s->db_port);
    snprintf(options, sizeof options,
             "-c lock_timeout=%d -c statement_timeout=%d -c idle_in_transaction_session_timeout=5000 "
             "-c client_connection_check_interval=2000 -c synchronous_commit=on "
             "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=3 -c tcp_keepalives_count=3 "
             "-c tcp_user_timeout=10000 "
             "-c default_transaction_isolation=read\\ committed -c timezone=UTC -c datestyle=ISO -c "
             "bytea_output=hex "
             "-c jit=off -c plan_cache_mode=force_generic_plan "
             "-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off",
             pg->session.lock_timeout_ms, pg->session.statement_timeout_ms);
    bool url = s->database_url != NULL && s->database_url[0] != '\0';
    const char *keys[20];
    const char *values[20];
    int n = 0;
#define OPTION(key, value) (keys[n] = (key), values[n] = (value), n++)
    if (url) {
        OPTION("dbname", s->database_url);
    } else {
        OPTION("host", s->db_host);
        OPTION("port", port);
        OPTION("dbname", s->db_name);
        OPTION("user", s->db_user);
        OPTION("password", s->db_password);
        OPTION("sslmode", s->db_sslmode);
        OPTION("sslrootcert", s->db_sslrootcert);
    }
    if (token != NULL) {
        OPTION("password", token); /* a later one wins */
    }
    OPTION("application_name", "payflow");
    OPTION("client_encoding", "UTF8");
    OPTION("connect_timeout", "3");
    OPTION("keepalives_idle", "10");
    OPTION("keepalives_interval", "3");
    OPTION("keepalives_count", "3");
    OPTION("tcp_user_timeout", "10000");
    OPTION("target_session_attrs", "read-write");
    OPTION("options", options);
    OPTION(NULL, NULL);
#undef OPTION
    return PQconnectStartParams(keys, values, 1);
}

/* Drives PQconnectPoll to its end. */
static bool finish_connection(PGconn *conn, int64_t deadline_us) {
    if (conn == NULL || PQstatus(conn) == CONNECTION_BAD) {
        return false;
    }
    PostgresPollingStatusType next = PGRES_POLLING_WRITING;
    while (next != PGRES_POLLING_OK) {
        if (next == PGRES_POLLING_FAILED ||
            !clock_wait_fd(PQsocket(conn), next == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline_us)) {
            return false;
        }
        next = PQconnectPoll(conn);
    }
    return PQsetnonblocking(conn, 1) == 0;
}

/* Notices are for people at a terminal; libpq's default would write them to stderr between our log lines. */
static void ignore_notice(void *context, const PGresult *result) {
    (void)context;
    (void)result;
}

int64_t pg_backoff_left_ms(const struct pg *pg) {
    int64_t left_us = pg->next_attempt_us - clock_monotonic_us();
    return left_us <= 0 ? 0 : left_us / 1000 + 1;
}

/* The next attempt is later each time, and not at the same moment as everybody else's. */
static void back_off(struct pg *pg) {
    uint8_t jitter = 0;
    random_bytes(&jitter, 1);
    pg->backoff_ms = pg->backoff_ms == 0 ? BACKOFF_FIRST_MS : pg->backoff_ms * 2;
    if (pg->backoff_ms > BACKOFF_MAX_MS) {
        pg->backoff_ms = BACKOFF_MAX_MS;
    }
    pg->next_attempt_us = clock_monotonic_us() + pg->backoff_ms * (750 + 2 * jitter);
}

bool pg_alive(struct pg *pg) {
    if (pg->conn == NULL) {
        return false;
    }
    int64_t now_us = clock_monotonic_us();
    if (now_us - pg->used_us > IDLE_CHECK_US) {
        /* Twice: the first look may find the server's last words, and only the second that nothing follows
         * them. */
        bool alive = PQconsumeInput(pg->conn) == 1;
        alive = alive && PQconsumeInput(pg->conn) == 1;
        if (!alive || PQstatus(pg->conn) != CONNECTION_OK) {
            pg_close(pg);
            return false;
        }
        pg->used_us = now_us;
    }
    return true;
}

/* When a log-in of now is renewed: not all at the same time. */
static int64_t renew_time_us(const struct pg *pg) {
    uint8_t jitter = 0;
    random_bytes(&jitter, 1);
    return clock_monotonic_us() + pg->settings->connection_lifetime_s * 1000000 / 256 * (192 + jitter / 2);
}

/* Opens a connection, with a token if the settings want one, which is waited for until token_deadline_us. The
 * caller has to look at its status; NULL only without memory. *reason is set where it isn't libpq that knows.
 */
static PGconn *open_connection(const struct pg *pg, int64_t token_deadline_us, int64_t deadline_us,
                               const char **reason) {
    char token[TOKEN_MAX + 1];
    bool iam = pg->settings->db_iam;
    if (iam && !cloud_token(CLOUD_DATABASE, token_deadline_us, token)) {
        *reason = "no token";
        return NULL;
    }
    PGconn *conn = start_connection(pg, iam ? token : NULL);
    if (iam) {
        explicit_bzero(token, sizeof token);
    }
    if (!finish_connection(conn, deadline_us)) {
        *reason = "no connection";
    }
    return conn;
}

bool pg_connect(struct pg *pg, int64_t deadline_us) {
    if (pg_alive(pg)) {
        return true;
    }
    int64_t now_us = clock_monotonic_us();
    if (now_us < pg->next_attempt_us || now_us >= deadline_us) {
        return false;
    }
    const char *reason = NULL;
    int64_t limit_us = deadline_us < now_us + CONNECT_LIMIT_US ? deadline_us : now_us + CONNECT_LIMIT_US;
    pg->conn = open_connection(pg, limit_us, limit_us, &reason);
    if (pg->conn != NULL) {
        metric_add(METRIC_DB_CONNECTIONS, 1);
    }
    if (reason != NULL) {
        if (pg->was_up) {
            log_event(LOG_WARNING, "database_unreachable", "cannot connect to PostgreSQL: %s",
                      pg->conn == NULL ? reason : pg_message(pg));
            pg->was_up = false;
        }
        pg_close(pg);
        back_off(pg);
        pg->failing_us = pg->failing_us == 0 ? now_us : pg->failing_us;
        return false;
    }
    pg->failing_us = 0;
    PQsetNoticeReceiver(pg->conn, ignore_notice, NULL);
    if (!pg->was_up) {
        log_event(LOG_INFO, "database_connected", "connected to PostgreSQL again");
        metric_add(METRIC_DB_RECONNECTS, 1);
    }
    pg->was_up = true;
    pg->connected_us = pg->used_us = clock_monotonic_us();
    pg->renew_us = renew_time_us(pg);
    return true;
}

void pg_renew(struct pg *pg) {
    int64_t now_us = clock_monotonic_us();
    if (!pg->settings->db_iam || pg->conn == NULL || now_us < pg->renew_us) {
        return;
    }
    const char *reason = NULL;
    PGconn *fresh = open_connection(pg, now_us, now_us + RENEW_LIMIT_US, &reason);
    pg->renew_us = renew_time_us(pg);
    if (reason != NULL) {
        PQfinish(fresh);
        return;
    }
    PQsetNoticeReceiver(fresh, ignore_notice, NULL);
    PQfinish(pg->conn);
    pg->conn = fresh;
    pg->prepared = 0;
    pg->connected_us = pg->used_us = clock_monotonic_us();
}

/* The connection can't be trusted any more. */
static struct pg_answer lost(struct pg *pg, const char *why) {
    const char *message = pg_message(pg);
    log_event(LOG_WARNING, "database_lost", "lost the connection to PostgreSQL %s: %s", why,
              message[0] == '\0' ? "no answer" : message);
    pg_close(pg);
    pg->was_up = false;
    if (clock_monotonic_us() - pg->connected_us < SHORT_LIFE_US) {
        back_off(pg); /* something takes connections only to drop them */
    } else {
        pg->backoff_ms = 0;
    }
    return (struct pg_answer){.outcome = PG_LOST};
}

/* Sends what libpq has buffered, reading meanwhile so that two full buffers can't block each other. */
static bool flush(struct pg *pg, int64_t deadline_us) {
    for (;;) {
        int left = PQflush(pg->conn);
        if (left == 0) {
            return true;
        }
        if (left < 0 || !clock_wait_fd(PQsocket(pg->conn), POLLIN | POLLOUT, deadline_us) ||
            PQconsumeInput(pg->conn) == 0) {
            return false;
        }
    }
}

/* Reads until ReadyForQuery. A statement's own result arrives before its COMMIT: only the NULL after it says
 * that the transaction ended, and an error may still come in between. */
static struct pg_answer read_answer(struct pg *pg, int64_t deadline_us) {
    struct pg_answer answer = {.outcome = PG_OK};
    bool said_by_server = true;
    if (!flush(pg, deadline_us)) {
        return lost(pg, "while sending");
    }
    for (;;) {
        while (PQisBusy(pg->conn)) {
            if (!clock_wait_fd(PQsocket(pg->conn), POLLIN, deadline_us) || PQconsumeInput(pg->conn) == 0) {
                PQclear(answer.result);
                return lost(pg, "while waiting for an answer");
            }
        }
        PGresult *result = PQgetResult(pg->conn);
        if (result == NULL) {
            break;
        }
        ExecStatusType status = PQresultStatus(result);
        if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
            PQclear(answer.result);
            answer.result = result;
            continue;
        }
        const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        said_by_server = said_by_server && state != NULL;
        answer.outcome = PG_REFUSED;
        snprintf(answer.sqlstate, sizeof answer.sqlstate, "%s", state == NULL ? "XX000" : state);
        PQclear(result);
    }
    if (PQstatus(pg->conn) != CONNECTION_OK || !said_by_server) {
        /* Even a FATAL message leaves open whether the COMMIT before it happened, and an error of libpq's own
         * (out of memory for an answer) says nothing about it. */
        PQclear(answer.result);
        return lost(pg, "before the end of the transaction");
    }
    pg->used_us = clock_monotonic_us();
    if (answer.outcome != PG_OK) {
        PQclear(answer.result);
        answer.result = NULL;
    }
    return answer;
}

struct pg_answer pg_run(struct pg *pg, const struct pg_statement *statement,
                        const struct pg_parameters *parameters, int64_t deadline_us) {
    if (!pg_alive(pg)) {
        return (struct pg_answer){.outcome = PG_NOT_SENT};
    }
    uint64_t bit = UINT64_C(1) << statement->number;
    if ((pg->prepared & bit) == 0) {
        if (PQsendPrepare(pg->conn, statement->name, statement->sql, 0, NULL) == 0) {
            pg_close(pg);
            return (struct pg_answer){.outcome = PG_NOT_SENT};
        }
        struct pg_answer prepared = read_answer(pg, deadline_us);
        PQclear(prepared.result);
        prepared.result = NULL;
        if (prepared.outcome == PG_LOST) {
            prepared.outcome = PG_NOT_SENT; /* only the preparation was lost */
        }
        if (prepared.outcome != PG_OK) {
            return prepared;
        }
        pg->prepared |= bit;
    }
    if (PQsendQueryPrepared(pg->conn, statement->name, parameters->count, parameters->values,
                            parameters->lengths, parameters->formats, 0) == 0) {
        /* libpq may have written a part before it failed. */
        return lost(pg, "while sending");
    }
    return read_answer(pg, deadline_us);
}

struct pg_answer pg_run_text(struct pg *pg, const char *sql, int64_t deadline_us) {
    if (!pg_alive(pg)) {
        return (struct pg_answer){.outcome = PG_NOT_SENT};
    }
    if (PQsendQuery(pg->conn, sql) == 0) {
        return lost(pg, "while sending");
    }
    return read_answer(pg, deadline_us);
}

bool pg_is_contention(const char *sqlstate) {
    return strcmp(sqlstate, "55P03") == 0 || strcmp(sqlstate, "40P01") == 0 ||
           strcmp(sqlstate, "40001") == 0 || strcmp(sqlstate, "57014") == 0;
}

bool pg_is_data_error(const char *sqlstate) {
    return strncmp(sqlstate, "22", 2) == 0 || strncmp(sqlstate, "23", 2) == 0;
}

bool pg_is_permanent(const char *sqlstate) {
    /* 42P05, a statement of that name is there already, is the connection's fault: a new one has none. */
    return (strncmp(sqlstate, "42", 2) == 0 && strcmp(sqlstate, "42P05") != 0) ||
           strcmp(sqlstate, "3F000") == 0;
}

bool pg_is_duplicate(const char *sqlstate) {
    return strcmp(sqlstate, "23505") == 0;
}
