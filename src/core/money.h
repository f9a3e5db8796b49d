/* Money: major units as JSON numbers outside, int64 minor units inside; never a double. Pure; thread-safe. */
#ifndef PAYFLOW_CORE_MONEY_H
#define PAYFLOW_CORE_MONEY_H

#include "core/base.h"

#define MONEY_MINOR_MAX INT64_C(999999999999999) /* 10^15 - 1: the largest amount of minor units */
#define MONEY_TEXT_MAX 24                        /* bytes money_format needs, with the NUL */

enum money_error {
    MONEY_OK = 0,
    MONEY_NOT_A_NUMBER,      /* not a number by RFC 8259's grammar: "1", 01, 1., +1, 0x10, null, an object */
    MONEY_NOT_POSITIVE,      /* 0, -0, negative */
    MONEY_TOO_MANY_DECIMALS, /* a non-zero digit beyond the currency's exponent */
    MONEY_TOO_LARGE,         /* more than MONEY_MINOR_MAX minor units, 1e400 too */
};

/* Converts the text of a JSON number in major units ("49.9", "4.99e1") to minor units of a currency with
 * `exponent` decimals, digit by digit and exactly. Bounded: O(text.len) whatever the number's own exponent
 * says. On MONEY_OK *amount_minor is in 1..MONEY_MINOR_MAX; on any other result it is left alone. */
MUST_CHECK enum money_error money_parse(struct slice text, unsigned exponent, int64_t *amount_minor);

/* The reason's stable machine-readable name ("too_many_decimals"), for the problem's `reason`. Never NULL. */
const char *money_error_name(enum money_error error);

/* Writes `amount_minor` (0 or more) as a JSON number of major units without trailing zeros (4990, 2 ->
 * "49.9"; 5000, 2 -> "50") and returns its length. `out` must hold MONEY_TEXT_MAX bytes. */
size_t money_format(int64_t amount_minor, unsigned exponent, char out[MONEY_TEXT_MAX]);

#endif
