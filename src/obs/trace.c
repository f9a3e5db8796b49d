#include "obs/trace.h"

#include "sys/clock.h"

#define TRACE_DIGITS 32
#define SPAN_DIGITS 16
#define TRACEPARENT_LEN 55 /* of version 00: 2, 32, 16 and 2 digits with dashes between */

static const char hex_alphabet[] = "0123456789abcdef";

static void write_hex(const uint8_t *bytes, size_t count, char *out) {
    for (size_t i = 0; i < count; i++) {
        *out++ = hex_alphabet[bytes[i] >> 4];
        *out++ = hex_alphabet[bytes[i] & 15];
    }
    *out = '\0';
}

/* The value of a lower-case hexadecimal digit, or -1. */
static int hex_value(char c) {
    const char *at = memchr(hex_alphabet, c, sizeof hex_alphabet - 1);
    return at == NULL ? -1 : (int)(at - hex_alphabet);
}

static bool all_hex(const char *text, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (hex_value(text[i]) < 0) {
            return false;
        }
    }
    return true;
}

/* Copies an id of `len` lower-case hexadecimal digits that are not all zero. */
static bool copy_id(const char *text, size_t len, char *out) {
    static const char zeros[] = "00000000000000000000000000000000";
    if (!all_hex(text, len) || memcmp(text, zeros, len) == 0) {
        return false;
    }
    memcpy(out, text, len);
    out[len] = '\0';
    return true;
}

/* W3C Trace Context, section 3.2: version-traceid-spanid-flags. A later version may go on after another dash.
 */
static bool read_traceparent(struct slice header, struct trace *trace) {
    const char *text = header.data;
    if (header.len < TRACEPARENT_LEN || text[2] != '-' || text[35] != '-' || text[52] != '-') {
        return false;
    }
    bool version_0 = memcmp(text, "00", 2) == 0;
    bool goes_on = header.len > TRACEPARENT_LEN;
    if (!all_hex(text, 2) || memcmp(text, "ff", 2) == 0 ||
        (goes_on && (version_0 || text[TRACEPARENT_LEN] != '-'))) {
        return false;
    }
    if (!all_hex(text + 53, 2) || !copy_id(text + 3, TRACE_DIGITS, trace->trace_id) ||
        !copy_id(text + 36, SPAN_DIGITS, trace->span_id)) {
        return false;
    }
    trace->sampled = (hex_value(text[54]) & 1) != 0;
    return true;
}

/* Reads a decimal span id, which must fit 64 bits and end at a ";" or at the end. Takes it off *rest. */
static bool take_span(struct slice *rest, uint64_t *span) {
    size_t i = 0;
    *span = 0;
    for (; i < rest->len && rest->data[i] >= '0' && rest->data[i] <= '9'; i++) {
        uint64_t digit = (uint64_t)(rest->data[i] - '0');
        if (*span > (UINT64_MAX - digit) / 10) {
            return false;
        }
        *span = *span * 10 + digit;
    }
    rest->data += i;
    rest->len -= i;
    return i > 0;
}

/* Google's older header, TRACE/SPAN;o=1: hexadecimal digits of either case, a decimal span, options; the last
 * two may be missing. */
static bool read_cloud_trace(struct slice header, struct trace *trace) {
    char lower[TRACE_DIGITS];
    uint64_t span = 0;
    if (header.len < TRACE_DIGITS) {
        return false;
    }
    for (size_t i = 0; i < TRACE_DIGITS; i++) {
        char c = header.data[i];
        lower[i] = c >= 'A' && c <= 'F' ? (char)(c - 'A' + 'a') : c;
    }
    struct slice rest = {header.data + TRACE_DIGITS, header.len - TRACE_DIGITS};
    if (rest.len > 0 && rest.data[0] == '/') {
        rest.data++;
        rest.len--;
        if (!take_span(&rest, &span)) {
            return false;
        }
    }
    bool sampled = slice_equal(rest, slice_of(";o=1"));
    if (!(rest.len == 0 || sampled || slice_equal(rest, slice_of(";o=0"))) ||
        !copy_id(lower, TRACE_DIGITS, trace->trace_id)) {
        return false;
    }
    trace->sampled = sampled;
    if (span != 0) {
        uint8_t bytes[SPAN_DIGITS / 2];
        for (size_t i = 0; i < sizeof bytes; i++) {
            bytes[i] = (uint8_t)(span >> (56 - 8 * i));
        }
        write_hex(bytes, sizeof bytes, trace->span_id);
    }
    return true;
}

static bool request_id_valid(struct slice id) {
    for (size_t i = 0; i < id.len; i++) {
        char c = id.data[i];
        bool alphanumeric = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alphanumeric && (c == '\0' || strchr("-._~:/+=", c) == NULL)) {
            return false;
        }
    }
    return id.len > 0 && id.len <= REQUEST_ID_MAX;
}

void trace_read(struct slice request_id, struct slice traceparent, struct slice cloud_trace,
                struct trace *trace) {
    *trace = (struct trace){.sampled = false};
    if (!read_traceparent(traceparent, trace)) {
        *trace = (struct trace){.sampled = false}; /* nothing of one that was half good */
        if (!read_cloud_trace(cloud_trace, trace)) {
            uint8_t random[TRACE_DIGITS / 2];
            random_bytes(random, sizeof random);
            write_hex(random, sizeof random, trace->trace_id);
        }
    }
    struct slice id = request_id_valid(request_id) ? request_id : slice_of(trace->trace_id);
    memcpy(trace->request_id, id.data, id.len);
    trace->request_id[id.len] = '\0';
}
