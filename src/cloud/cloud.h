/* Tokens instead of passwords (IAM log-in to Cloud SQL and Memorystore): one a purpose, kept by a thread that
 * fetches the next one long before the last one expires, so that the metadata server may be away for a while.
 * Never logged. */
#ifndef PAYFLOW_CLOUD_CLOUD_H
#define PAYFLOW_CLOUD_CLOUD_H

#include "cloud/metadata.h"
#include "settings.h"

enum cloud_purpose { CLOUD_DATABASE, CLOUD_REDIS, CLOUD_PURPOSES };

/* Starts the thread, if the settings say that tokens are needed for anything; call it once, before any
 * cloud_token. settings must outlive it. False without threads. */
MUST_CHECK bool cloud_start(const struct settings *settings);

/* Ends the thread and wipes the tokens. Nobody may be in cloud_token any more. */
void cloud_stop(void);

/* Copies a token that is valid now, waiting for one until deadline_us if there is none (in the past: not
 * waiting). False if there is none. The caller wipes it with explicit_bzero. Thread-safe. */
MUST_CHECK bool cloud_token(enum cloud_purpose purpose, int64_t deadline_us, char out[TOKEN_MAX + 1]);

#endif
