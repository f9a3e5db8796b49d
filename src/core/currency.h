/* ISO 4217: the active currency codes and how many decimals each has (0, 2, 3 or 4). Pure; thread-safe. */
#ifndef PAYFLOW_CORE_CURRENCY_H
#define PAYFLOW_CORE_CURRENCY_H

#include "core/base.h"

struct currency {
    char code[4];      /* three upper-case letters and a NUL */
    unsigned exponent; /* decimals of the major unit: JPY 0, EUR 2, KWD 3, CLF 4 */
};

/* Finds the currency of a three-letter upper-case code. Returns a pointer into a constant table (never
 * freed), or NULL if ISO 4217 lists no active currency of that code (funds, metals, XXX and XTS are not
 * currencies one pays in). */
const struct currency *currency_find(struct slice code);

/* The whole table, sorted by code, for tests and docs. Its length goes to *count. */
const struct currency *currency_table(size_t *count);

#endif
