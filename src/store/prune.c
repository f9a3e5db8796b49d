#include "store/prune.h"

#include <stdio.h>
#include <stdlib.h>

#include "store/pg.h"
#include "sys/clock.h"

#define BATCH_ROWS 2000
#define PRUNE_RUN_US 60000000
#define PRUNE_BATCHES_MAX 1000000

/* In the order in which writers insert, so that they never wait for each other in a circle. The id of what
 * the key made stays in payments; only the right to replay it ends. */
static const char prune_sql[] =
    "DELETE FROM idempotency_keys k USING ("
    " SELECT account_id, livemode, operation, target, key FROM idempotency_keys"
    " WHERE created_at < now() - interval '%lld hours'"
    " ORDER BY account_id, livemode, operation, target, key LIMIT %d FOR UPDATE SKIP LOCKED) old"
    " WHERE k.account_id = old.account_id AND k.livemode = old.livemode AND k.operation = old.operation"
    " AND k.target = old.target AND k.key = old.key";

int prune_run(const struct settings *settings) {
    struct pg pg;
    const struct pg_session session = {.lock_timeout_ms = 1000, .statement_timeout_ms = 60000};
    char sql[sizeof prune_sql + 40];
    long long deleted = 0;
    int status = 0;
    snprintf(sql, sizeof sql, prune_sql, (long long)settings->idempotency_hours, BATCH_ROWS);
    pg_init(&pg, settings, session);
    if (!pg_connect(&pg, clock_monotonic_us() + PRUNE_RUN_US)) {
        fprintf(stderr, "payflow prune: no database; see DB_HOST or DATABASE_URL\n");
        return 69;
    }
    for (int batch = 0; batch < PRUNE_BATCHES_MAX; batch++) {
        struct pg_answer answer = pg_run_text(&pg, sql, clock_monotonic_us() + PRUNE_RUN_US);
        if (answer.outcome != PG_OK) {
            fprintf(stderr, "payflow prune: %s\n", pg_message(&pg));
            status = 1;
            break;
        }
        long long rows = atoll(PQcmdTuples(answer.result));
        PQclear(answer.result);
        deleted += rows;
        if (rows < BATCH_ROWS) {
            break;
        }
    }
    printf("deleted %lld idempotency keys older than %lld hours\n", deleted,
           (long long)settings->idempotency_hours);
    pg_close(&pg);
    return status;
}
