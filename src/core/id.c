#include "core/id.h"

#include <assert.h>

#define TIME_BYTES 6
#define TIME_MS_MAX ((INT64_C(1) << (8 * TIME_BYTES)) - 1)

static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz"; /* Crockford's: no i, l, o, u */

/* The value of a character, or -1. */
static int value_of(char c) {
    const char *at = c == '\0' ? NULL : strchr(alphabet, c);
    return at == NULL ? -1 : (int)(at - alphabet);
}

void id_make(const char *prefix, int64_t time_ms, const uint8_t random[ID_RANDOM_BYTES], char out[ID_SIZE]) {
    size_t prefix_len = strlen(prefix);
    assert(prefix_len + ID_BODY_CHARS < ID_SIZE && time_ms >= 0 && time_ms <= TIME_MS_MAX);
    uint8_t bytes[TIME_BYTES + ID_RANDOM_BYTES];
    for (size_t i = 0; i < TIME_BYTES; i++) {
        bytes[i] = (uint8_t)(time_ms >> (8 * (TIME_BYTES - 1 - i)));
    }
    memcpy(bytes + TIME_BYTES, random, ID_RANDOM_BYTES);

    memcpy(out, prefix, prefix_len);
    char *to = out + prefix_len;
    unsigned waiting = 0; /* bits that are not written yet, the newest lowest */
    unsigned bits = 2;    /* 26 characters hold 130 bits: two zeros lead */
    for (size_t i = 0; i < sizeof bytes; i++) {
        waiting = (waiting << 8 | bytes[i]) & 0xfff;
        for (bits += 8; bits >= 5; bits -= 5) {
            *to++ = alphabet[waiting >> (bits - 5) & 31];
        }
    }
    *to = '\0';
}

bool id_valid(const char *prefix, struct slice text) {
    size_t prefix_len = strlen(prefix);
    if (text.len != prefix_len + ID_BODY_CHARS || memcmp(text.data, prefix, prefix_len) != 0) {
        return false;
    }
    for (size_t i = prefix_len; i < text.len; i++) {
        if (value_of(text.data[i]) < 0) {
            return false;
        }
    }
    return text.data[prefix_len] <= '7'; /* more than 128 bits otherwise */
}

int64_t id_time_ms(struct slice id) {
    int64_t time_ms = 0;
    for (size_t i = 0; i < 10; i++) { /* ten characters hold two zeros and the 48 bits of time */
        time_ms = time_ms << 5 | (value_of(id.data[id.len - ID_BODY_CHARS + i]) & 31);
    }
    return time_ms;
}

void id_lowest(const char *prefix, int64_t time_ms, char out[ID_SIZE]) {
    static const uint8_t zeros[ID_RANDOM_BYTES] = {0};
    id_make(prefix, time_ms, zeros, out);
}
