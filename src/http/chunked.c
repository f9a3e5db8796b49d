#include "http/chunked.h"

#include "http/head.h"

#define DIGITS_MAX 8

static int hex_value(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool is_text(char c) {
    return (unsigned char)c >= 0x20 ? c != 0x7f : c == '\t';
}

/* In the line of a chunk's size. */
static bool step_size(struct chunked *chunked, char c) {
    int value = hex_value(c);
    if (chunked->state == CHUNKED_SIZE && value >= 0 && chunked->digits < DIGITS_MAX) {
        chunked->digits++;
        chunked->left = chunked->left * 16 + (size_t)value;
        return true;
    }
    if (chunked->digits == 0) {
        return false;
    }
    if (c == ' ' || c == '\t') {
        chunked->state = CHUNKED_SIZE_SPACE;
        return ++chunked->extra <= CHUNKED_EXTRA_BYTES_MAX;
    }
    if (c == ';') {
        chunked->state = CHUNKED_EXTENSION;
        return true;
    }
    chunked->state = c == '\r' && chunked->state == CHUNKED_SIZE ? CHUNKED_SIZE_LF : chunked->state;
    return chunked->state == CHUNKED_SIZE_LF;
}

/* In what is dropped: an extension, a trailer's name or its value. */
static bool step_extra(struct chunked *chunked, char c) {
    if (++chunked->extra > CHUNKED_EXTRA_BYTES_MAX) {
        return false;
    }
    if (chunked->state == CHUNKED_TRAILER_NAME) {
        chunked->state = c == ':' ? CHUNKED_TRAILER_VALUE : CHUNKED_TRAILER_NAME;
        return c == ':' || head_is_token_char(c);
    }
    if (c == '\r') {
        chunked->state = chunked->state == CHUNKED_EXTENSION ? CHUNKED_SIZE_LF : CHUNKED_TRAILER_LF;
        return true;
    }
    return is_text(c);
}

/* One byte outside of a chunk's data. False if it cannot stand there. */
static bool step(struct chunked *chunked, char c) {
    switch (chunked->state) {
    case CHUNKED_SIZE:
    case CHUNKED_SIZE_SPACE:
        return step_size(chunked, c);
    case CHUNKED_EXTENSION:
    case CHUNKED_TRAILER_NAME:
    case CHUNKED_TRAILER_VALUE:
        return step_extra(chunked, c);
    case CHUNKED_SIZE_LF:
        chunked->state = chunked->left == 0 ? CHUNKED_TRAILER : CHUNKED_DATA;
        return c == '\n';
    case CHUNKED_DATA_CR:
        chunked->state = CHUNKED_DATA_LF;
        return c == '\r';
    case CHUNKED_DATA_LF:
        chunked->state = CHUNKED_SIZE;
        chunked->digits = 0;
        return c == '\n';
    case CHUNKED_TRAILER:
        chunked->state = c == '\r' ? CHUNKED_LAST_LF : CHUNKED_TRAILER_NAME;
        return c == '\r' || head_is_token_char(c);
    case CHUNKED_TRAILER_LF:
        chunked->state = CHUNKED_TRAILER;
        return c == '\n';
    case CHUNKED_LAST_LF:
        return c == '\n';
    case CHUNKED_DATA:
        break;
    }
    return false;
}

enum chunked_result chunked_decode(struct chunked *chunked, const char *data, size_t len, size_t *used,
                                   struct text *out) {
    size_t i = 0;
    while (i < len) {
        if (chunked->state == CHUNKED_DATA) {
            size_t piece = chunked->left < len - i ? chunked->left : len - i;
            text_add(out, data + i, piece);
            if (out->failed) {
                return CHUNKED_TOO_LARGE;
            }
            i += piece;
            chunked->left -= piece;
            chunked->state = chunked->left == 0 ? CHUNKED_DATA_CR : CHUNKED_DATA;
            continue;
        }
        bool last = chunked->state == CHUNKED_LAST_LF;
        if (!step(chunked, data[i++])) {
            return CHUNKED_BAD;
        }
        if (last) {
            *used = i;
            return CHUNKED_DONE;
        }
        if (chunked->left > out->limit - out->len) {
            return CHUNKED_TOO_LARGE;
        }
    }
    *used = len;
    return CHUNKED_MORE;
}
