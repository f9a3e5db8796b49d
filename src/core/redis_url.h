/* REDIS_URL taken apart. Pure. */
#ifndef PAYFLOW_CORE_REDIS_URL_H
#define PAYFLOW_CORE_REDIS_URL_H

#include "core/base.h"

struct redis_url {
    bool tls;
    char host[256]; /* a name or an address, without brackets */
    int port;       /* 6379 if not given */
    char user[128]; /* "" if not given */
    char password[512];
    int database; /* 0 if not given */
};

/* Reads redis://[[user]:password@]host[:port][/database], rediss:// for TLS; user and password may be
 * percent-encoded, an IPv6 address stands in brackets. Returns NULL, or what is wrong with it (never a part
 * of it: it holds a password). */
MUST_CHECK const char *redis_url_parse(const char *text, struct redis_url *url);

#endif
