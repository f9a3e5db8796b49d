/* `payflow smoke`: what a release's tagged revision must do before it gets traffic. It runs as a job beside
 * the service, because the service takes no calls from outside. */
#ifndef PAYFLOW_SMOKE_H
#define PAYFLOW_SMOKE_H

#include "settings.h"

/* Asks SMOKE_URL (http or https, verified) for /health with APP_VERSION and for /ready, and with SMOKE_KEY, a
 * test key, makes a payment, sends it again under the same idempotency key and reads it back; SMOKE_ROUNDS
 * times. Says what it saw, a line a check. Returns 0 if all is well, 1 at the first check that is not or
 * after SMOKE_LIMIT_S and a second a round, 78 if a setting is missing. Not thread-safe. */
int smoke_run(const struct settings *settings);

#endif
