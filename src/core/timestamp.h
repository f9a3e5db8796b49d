/* Times on the wire: RFC 3339 in UTC with milliseconds, as JavaScript's toISOString. Pure; thread-safe. */
#ifndef PAYFLOW_CORE_TIMESTAMP_H
#define PAYFLOW_CORE_TIMESTAMP_H

#include "core/base.h"

#define TIMESTAMP_SIZE 25 /* "2026-11-24T08:12:13.456Z" and its NUL */

/* Writes ms since 1970 (UTC, years 1970 to 9999; others are clamped) and a NUL. */
void timestamp_format(int64_t time_ms, char out[TIMESTAMP_SIZE]);

/* Reads an RFC 3339 date-time ("2026-11-24T08:12:13Z", fraction of 1 to 9 digits cut to ms, offset "+01:00")
 * or a date alone (midnight UTC). Refuses impossible dates, leap seconds are the next second. False leaves
 * *time_ms alone. */
MUST_CHECK bool timestamp_parse(struct slice text, int64_t *time_ms);

#endif
