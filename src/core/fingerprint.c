#include "core/fingerprint.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_MD *sha256; /* fetched once: a look-up by name for each request would be dear */

static void fetch(void) {
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
}

/* libcrypto fails here only when memory runs out. */
static void insist(bool good) {
    if (!good) {
        abort();
    }
}

static EVP_MD_CTX *begin(void) {
    pthread_once(&once, fetch);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    insist(sha256 != NULL && context != NULL && EVP_DigestInit_ex2(context, sha256, NULL) == 1);
    return context;
}

static void add(EVP_MD_CTX *context, const void *data, size_t len) {
    insist(EVP_DigestUpdate(context, data, len) == 1);
}

static void finish(EVP_MD_CTX *context, uint8_t out[FINGERPRINT_BYTES]) {
    insist(EVP_DigestFinal_ex(context, out, NULL) == 1);
    EVP_MD_CTX_free(context);
}

void fingerprint_sha256(struct slice bytes, uint8_t out[FINGERPRINT_BYTES]) {
    EVP_MD_CTX *context = begin();
    add(context, bytes.data, bytes.len);
    finish(context, out);
}

void fingerprint_make(const struct slice *fields, size_t count, uint8_t out[FINGERPRINT_BYTES]) {
    EVP_MD_CTX *context = begin();
    for (size_t i = 0; i < count; i++) {
        uint8_t head[9] = {fields[i].data != NULL}; /* present or not, then the length, big-endian */
        for (size_t byte = 0; byte < 8; byte++) {
            head[1 + byte] = (uint8_t)((uint64_t)fields[i].len >> (56 - 8 * byte));
        }
        add(context, head, sizeof head);
        add(context, fields[i].data, fields[i].len);
    }
    finish(context, out);
}

static struct slice trim(struct slice text) {
    while (text.len > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text.data++;
        text.len--;
    }
    while (text.len > 0 && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t')) {
        text.len--;
    }
    return text;
}

bool idempotency_key_parse(struct slice header, char out[IDEMPOTENCY_KEY_MAX + 1]) {
    struct slice text = trim(header);
    bool quoted = text.len > 0 && text.data[0] == '"';
    size_t at = quoted ? 1 : 0;
    size_t len = 0;
    for (; at < text.len && text.data[at] != '"'; at++) {
        if (text.data[at] == '\\') {
            at++;
            if (!quoted || at == text.len || (text.data[at] != '"' && text.data[at] != '\\')) {
                return false;
            }
        }
        char c = text.data[at];
        if (c < (quoted ? ' ' : '!') || c > '~' || len == IDEMPOTENCY_KEY_MAX) {
            return false;
        }
        out[len++] = c;
    }
    out[len] = '\0';
    return len > 0 && at + (quoted ? 1 : 0) == text.len; /* a closing quote just where there must be one */
}
