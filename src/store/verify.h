/* `payflow verify`: proves that payments, refunds, keys and history agree. */
#ifndef PAYFLOW_STORE_VERIFY_H
#define PAYFLOW_STORE_VERIFY_H

#include "settings.h"

/* Runs every check in one snapshot and says on stdout what it looked at and what it found. Returns an exit
 * code: 0 (all agree), 1 (something does not, or a check failed), 69 (no database). Changes nothing. Not
 * thread-safe. */
int verify_run(const struct settings *settings);

#endif
