#include "cache/link.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>

#include <hiredis/hiredis_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "cloud/cloud.h"
#include "sys/clock.h"

#define STEP_LIMIT_S 1

static void explain(char *why, size_t size, const char *step, const char *detail) {
    snprintf(why, size, "%s: %s", step, detail == NULL || detail[0] == '\0' ? "unknown reason" : detail);
}

/* Only a certificate for this very name or address will do, from an authority of `ca` (or of the system, if
 * it is ""). */
static bool demand_identity(SSL *ssl, const char *host) {
    struct in6_addr address;
    bool is_address = inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
    SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
    if (is_address) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    }
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static SSL *new_ssl(const char *host, const char *ca) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *ssl = NULL;
    if (context != NULL && SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
        (ca[0] == '\0' ? SSL_CTX_set_default_verify_paths(context) : SSL_CTX_load_verify_file(context, ca)) ==
            1) {
        ssl = SSL_new(context);
    }
    SSL_CTX_free(context); /* the SSL holds it */
    if (ssl != NULL && !demand_identity(ssl, host)) {
        SSL_free(ssl);
        ssl = NULL;
    }
    return ssl;
}

static bool secure(redisContext *redis, const char *host, const char *ca, char *why, size_t why_size) {
    SSL *ssl = new_ssl(host, ca);
    if (ssl == NULL) {
        explain(why, why_size, "REDIS_CA", ERR_reason_error_string(ERR_peek_last_error()));
        ERR_clear_error();
        return false;
    }
    if (redisInitiateSSL(redis, ssl) != REDIS_OK) {
        long verdict = SSL_get_verify_result(ssl);
        explain(why, why_size, "TLS",
                verdict != X509_V_OK ? X509_verify_cert_error_string(verdict) : redis->errstr);
        SSL_free(ssl); /* hiredis takes it over only when it succeeds */
        ERR_clear_error();
        return false;
    }
    return true;
}

/* Sends one command and wants a reply that is no error. */
static bool demand(redisContext *redis, int argc, const char **argv, char *why, size_t why_size) {
    redisReply *reply = redisCommandArgv(redis, argc, argv, NULL);
    bool good = reply != NULL && reply->type != REDIS_REPLY_ERROR;
    if (!good) {
        explain(why, why_size, argv[0], reply == NULL ? redis->errstr : reply->str);
    }
    freeReplyObject(reply);
    return good;
}

/* The AUTH command as configured, or with a token, waiting for that until deadline_us. False if there is no
 * token; an argc of 0: no log-in is wanted. */
struct login {
    int argc;
    const char *argv[3];
    char token[TOKEN_MAX + 1];
};

static bool make_login(const struct redis_url *url, const struct settings *settings, int64_t deadline_us,
                       struct login *login) {
    const char *user = url->user;
    const char *password = url->password;
    login->argc = 0;
    if (settings->redis_iam) {
        if (!cloud_token(CLOUD_REDIS, deadline_us, login->token)) {
            return false;
        }
        user = user[0] == '\0' ? "default" : user;
        password = login->token;
    }
    if (user[0] != '\0' || password[0] != '\0') {
        login->argv[login->argc++] = "AUTH";
        if (user[0] != '\0') {
            login->argv[login->argc++] = user;
        }
        login->argv[login->argc++] = password;
    }
    return true;
}

bool link_append_login(redisContext *redis, const struct redis_url *url, const struct settings *settings) {
    struct login login;
    bool good = make_login(url, settings, 0, &login) && login.argc > 0 &&
                redisAppendCommandArgv(redis, login.argc, login.argv, NULL) == REDIS_OK;
    explicit_bzero(&login, sizeof login);
    return good;
}

static bool log_in(redisContext *redis, const struct redis_url *url, const struct settings *settings,
                   char *why, size_t why_size) {
    struct login login;
    char database[16];
    const char *select[] = {"SELECT", database};
    snprintf(database, sizeof database, "%d", url->database);
    bool good = make_login(url, settings, clock_monotonic_us() + STEP_LIMIT_S * 1000000, &login);
    if (!good) {
        explain(why, why_size, "AUTH", "no token");
    }
    good = good && (login.argc == 0 || demand(redis, login.argc, login.argv, why, why_size));
    explicit_bzero(&login, sizeof login);
    return good && (url->database == 0 || demand(redis, 2, select, why, why_size));
}

redisContext *link_open(const struct redis_url *url, const struct settings *settings, char *why,
                        size_t why_size) {
    const struct timeval limit = {.tv_sec = STEP_LIMIT_S};
    redisOptions options = {.connect_timeout = &limit, .command_timeout = &limit};
    REDIS_OPTIONS_SET_TCP(&options, url->host, url->port);
    redisContext *redis = redisConnectWithOptions(&options);
    if (redis == NULL || redis->err != 0) {
        explain(why, why_size, "connecting", redis == NULL ? "out of memory" : redis->errstr);
    } else if ((!url->tls || secure(redis, url->host, settings->redis_ca, why, why_size)) &&
               log_in(redis, url, settings, why, why_size)) {
        redisEnableKeepAlive(redis);
        return redis;
    }
    redisFree(redis);
    return NULL;
}

bool link_unblock(redisContext *redis) {
    int flags = fcntl(redis->fd, F_GETFL);
    redis->flags &= ~REDIS_BLOCK;
    return flags != -1 && fcntl(redis->fd, F_SETFL, flags | O_NONBLOCK) == 0;
}
