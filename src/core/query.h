/* Query strings: name=value pairs, percent-decoded (RFC 3986, section 2.1; "+" is a space, as forms write
 * it). Pure. */
#ifndef PAYFLOW_CORE_QUERY_H
#define PAYFLOW_CORE_QUERY_H

#include "core/base.h"

#define QUERY_VALUE_MAX 256 /* bytes of a decoded name or value, with the NUL */

struct query_pair {
    char name[QUERY_VALUE_MAX];
    char value[QUERY_VALUE_MAX];
};

enum query_result { QUERY_PAIR, QUERY_END, QUERY_MALFORMED };

/* Takes the next pair off *rest. QUERY_MALFORMED: a bad escape, a NUL, invalid UTF-8, or a part of
 * QUERY_VALUE_MAX bytes or more. Empty parts between ampersands are passed over. */
MUST_CHECK enum query_result query_next(struct slice *rest, struct query_pair *pair);

#endif
