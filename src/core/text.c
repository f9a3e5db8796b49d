#include "core/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/json.h"

#define FIRST_HEAP_BYTES 256

void text_init(struct text *text, char *buffer, size_t capacity, size_t limit) {
    *text = (struct text){.data = buffer, .capacity = capacity, .limit = limit};
    if (capacity > 0) {
        buffer[0] = '\0';
    }
}

void text_free(struct text *text) {
    if (text->on_heap) {
        free(text->data);
    }
    *text = (struct text){.limit = text->limit};
}

void text_clear(struct text *text) {
    text->len = 0;
    text->failed = false;
    if (text->capacity > 0) {
        text->data[0] = '\0';
    }
}

/* Makes room for `len` more bytes and a NUL; false marks the text as failed. */
static bool reserve(struct text *text, size_t len) {
    if (text->failed || len > text->limit - text->len) {
        text->failed = true;
        return false;
    }
    size_t needed = text->len + len + 1;
    if (needed <= text->capacity) {
        return true;
    }
    size_t capacity = text->capacity < FIRST_HEAP_BYTES ? FIRST_HEAP_BYTES : text->capacity * 2;
    capacity = capacity < needed ? needed : capacity;
    char *data = realloc(text->on_heap ? text->data : NULL, capacity);
    if (data == NULL) {
        text->failed = true;
        return false;
    }
    if (!text->on_heap && text->len > 0) {
        memcpy(data, text->data, text->len);
    }
    text->data = data;
    text->capacity = capacity;
    text->on_heap = true;
    return true;
}

void text_add(struct text *text, const char *data, size_t len) {
    if (!reserve(text, len)) {
        return;
    }
    if (len > 0) {
        memcpy(text->data + text->len, data, len);
    }
    text->len += len;
    text->data[text->len] = '\0';
}

void text_add_string(struct text *text, const char *string) {
    text_add(text, string, strlen(string));
}

void text_printf(struct text *text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    size_t room = text->failed ? 0 : text->capacity - text->len;
    int len = vsnprintf(room > 0 ? text->data + text->len : NULL, room, format, arguments);
    if (len < 0) {
        text->failed = true;
    } else if (reserve(text, (size_t)len)) {
        if ((size_t)len >= room) {
            vsnprintf(text->data + text->len, (size_t)len + 1, format, again);
        }
        text->len += (size_t)len;
    }
    if (room > 0 && text->failed) {
        text->data[text->len] = '\0'; /* over what vsnprintf began to write */
    }
    va_end(again);
    va_end(arguments);
}

void text_add_int(struct text *text, int64_t value) {
    char digits[20]; /* of INT64_MIN, with its sign */
    size_t at = sizeof digits;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0) {
        digits[--at] = '-';
    }
    text_add(text, digits + at, sizeof digits - at);
}

/* Appends the escape of a byte that may not stand in a JSON string as it is. */
static void add_escape(struct text *text, unsigned char c) {
    static const char short_escapes[][2] = {{'"', '"'},  {'\\', '\\'}, {'\b', 'b'}, {'\f', 'f'},
                                            {'\n', 'n'}, {'\r', 'r'},  {'\t', 't'}};
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < ARRAY_LEN(short_escapes); i++) {
        if (c == (unsigned char)short_escapes[i][0]) {
            text_add(text, (const char[]){'\\', short_escapes[i][1]}, 2);
            return;
        }
    }
    text_add(text, (const char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
}

/* Appends the inside of a JSON string, in runs that need no escape. */
static void add_escaped(struct text *text, struct slice value) {
    size_t run = 0; /* where it begins */
    size_t at = 0;
    while (at < value.len) {
        unsigned char c = (unsigned char)value.data[at];
        size_t len = utf8_len((struct slice){value.data + at, value.len - at});
        if (c >= ' ' && c != '"' && c != '\\' && len > 0) {
            at += len;
            continue;
        }
        text_add(text, value.data + run, at - run);
        if (len == 0) {
            text_add_string(text, "\\ufffd"); /* a byte that is not UTF-8 */
        } else {
            add_escape(text, c);
        }
        run = ++at;
    }
    text_add(text, value.data + run, at - run);
}

void text_add_json(struct text *text, struct slice value) {
    if (value.data == NULL) {
        text_add_string(text, "null");
        return;
    }
    size_t start = text->len;
    text_add(text, "\"", 1);
    add_escaped(text, value);
    text_add(text, "\"", 1);
    if (text->failed && text->len > start) {
        text->len = start; /* whole or not at all */
        text->data[start] = '\0';
    }
}
