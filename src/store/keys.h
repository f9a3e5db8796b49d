/* Managing accounts and API keys: `payflow keys`. */
#ifndef PAYFLOW_STORE_KEYS_H
#define PAYFLOW_STORE_KEYS_H

#include <stdio.h>

#include "settings.h"

/* `payflow keys create --account NAME --scope payments:read,payments:write [--test] [--expires 90d]`, `keys
 * list`, `keys revoke ID`. create makes the account if there is none of that name, and prints the key, which
 * is stored nowhere, once. Returns an exit code: 0, 1 (refused), 64 (usage), 69 (no database). Not
 * thread-safe. */
int keys_run(const struct settings *settings, int argc, char **argv);

/* Writes how `payflow keys` is called. */
void keys_usage(FILE *out);

#endif
