/* Counts the open connections of each client address, for the cap per address. Not thread-safe: the front's
 * lock. */
#ifndef PAYFLOW_HTTP_CENSUS_H
#define PAYFLOW_HTTP_CENSUS_H

#include <netinet/in.h>

#include "core/base.h"

struct census;

/* A census that lets each address have `cap` connections (at most 65535). NULL if memory ran out. */
struct census *census_new(unsigned cap);
void census_free(struct census *census);

/* Counts a connection from that address. False, and nothing is counted, if it has `cap` already. *bucket is
 * for census_leave. An IPv6 client counts by its /64, because it can take any address in it. */
MUST_CHECK bool census_enter(struct census *census, const struct sockaddr_storage *address, uint32_t *bucket);
void census_leave(struct census *census, uint32_t bucket);

/* The address in numbers; an IPv4 one that came over an IPv6 socket as IPv4. Pure. */
void census_name(const struct sockaddr_storage *address, char out[INET6_ADDRSTRLEN]);

#endif
