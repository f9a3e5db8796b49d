#include "core/query.h"

#include "core/json.h"

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

static bool decode(struct slice part, char out[QUERY_VALUE_MAX]) {
    size_t len = 0;
    for (size_t i = 0; i < part.len; i++) {
        char c = part.data[i];
        if (c == '+') {
            c = ' ';
        } else if (c == '%') {
            int high = i + 2 < part.len ? hex_digit(part.data[i + 1]) : -1;
            int low = i + 2 < part.len ? hex_digit(part.data[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return false;
            }
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (c == '\0' || len + 1 >= QUERY_VALUE_MAX) {
            return false;
        }
        out[len++] = c;
    }
    out[len] = '\0';
    return utf8_valid((struct slice){out, len});
}

enum query_result query_next(struct slice *rest, struct query_pair *pair) {
    while (rest->len > 0) {
        const char *end = memchr(rest->data, '&', rest->len);
        size_t len = end == NULL ? rest->len : (size_t)(end - rest->data);
        struct slice part = {rest->data, len};
        size_t used = end == NULL ? len : len + 1;
        rest->data += used;
        rest->len -= used;
        if (len == 0) {
            continue;
        }
        const char *equals = memchr(part.data, '=', part.len);
        size_t name_len = equals == NULL ? part.len : (size_t)(equals - part.data);
        struct slice name = {part.data, name_len};
        struct slice value = {equals == NULL ? part.data : equals + 1,
                              equals == NULL ? 0 : part.len - name_len - 1};
        return decode(name, pair->name) && decode(value, pair->value) ? QUERY_PAIR : QUERY_MALFORMED;
    }
    return QUERY_END;
}
