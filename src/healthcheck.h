/* `payflow healthcheck`: for HEALTHCHECK in an image that has no shell and no curl. */
#ifndef PAYFLOW_HEALTHCHECK_H
#define PAYFLOW_HEALTHCHECK_H

#include "core/base.h"

/* Asks 127.0.0.1:port for /health, at most two seconds. Returns 0 if it answered 200, else 1 after a line on
 * stderr. */
int healthcheck_run(int64_t port);

#endif
