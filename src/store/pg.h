/* One connection to PostgreSQL: opened, used and healed with deadlines everywhere. Not thread-safe: a
 * connection belongs to one thread. Internal to the store. */
#ifndef PAYFLOW_STORE_PG_H
#define PAYFLOW_STORE_PG_H

#include <libpq-fe.h>

#include "core/base.h"
#include "settings.h"

/* What the session's limits are set to. */
struct pg_session {
    int lock_timeout_ms;
    int statement_timeout_ms;
};

struct pg {
    const struct settings *settings;
    struct pg_session session;
    PGconn *conn;            /* NULL while there is none */
    uint64_t prepared;       /* bit i: statement i is prepared on conn */
    int64_t backoff_ms;      /* before the next attempt to connect */
    int64_t renew_us;        /* with tokens: when the log-in is renewed */
    int64_t next_attempt_us; /* not before this */
    int64_t used_us;         /* when it last proved to be alive */
    bool was_up;             /* so that only a change is logged */
    int64_t connected_us;    /* when conn was made */
    int64_t failing_us;      /* since when attempts to connect have failed; 0: the last one succeeded */
};

enum pg_outcome {
    PG_OK = 0,
    PG_REFUSED, /* the server said no: rolled back, nothing was done */
    PG_LOST,    /* the connection broke or the deadline passed on the way: it may have been done */
    PG_NOT_SENT /* there is no usable connection: nothing was done */
};

/* A statement that is prepared on first use. Numbers are unique within the store, 0..63. */
struct pg_statement {
    unsigned number;
    const char *name;
    const char *sql;
};

struct pg_answer {
    enum pg_outcome outcome;
    PGresult *result; /* on PG_OK; the caller clears it */
    char sqlstate[6]; /* on PG_REFUSED */
};

/* Parameters in binary: at most PG_PARAMETERS_MAX. */
#define PG_PARAMETERS_MAX 20
struct pg_parameters {
    int count;
    const char *values[PG_PARAMETERS_MAX];
    int lengths[PG_PARAMETERS_MAX];
    int formats[PG_PARAMETERS_MAX];
};

/* Starts with no connection. settings must outlive it. */
void pg_init(struct pg *pg, const struct settings *settings, struct pg_session session);

/* Closes the connection, if there is one. */
void pg_close(struct pg *pg);

/* True if there is a connection that shows no sign of being dead. Does not wait: reads what has arrived (a
 * server that was shut down said so), so that a dead connection is found before anything is sent on it. */
bool pg_alive(struct pg *pg);

/* True if pg_alive, or if connecting succeeded before the deadline. Honours the back-off: while it has not
 * passed, answers false at once. */
MUST_CHECK bool pg_connect(struct pg *pg, int64_t deadline_us);

/* Where log-ins are by token and this one is old: replaces the connection by a new one, if there is one to be
 * had within a second; else keeps the old one for now. */
void pg_renew(struct pg *pg);

/* Milliseconds until the back-off allows the next attempt; 0 if it does now. */
int64_t pg_backoff_left_ms(const struct pg *pg);

/* Runs one statement in its own transaction and waits until its COMMIT is known or deadline_us passes (then
 * the connection is closed). Results are in text. */
MUST_CHECK struct pg_answer pg_run(struct pg *pg, const struct pg_statement *statement,
                                   const struct pg_parameters *parameters, int64_t deadline_us);

/* Runs SQL text without parameters (several statements allowed: one transaction, as the simple protocol
 * does). */
MUST_CHECK struct pg_answer pg_run_text(struct pg *pg, const char *sql, int64_t deadline_us);

/* The server's last message on one line, for logs; "" if there is none. Valid until the next call on pg. */
const char *pg_message(struct pg *pg);

/* Kinds of refusal. Contention is a lock's or a statement's time-out, a deadlock, a failed serialization: try
 * apart. */
bool pg_is_contention(const char *sqlstate);
bool pg_is_data_error(const char *sqlstate); /* class 22 or 23: a row's own fault */
bool pg_is_permanent(const char *sqlstate);  /* a table, column or right is missing: no second try mends it */
bool pg_is_duplicate(const char *sqlstate);  /* a unique index has the row's key already */

#endif
