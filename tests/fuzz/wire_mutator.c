/* Mutations for wire.c that know what a stream of requests is: whole requests and header lines come in, go
 * out, stand twice; lengths are made right; bodies become chunked. Half of the time bytes change as usual. */
#include <ctype.h>

#include "fuzz.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);

#define KEY                                                                                                  \
    "Authorization: Bearer pfk_test_00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\r\n"
#define TYPE "Content-Type: application/json\r\n"
#define ID "/api/v1/payments/pay_01jdewx1b8tq3v9h6k2m4n5p7r"
#define ON(method, target) method " " target " HTTP/1.1\r\nHost: x\r\n"

static const char *const requests[] = {
    ON("GET", "/health") "\r\n",
    ON("HEAD", "/health") "\r\n",
    ON("OPTIONS", "*") "\r\n",
    ON("GET", "http://x/health?a=b") "Connection: keep-alive\r\n\r\n",
    "GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    ON("GET", ID) KEY "\r\n",
    ON("GET", "/api/v1/payments?limit=1&currency=EUR") KEY "\r\n",
    ON("GET", "/api/v1/events?limit=1") KEY "\r\n",
    ON("POST", "/api/v1/payments") KEY TYPE
    "Content-Length: 32\r\n\r\n{\"amount\":48.0,\"currency\":\"EUR\"}",
    ON("POST", "/api/v1/payments") KEY TYPE
    "Expect: 100-continue\r\nContent-Length: 32\r\n\r\n{\"amount\":48.1,\"currency\":\"EUR\"}",
    ON("POST", "/api/v1/payments") TYPE "Transfer-Encoding: chunked\r\n\r\n6\r\n{\"amou\r\n1a;x=\"y\"\r\n"
                                        "nt\":1.44,\"currency\":\"EUR\"}\r\n0\r\nX: y\r\n\r\n",
    ON("POST", ID "/capture") KEY "\r\n",
    ON("POST", ID "/refunds") KEY TYPE "Content-Length: 12\r\n\r\n{\"amount\":1}",
    ON("POST", "/nope") TYPE "Content-Length: 5\r\n\r\nhello",
};

static const char *const lines[] = {
    "Connection: close\r\n",
    "Connection: keep-alive\r\n",
    "Expect: 100-continue\r\n",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Idempotency-Key: k1\r\n",
    "Idempotency-Key: \"k 2\"\r\n",
    KEY,
    TYPE,
    "Host: x\r\n",
    "X-Forwarded-For: 203.0.113.9\r\n",
    "X-Request-Id: abc\r\n",
    "Content-Encoding: gzip\r\n",
    " folded\r\n",
    "X : y\r\n",
    "X: y\n",
};

static unsigned draw(unsigned *state, size_t below) {
    *state = *state * 1103515245 + 12345;
    return below == 0 ? 0 : (*state >> 8) % (unsigned)below;
}

/* A place where a head may end or begin: behind a random blank line, or the start. */
static size_t boundary(const uint8_t *data, size_t size, unsigned *state) {
    size_t at[64] = {1};
    size_t count = 1;
    for (size_t i = 1; i + 4 <= size && count < 64; i++) {
        if (memcmp(data + i, "\r\n\r\n", 4) == 0) {
            at[count++] = i + 4;
        }
    }
    return at[draw(state, count)];
}

static size_t insert(uint8_t *data, size_t size, size_t max_size, size_t at, const void *piece, size_t len) {
    if (at > size || len > max_size - size) {
        return size;
    }
    memmove(data + at + len, data + at, size - at);
    memcpy(data + at, piece, len);
    return size + len;
}

/* Between two boundaries: taken out, or repeated at the second. */
static size_t whole_messages(uint8_t *data, size_t size, size_t max_size, bool repeat, unsigned *state) {
    size_t from = boundary(data, size, state);
    size_t to = boundary(data, size, state);
    static uint8_t copy[8192];
    if (from >= to || to - from > sizeof copy) {
        return size;
    }
    if (repeat) {
        memcpy(copy, data + from, to - from);
        return insert(data, size, max_size, to, copy, to - from);
    }
    memmove(data + from, data + to, size - to);
    return size - (to - from);
}

/* Makes a Content-Length that of all that follows its head, or of what stands before the next request. */
static size_t right_length(uint8_t *data, size_t size, size_t max_size) {
    static const char name[] = "Content-Length: ";
    char digits[24];
    uint8_t *line = memmem(data, size, name, sizeof name - 1);
    uint8_t *end = line == NULL ? NULL : memmem(line, size - (size_t)(line - data), "\r\n\r\n", 4);
    if (end == NULL) {
        return size;
    }
    size_t at = (size_t)(line - data) + sizeof name - 1;
    size_t body = (size_t)(end - data) + 4;
    uint8_t *next = memmem(data + body, size - body, "GET ", 4);
    size_t len = (next == NULL ? size : (size_t)(next - data)) - body;
    size_t old = 0;
    while (isdigit(data[at + old])) {
        old++;
    }
    memmove(data + at, data + at + old, size - at - old);
    int written = snprintf(digits, sizeof digits, "%zu", len);
    return insert(data, size - old, max_size, at, digits, (size_t)written);
}

/* What follows a head becomes one chunk. */
static size_t into_chunk(uint8_t *data, size_t size, size_t max_size, unsigned *state) {
    char line[24];
    size_t at = boundary(data, size, state);
    size_t len = draw(state, size - at + 1);
    if (max_size - size < 32) {
        return size;
    }
    size = insert(data, size, max_size, at + len, "\r\n0\r\n\r\n", 7);
    int written = snprintf(line, sizeof line, "%zx\r\n", len);
    return insert(data, size, max_size, at, line, (size_t)written);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed) {
    unsigned state = seed;
    const char *piece;
    if (size == 0) {
        data[0] = 0;
        return 1;
    }
    switch (draw(&state, 16)) {
    case 0:
    case 1:
        piece = requests[draw(&state, ARRAY_LEN(requests))];
        return insert(data, size, max_size, boundary(data, size, &state), piece, strlen(piece));
    case 2:
    case 3: {
        piece = lines[draw(&state, ARRAY_LEN(lines))];
        size_t from = boundary(data, size, &state);
        uint8_t *end = memmem(data + from, size - from, "\r\n", 2);
        return end == NULL ? size
                           : insert(data, size, max_size, (size_t)(end - data) + 2, piece, strlen(piece));
    }
    case 4:
        return whole_messages(data, size, max_size, false, &state);
    case 5:
        return whole_messages(data, size, max_size, true, &state);
    case 6:
        return right_length(data, size, max_size);
    case 7:
        return into_chunk(data, size, max_size, &state);
    case 8:
        data[0] = (uint8_t)draw(&state, 256);
        return size;
    default:
        return LLVMFuzzerMutate(data, size, max_size);
    }
}
