#include "core/cursor.h"

#include <assert.h>

/* What a cursor's text encodes: a version, a check of 4 bytes over filter and place, and the place. The check
 * is no secret: a cursor gives nobody a right, so it only has to catch mistakes. Numbers are big-endian. */
#define VERSION_LIST 1
#define VERSION_FEED 2
#define HEAD_BYTES 5
#define FEED_PLACE_BYTES 20
#define CURSOR_BYTES_MAX (HEAD_BYTES + ID_SIZE)

_Static_assert((CURSOR_BYTES_MAX * 4 + 2) / 3 < CURSOR_TEXT_MAX, "every cursor fits its text");

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void put_number(uint8_t *out, uint64_t value, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        out[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
    }
}

static uint64_t get_number(const uint8_t *in, size_t bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) {
        value = value << 8 | in[i];
    }
    return value;
}

static void encode(uint8_t version, uint32_t filter_hash, struct slice place, char out[CURSOR_TEXT_MAX]) {
    uint8_t bytes[CURSOR_BYTES_MAX];
    assert(HEAD_BYTES + place.len <= sizeof bytes);
    bytes[0] = version;
    put_number(bytes + 1, cursor_hash(filter_hash, place), 4);
    memcpy(bytes + HEAD_BYTES, place.data, place.len);

    unsigned waiting = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < HEAD_BYTES + place.len; i++) {
        waiting = (waiting << 8 | bytes[i]) & 0xffff;
        for (bits += 8; bits >= 6; bits -= 6) {
            *out++ = alphabet[waiting >> (bits - 6) & 63];
        }
    }
    if (bits > 0) {
        *out++ = alphabet[waiting << (6 - bits) & 63];
    }
    *out = '\0';
}

/* The place that `text` holds, as a slice of `bytes`; absent if it is not a cursor that encode made for this
 * filter. */
static struct slice decode(struct slice text, uint8_t version, uint32_t filter_hash,
                           uint8_t bytes[CURSOR_BYTES_MAX]) {
    const struct slice none = {NULL, 0};
    size_t count = 0;
    unsigned waiting = 0;
    unsigned bits = 0;
    if (text.len * 6 / 8 > CURSOR_BYTES_MAX || text.len % 4 == 1) {
        return none;
    }
    for (size_t i = 0; i < text.len; i++) {
        const char *at = memchr(alphabet, text.data[i], sizeof alphabet - 1);
        if (at == NULL) {
            return none;
        }
        waiting = (waiting << 6 | (unsigned)(at - alphabet)) & 0xffff;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            bytes[count++] = (uint8_t)(waiting >> bits);
        }
    }
    if ((waiting & ((1u << bits) - 1)) != 0 || count < HEAD_BYTES || bytes[0] != version) {
        return none; /* left-over bits must be zero, so that a place has one text only */
    }
    struct slice place = {(const char *)bytes + HEAD_BYTES, count - HEAD_BYTES};
    return get_number(bytes + 1, 4) == cursor_hash(filter_hash, place) ? place : none;
}

void cursor_format(const char *id, uint32_t filter_hash, char out[CURSOR_TEXT_MAX]) {
    encode(VERSION_LIST, filter_hash, slice_of(id), out);
}

bool cursor_parse(struct slice text, const char *prefix, uint32_t filter_hash, char id[ID_SIZE]) {
    uint8_t bytes[CURSOR_BYTES_MAX];
    struct slice place = decode(text, VERSION_LIST, filter_hash, bytes);
    if (place.data == NULL || !id_valid(prefix, place)) {
        return false;
    }
    memcpy(id, place.data, place.len);
    id[place.len] = '\0';
    return true;
}

void feed_cursor_format(struct feed_place place, char out[CURSOR_TEXT_MAX]) {
    uint8_t bytes[FEED_PLACE_BYTES];
    put_number(bytes, (uint32_t)place.epoch, 4);
    put_number(bytes + 4, place.xid, 8);
    put_number(bytes + 12, (uint64_t)place.seq, 8);
    encode(VERSION_FEED, CURSOR_HASH_SEED, (struct slice){(const char *)bytes, sizeof bytes}, out);
}

bool feed_cursor_parse(struct slice text, struct feed_place *place) {
    uint8_t bytes[CURSOR_BYTES_MAX];
    struct slice found = decode(text, VERSION_FEED, CURSOR_HASH_SEED, bytes);
    if (found.data == NULL || found.len != FEED_PLACE_BYTES) {
        return false;
    }
    const uint8_t *at = bytes + HEAD_BYTES;
    place->epoch = (int32_t)get_number(at, 4);
    place->xid = get_number(at + 4, 8);
    place->seq = (int64_t)get_number(at + 12, 8);
    return true;
}

uint32_t cursor_hash(uint32_t hash, struct slice bytes) {
    for (size_t i = 0; i < bytes.len; i++) {
        hash = (hash ^ (uint8_t)bytes.data[i]) * UINT32_C(16777619);
    }
    return hash;
}
