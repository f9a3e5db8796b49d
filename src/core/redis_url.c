#include "core/redis_url.h"

#include <stdio.h>

static int hex_digit(char c) {
    const char *digits = "0123456789abcdef";
    const char *at = c == '\0' ? NULL : strchr(digits, c >= 'A' && c <= 'F' ? c + ('a' - 'A') : c);
    return at == NULL ? -1 : (int)(at - digits);
}

/* Decodes %XX; false if it does not fit, is malformed or holds a NUL. */
static bool decode(struct slice in, char *out, size_t size) {
    size_t len = 0;
    for (size_t i = 0; i < in.len; i++) {
        char c = in.data[i];
        if (c == '%') {
            int high = i + 1 < in.len ? hex_digit(in.data[i + 1]) : -1;
            int low = i + 2 < in.len ? hex_digit(in.data[i + 2]) : -1;
            if (high < 0 || low < 0 || high + low == 0) {
                return false;
            }
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (len + 1 >= size) {
            return false;
        }
        out[len++] = c;
    }
    out[len] = '\0';
    return true;
}

/* A number of up to five digits, 0 to `most`; -1 if it is none. */
static int number_of(struct slice text, int most) {
    int number = 0;
    if (text.len == 0 || text.len > 5) {
        return -1;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return -1;
        }
        number = number * 10 + (text.data[i] - '0');
    }
    return number <= most ? number : -1;
}

/* The part of `rest` before the first, or after the last, `c`; takes it and `c` away. Absent if there is no
 * `c`. */
static struct slice cut_before(struct slice *rest, char c) {
    const char *at = rest->len == 0 ? NULL : memrchr(rest->data, c, rest->len);
    if (at == NULL) {
        return (struct slice){NULL, 0};
    }
    struct slice part = {rest->data, (size_t)(at - rest->data)};
    *rest = (struct slice){at + 1, rest->len - part.len - 1};
    return part;
}

static struct slice cut_after(struct slice *rest, char c) {
    const char *at = rest->len == 0 ? NULL : memchr(rest->data, c, rest->len);
    if (at == NULL) {
        return (struct slice){NULL, 0};
    }
    size_t before = (size_t)(at - rest->data);
    struct slice part = {at + 1, rest->len - before - 1};
    rest->len = before;
    return part;
}

static const char *parse_place(struct slice place, struct redis_url *url) {
    struct slice port = {NULL, 0};
    if (place.len > 0 && place.data[0] == '[') {
        struct slice after = cut_after(&place, ']');
        place = (struct slice){place.data + 1, place.len - 1};
        if (after.data == NULL || (after.len > 0 && after.data[0] != ':')) {
            return "an address in brackets must end with one";
        }
        port = after.len > 0 ? (struct slice){after.data + 1, after.len - 1} : port;
    } else {
        port = cut_after(&place, ':');
    }
    if (place.len == 0 || place.len >= sizeof url->host) {
        return "it names no host";
    }
    snprintf(url->host, sizeof url->host, "%.*s", (int)place.len, place.data);
    url->port = port.data == NULL ? 6379 : number_of(port, 65535);
    return url->port < 1 ? "the port must be a number from 1 to 65535" : NULL;
}

const char *redis_url_parse(const char *text, struct redis_url *url) {
    *url = (struct redis_url){.tls = strncmp(text, "rediss://", 9) == 0};
    if (!url->tls && strncmp(text, "redis://", 8) != 0) {
        return "it must begin with redis:// or rediss://";
    }
    struct slice rest = slice_of(text + (url->tls ? 9 : 8));
    struct slice login = cut_before(&rest, '@');
    struct slice database = cut_after(&rest, '/');
    if (login.data != NULL) {
        struct slice password = cut_after(&login, ':');
        if (!decode(login, url->user, sizeof url->user) ||
            !decode(password, url->password, sizeof url->password)) {
            return "user or password is too long or badly percent-encoded";
        }
    }
    url->database = database.len == 0 ? 0 : number_of(database, 99999);
    if (url->database < 0) {
        return "the database must be a number";
    }
    return parse_place(rest, url);
}
