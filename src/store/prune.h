/* Deleting idempotency keys that are old enough (decision 3). */
#ifndef PAYFLOW_STORE_PRUNE_H
#define PAYFLOW_STORE_PRUNE_H

#include "settings.h"

/* Deletes keys older than settings->idempotency_hours in batches, in key order, skipping rows that somebody
 * holds, beside running servers. Says on stdout how many. Returns an exit code: 0, 1 (refused), 69 (no
 * database). Not thread-safe. */
int prune_run(const struct settings *settings);

#endif
