#include "store/verify.h"

#include <stdio.h>
#include <stdlib.h>

#include "store/pg.h"
#include "sys/clock.h"

#define RUN_US INT64_C(3600000000)

/* Each query counts the rows that break its rule. */
static const struct check {
    const char *rule;
    const char *sql;
} checks[] = {
    {"every payment has a history that begins with its creation",
     "SELECT count(*) FROM payments p WHERE NOT EXISTS (SELECT FROM events e WHERE e.payment_id = p.id AND "
     "e.n = 1"
     " AND e.step = 1 AND e.amount_minor = p.amount_minor AND e.account_id = p.account_id AND e.livemode = "
     "p.livemode)"},
    {"every event belongs to a payment of the same account and mode",
     "SELECT count(*) FROM events e WHERE NOT EXISTS (SELECT FROM payments p WHERE p.account_id = "
     "e.account_id"
     " AND p.livemode = e.livemode AND p.id = e.payment_id)"},
    {"a payment's events are numbered without gaps",
     "SELECT count(*) FROM (SELECT payment_id FROM events GROUP BY payment_id HAVING max(n) <> count(*) OR "
     "min(n) <> 1) x"},
    {"a payment's state is what its last event says",
     "SELECT count(*) FROM payments p JOIN LATERAL (SELECT * FROM events WHERE payment_id = p.id ORDER BY n "
     "DESC LIMIT 1) e"
     " ON true WHERE (p.status, p.captured_minor, p.refunded_minor)"
     " IS DISTINCT FROM (e.status, e.captured_minor, e.refunded_minor)"},
    {"what was captured and refunded is the sum of the steps",
     "SELECT count(*) FROM payments p JOIN (SELECT payment_id, sum(amount_minor) FILTER (WHERE step = 2) AS "
     "captured,"
     " sum(amount_minor) FILTER (WHERE step = 4) AS refunded, count(*) FILTER (WHERE step = 2) AS captures"
     " FROM events GROUP BY payment_id) e ON e.payment_id = p.id WHERE p.captured_minor <> "
     "coalesce(e.captured, 0)"
     " OR p.refunded_minor <> coalesce(e.refunded, 0) OR e.captures > 1"},
    {"every refund is an event of the same amount, and the other way round",
     "SELECT count(*) FROM refunds r FULL JOIN (SELECT * FROM events WHERE step = 4) e"
     " ON e.payment_id = r.payment_id AND e.object_id = r.id"
     " WHERE r.id IS NULL OR e.object_id IS NULL OR r.amount_minor <> e.amount_minor"},
    {"refunds never exceed what was captured, nor captures the amount",
     "SELECT count(*) FROM payments p LEFT JOIN (SELECT payment_id, sum(amount_minor) AS refunded FROM "
     "refunds"
     " GROUP BY payment_id) r ON r.payment_id = p.id WHERE coalesce(r.refunded, 0) > p.captured_minor"
     " OR p.captured_minor > p.amount_minor OR coalesce(r.refunded, 0) <> p.refunded_minor"},
    {"every idempotency key leads to what it made",
     "SELECT count(*) FROM idempotency_keys k WHERE CASE WHEN k.operation = 1 THEN NOT EXISTS (SELECT FROM "
     "payments p"
     " WHERE p.account_id = k.account_id AND p.livemode = k.livemode AND p.id = k.object_id)"
     " ELSE NOT EXISTS (SELECT FROM events e WHERE e.payment_id = k.target AND e.object_id = k.object_id) "
     "END"},
    {"no step was recorded twice",
     "SELECT count(*) FROM (SELECT payment_id, object_id FROM events WHERE object_id IS NOT NULL"
     " GROUP BY payment_id, object_id HAVING count(*) > 1) x"},
    {"every payment belongs to an account",
     "SELECT count(*) FROM (SELECT DISTINCT account_id FROM payments) p WHERE NOT EXISTS"
     " (SELECT FROM accounts a WHERE a.id = p.account_id)"},
};

/* Serving sessions read by key and never whole tables; this one does the opposite. */
static const char begin_sql[] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL enable_seqscan = "
                                "on; SET LOCAL enable_hashjoin = on;"
                                " SET LOCAL enable_mergejoin = on; SET LOCAL work_mem = '64MB'";

/* The number a query gives, or -1 after saying what went wrong. */
static long long count(struct pg *pg, const char *sql) {
    struct pg_answer answer = pg_run_text(pg, sql, clock_monotonic_us() + RUN_US);
    if (answer.outcome != PG_OK) {
        const char *message = pg_message(pg);
        fprintf(stderr, "payflow verify: %s\n",
                message[0] == '\0' ? "lost the connection to PostgreSQL" : message);
        return -1;
    }
    long long rows = PQntuples(answer.result) == 1 ? atoll(PQgetvalue(answer.result, 0, 0)) : 0;
    PQclear(answer.result);
    return rows;
}

static int check_all(struct pg *pg) {
    bool good = count(pg, begin_sql) >= 0;
    long long payments = good ? count(pg, "SELECT count(*) FROM payments") : -1;
    long long events = payments >= 0 ? count(pg, "SELECT count(*) FROM events") : -1;
    if (events < 0) {
        return 1;
    }
    printf("%lld payments, %lld events\n", payments, events);
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        long long broken = count(pg, checks[i].sql);
        printf("%s  %s%s", broken == 0 ? "ok  " : "FAIL", checks[i].rule, broken == 0 ? "\n" : "");
        if (broken > 0) {
            printf(": %lld do not\n", broken);
        } else if (broken < 0) {
            printf(": could not be checked\n");
            return 1;
        }
        good = good && broken == 0;
    }
    return good ? 0 : 1;
}

int verify_run(const struct settings *settings) {
    struct pg pg;
    const struct pg_session session = {.lock_timeout_ms = 5000, .statement_timeout_ms = 0};
    setvbuf(stdout, NULL, _IOLBF, 0);
    pg_init(&pg, settings, session);
    if (!pg_connect(&pg, clock_monotonic_us() + 10000000)) {
        fprintf(stderr, "payflow verify: no database; see DB_HOST or DATABASE_URL\n");
        return 69;
    }
    int status = check_all(&pg);
    pg_close(&pg);
    return status;
}
