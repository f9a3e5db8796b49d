/* The fingerprint of a request for idempotency: SHA-256 (FIPS 180-4) over its fields, each with its length
 * before it, so that no two different requests share one by moving a boundary. Pure; thread-safe. */
#ifndef PAYFLOW_CORE_FINGERPRINT_H
#define PAYFLOW_CORE_FINGERPRINT_H

#include "core/base.h"

#define FINGERPRINT_BYTES 32
#define IDEMPOTENCY_KEY_MAX 255 /* characters, after unquoting */

/* Writes the SHA-256 of `bytes`. This and the next abort the process if libcrypto fails (memory ran out): a
 * wrong fingerprint could let one request pass for another. */
void fingerprint_sha256(struct slice bytes, uint8_t out[FINGERPRINT_BYTES]);

/* Writes the SHA-256 of `count` fields; absent and empty slices differ. */
void fingerprint_make(const struct slice *fields, size_t count, uint8_t out[FINGERPRINT_BYTES]);

/* Reads an Idempotency-Key header: a bare token as Stripe's clients send, or a structured-field string in
 * double quotes (RFC 8941, section 3.3.3, with its escapes) as the IETF draft has it; "abc" and abc are the
 * same key. 1 to 255 visible ASCII characters and, inside quotes, spaces; a bare key holds no quotes and no
 * backslashes. Writes the key NUL-terminated; false if it is malformed. */
MUST_CHECK bool idempotency_key_parse(struct slice header, char out[IDEMPOTENCY_KEY_MAX + 1]);

#endif
