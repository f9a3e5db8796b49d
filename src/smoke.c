#include "smoke.h"

#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "core/id.h"
#include "sys/clock.h"

#define IO_LIMIT_S 10  /* one connect, read or write */
#define RETRY_MS 500   /* between two questions whether it is ready */
#define EXIT_CONFIG 78 /* sysexits.h's EX_CONFIG */
#define AMOUNT "1.01"

static const char test_key_prefix[] = "pfk_test_";

/* Where the distributions keep the public authorities; an image without a file system of its own gets this
 * one. */
static const char authorities[] = "/etc/ssl/certs/ca-certificates.crt";

struct smoke {
    const struct settings *settings;
    char authority[264]; /* HOST or HOST:PORT, as in the URL */
    char host[256], port[6];
    SSL_CTX *tls; /* NULL for http */
    int64_t deadline_us;
    char idempotency_key[ID_SIZE + 8];
    char payment[ID_SIZE];
    struct text answer; /* the whole answer, head and body */
};

struct wire {
    int fd;
    SSL *tls; /* NULL for http */
};

/* Splits http[s]://HOST[:PORT][/]. */
static bool parse_url(struct smoke *smoke, bool *https) {
    const char *url = smoke->settings->smoke_url;
    *https = strncmp(url, "https://", 8) == 0;
    if (!*https && strncmp(url, "http://", 7) != 0) {
        return false;
    }
    const char *host = url + (*https ? 8 : 7);
    size_t host_len = strcspn(host, ":/?#@");
    const char *port = host[host_len] == ':' ? host + host_len + 1 : (*https ? "443" : "80");
    size_t port_len = strspn(port, "0123456789");
    const char *rest = host[host_len] == ':' ? port + port_len : host + host_len;
    snprintf(smoke->authority, sizeof smoke->authority, "%.*s", (int)(rest - host), host);
    snprintf(smoke->host, sizeof smoke->host, "%.*s", (int)host_len, host);
    snprintf(smoke->port, sizeof smoke->port, "%.*s", (int)port_len, port);
    return host_len > 0 && host_len < sizeof smoke->host && port_len > 0 && port_len < sizeof smoke->port &&
           (*rest == '\0' || strcmp(rest, "/") == 0);
}

static int connect_any(const struct smoke *smoke) {
    const struct addrinfo wanted = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    const struct timeval limit = {.tv_sec = IO_LIMIT_S};
    struct addrinfo *found = NULL;
    if (getaddrinfo(smoke->host, smoke->port, &wanted, &found) != 0) {
        return -1;
    }
    int fd = -1;
    for (const struct addrinfo *at = found; at != NULL && fd < 0; at = at->ai_next) {
        fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0) {
            continue;
        }
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit); /* for connect too */
        if (connect(fd, at->ai_addr, at->ai_addrlen) != 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    return fd;
}

static const char *wire_open(const struct smoke *smoke, struct wire *wire) {
    wire->tls = NULL;
    wire->fd = connect_any(smoke);
    if (wire->fd < 0) {
        return "no connection";
    }
    if (smoke->tls == NULL) {
        return NULL;
    }
    wire->tls = SSL_new(smoke->tls);
    if (wire->tls == NULL || SSL_set_fd(wire->tls, wire->fd) != 1 ||
        SSL_set1_host(wire->tls, smoke->host) != 1 || SSL_set_tlsext_host_name(wire->tls, smoke->host) != 1) {
        return "no memory for TLS";
    }
    if (SSL_connect(wire->tls) != 1) {
        long result = SSL_get_verify_result(wire->tls);
        return result == X509_V_OK ? "no TLS" : X509_verify_cert_error_string(result);
    }
    return NULL;
}

static void wire_close(struct wire *wire) {
    SSL_free(wire->tls);
    if (wire->fd >= 0) {
        close(wire->fd);
    }
}

static bool wire_send(const struct wire *wire, const char *data, size_t len) {
    while (len > 0) {
        ssize_t sent = wire->tls != NULL ? SSL_write(wire->tls, data, (int)len)
                                         : send(wire->fd, data, len, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        data += sent;
        len -= (size_t)sent;
    }
    return true;
}

/* Reads until the server closes; false when there is too much of it, or too late. */
static bool wire_receive(const struct wire *wire, int64_t deadline_us, struct text *out) {
    char piece[4096];
    while (clock_monotonic_us() < deadline_us && !out->failed) {
        ssize_t got = wire->tls != NULL ? SSL_read(wire->tls, piece, (int)sizeof piece)
                                        : recv(wire->fd, piece, sizeof piece, 0);
        if (got <= 0) {
            return out->len > 0;
        }
        text_add(out, piece, (size_t)got);
    }
    return false;
}

/* Sends one request on a connection of its own. The status, the answer in smoke->answer; 0 and why after any
 * failure. */
static int ask(struct smoke *smoke, const char *method, const char *path, const char *body,
               const char **why) {
    char buffer[2048];
    struct text request;
    struct wire wire = {.fd = -1};
    text_init(&request, buffer, sizeof buffer, 16384);
    text_printf(&request, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nUser-Agent: payflow-smoke\r\n",
                method, path, smoke->authority);
    text_printf(&request, "Authorization: Bearer %s\r\n", smoke->settings->smoke_key);
    if (body != NULL) {
        text_printf(&request,
                    "Content-Type: application/json\r\nContent-Length: %zu\r\nIdempotency-Key: %s\r\n",
                    strlen(body), smoke->idempotency_key);
    }
    text_printf(&request, "\r\n%s", body != NULL ? body : "");
    text_clear(&smoke->answer);
    *why = request.failed ? "the request is too long" : wire_open(smoke, &wire);
    if (!request.failed) {
        if (*why == NULL && !wire_send(&wire, request.data, request.len)) {
            *why = "the connection broke";
        }
        if (*why == NULL && !wire_receive(&wire, smoke->deadline_us, &smoke->answer)) {
            *why = "no answer in time";
        }
        wire_close(&wire);
    }
    text_free(&request);
    int status = 0;
    if (*why == NULL && sscanf(smoke->answer.data, "HTTP/1.%*c %3d ", &status) != 1) {
        *why = "no HTTP";
        status = 0;
    }
    return status;
}

static const char *body_of(const struct smoke *smoke) {
    const char *end = smoke->answer.len > 0 ? strstr(smoke->answer.data, "\r\n\r\n") : NULL;
    return end != NULL ? end + 4 : "";
}

/* Says that a check failed, with what came. Returns false. */
static bool failed(const struct smoke *smoke, const char *check, int status, const char *why) {
    if (status == 0) {
        fprintf(stderr, "smoke: FAILED %s: %s (%s)\n", check, why, smoke->settings->smoke_url);
    } else {
        fprintf(stderr, "smoke: FAILED %s: %s; it answered %d %.300s\n", check, why, status, body_of(smoke));
    }
    return false;
}

static bool check_health(struct smoke *smoke) {
    char buffer[256];
    struct text version;
    const char *why;
    int status = ask(smoke, "GET", "/health", NULL, &why);
    if (status != 200 || strstr(body_of(smoke), "\"status\":\"healthy\"") == NULL) {
        return failed(smoke, "health", status, why != NULL ? why : "not healthy");
    }
    text_init(&version, buffer, sizeof buffer, 4096);
    text_add_string(&version, "\"version\":");
    text_add_json(&version, slice_of(smoke->settings->app_version));
    bool expected = !version.failed && strstr(body_of(smoke), version.data) != NULL;
    text_free(&version);
    char explanation[200];
    snprintf(explanation, sizeof explanation, "expected version %.100s", smoke->settings->app_version);
    return expected || failed(smoke, "version", status, explanation);
}

/* A new revision may still be connecting to its database. */
static bool check_ready(struct smoke *smoke) {
    const char *why;
    int status = ask(smoke, "GET", "/ready", NULL, &why);
    while (status != 200 && clock_monotonic_us() + RETRY_MS * 1000 < smoke->deadline_us) {
        clock_sleep_ms(RETRY_MS);
        status = ask(smoke, "GET", "/ready", NULL, &why);
    }
    return status == 200 || failed(smoke, "ready", status, why != NULL ? why : "not ready");
}

/* The payment's id in the answer. */
static bool read_id(const struct smoke *smoke, char id[ID_SIZE]) {
    static const char before[] = "\"id\":\"";
    const char *at = strstr(body_of(smoke), before);
    id[0] = '\0';
    if (at != NULL) {
        snprintf(id, ID_SIZE, "%.*s", ID_SIZE - 1, at + sizeof before - 1);
    }
    return id_valid(ID_PAYMENT, slice_of(id));
}

static bool check_create(struct smoke *smoke, bool again) {
    static const char body[] = "{\"amount\":" AMOUNT ",\"currency\":\"EUR\",\"reference\":\"smoke\"}";
    const char *check = again ? "replay" : "payment";
    char id[ID_SIZE];
    const char *why;
    int status = ask(smoke, "POST", "/api/v1/payments", body, &why);
    if (status != 201 || !read_id(smoke, id)) {
        return failed(smoke, check, status, why != NULL ? why : "no payment was made");
    }
    if (strstr(body_of(smoke), "\"livemode\":false") == NULL) {
        return failed(smoke, check, status, "it is no test payment");
    }
    if (!again) {
        snprintf(smoke->payment, sizeof smoke->payment, "%s", id);
        return true;
    }
    bool replayed = strcasestr(smoke->answer.data, "\r\nidempotent-replayed: true\r\n") != NULL;
    return (replayed && strcmp(id, smoke->payment) == 0) ||
           failed(smoke, check, status, "the same key made it a second time");
}

static bool check_read(struct smoke *smoke) {
    char path[64];
    char id[ID_SIZE];
    const char *why;
    snprintf(path, sizeof path, "/api/v1/payments/%s", smoke->payment);
    int status = ask(smoke, "GET", path, NULL, &why);
    if (status != 200) {
        return failed(smoke, "read", status, why != NULL ? why : "the payment can't be read");
    }
    bool same = read_id(smoke, id) && strcmp(id, smoke->payment) == 0 &&
                strstr(body_of(smoke), "\"amount\":" AMOUNT ",\"currency\":\"EUR\"") != NULL;
    return same || failed(smoke, "read", status, "another payment came back");
}

static bool one_round(struct smoke *smoke) {
    uint8_t random[ID_RANDOM_BYTES];
    random_bytes(random, sizeof random);
    memcpy(smoke->idempotency_key, "smoke-", 6);
    id_make("", clock_wall_ms(), random, smoke->idempotency_key + 6);
    return check_create(smoke, false) && check_create(smoke, true) && check_read(smoke);
}

static bool run(struct smoke *smoke) {
    int64_t rounds = smoke->settings->smoke_rounds;
    smoke->deadline_us = clock_monotonic_us() + (smoke->settings->smoke_limit_s + rounds) * 1000000;
    if (!check_health(smoke) || !check_ready(smoke)) {
        return false;
    }
    printf("smoke: healthy and ready, version %s\n", smoke->settings->app_version);
    for (int64_t done = 0; done < rounds; done++) {
        if (!one_round(smoke)) {
            return false;
        }
    }
    printf("smoke: payment %s made, replayed and read back; rounds: %lld\n", smoke->payment,
           (long long)rounds);
    return true;
}

static SSL_CTX *tls_new(void) {
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    if (tls != NULL) {
        SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
        SSL_CTX_set_default_verify_paths(tls); /* SSL_CERT_FILE, or where OpenSSL was built to look */
        SSL_CTX_load_verify_locations(tls, authorities, NULL);
        ERR_clear_error(); /* either may be missing; without both nothing is trusted */
    }
    return tls;
}

int smoke_run(const struct settings *settings) {
    struct smoke smoke = {.settings = settings};
    bool https = false;
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, SIG_IGN);
    if (!parse_url(&smoke, &https)) {
        fprintf(stderr, "SMOKE_URL: must be http://HOST[:PORT] or https://HOST[:PORT]\n");
        return EXIT_CONFIG;
    }
    if (strncmp(settings->smoke_key, test_key_prefix, sizeof test_key_prefix - 1) != 0) {
        fprintf(stderr, "SMOKE_KEY: must be a test key (%s...)\n", test_key_prefix);
        return EXIT_CONFIG;
    }
    smoke.tls = https ? tls_new() : NULL;
    if (https && smoke.tls == NULL) {
        fprintf(stderr, "smoke: no memory for TLS\n");
        return 1;
    }
    text_init(&smoke.answer, NULL, 0, 131072);
    bool well = run(&smoke);
    text_free(&smoke.answer);
    SSL_CTX_free(smoke.tls);
    return well ? 0 : 1;
}
