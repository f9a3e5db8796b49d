#include "core/json.h"

#include <stdlib.h>

/* One pass over the input. Unescaped strings go one after the other into `text`: a string's own text is at
 * least two bytes (its quotes) longer than what it stands for, so with a NUL behind each they never take more
 * than the input's length. */
struct parser {
    struct slice input;
    size_t at; /* the next byte */
    unsigned depth;
    enum json_error error;
    size_t error_offset;
    char *text;
    struct slice *names; /* of all objects that are open now, the innermost's last */
    size_t names_count;
    struct json_object *object;
};

static bool read_value(struct parser *parser, struct json_member *value);

static bool fail(struct parser *parser, enum json_error error, size_t offset) {
    parser->error = error;
    parser->error_offset = offset;
    return false;
}

/* The next byte, or -1 at the end. */
static int peek(const struct parser *parser) {
    return parser->at < parser->input.len ? (unsigned char)parser->input.data[parser->at] : -1;
}

static struct slice rest(const struct parser *parser) {
    return (struct slice){parser->input.data + parser->at, parser->input.len - parser->at};
}

static void skip_space(struct parser *parser) {
    for (int c = peek(parser); c == ' ' || c == '\t' || c == '\n' || c == '\r'; c = peek(parser)) {
        parser->at++;
    }
}

/* Passes over `c`, or fails. */
static bool expect(struct parser *parser, char c) {
    if (peek(parser) != (unsigned char)c) {
        return fail(parser, JSON_SYNTAX, parser->at);
    }
    parser->at++;
    return true;
}

size_t utf8_len(struct slice text) {
    const unsigned char *at = (const unsigned char *)text.data;
    if (text.len == 0) {
        return 0;
    }
    if (at[0] < 0x80) {
        return 1;
    }
    if (at[0] < 0xc2 || at[0] > 0xf4) {
        return 0; /* a continuation, an overlong form of two bytes, or beyond U+10FFFF */
    }
    size_t len = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    for (size_t i = 1; i < len; i++) {
        if (i == text.len || (at[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool overlong = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
    bool surrogate = at[0] == 0xed && at[1] > 0x9f;
    bool beyond = at[0] == 0xf4 && at[1] > 0x8f;
    return overlong || surrogate || beyond ? 0 : len;
}

size_t utf8_chars(struct slice text) {
    size_t chars = 0;
    for (size_t i = 0; i < text.len; i++) {
        chars += ((unsigned char)text.data[i] & 0xc0) != 0x80 ? 1 : 0;
    }
    return chars;
}

bool utf8_valid(struct slice text) {
    while (text.len > 0) {
        size_t len = utf8_len(text);
        if (len == 0 || text.data[0] == '\0') {
            return false;
        }
        text.data += len;
        text.len -= len;
    }
    return true;
}

/* How many digits `text` has from `at` on. */
static size_t digits(struct slice text, size_t at) {
    size_t count = 0;
    while (at + count < text.len && text.data[at + count] >= '0' && text.data[at + count] <= '9') {
        count++;
    }
    return count;
}

size_t json_number_len(struct slice text) {
    size_t at = text.len > 0 && text.data[0] == '-' ? 1 : 0;
    size_t count = digits(text, at);
    if (count == 0) {
        return 0;
    }
    at += text.data[at] == '0' ? 1 : count; /* a leading zero stands alone */
    if (at < text.len && text.data[at] == '.') {
        count = digits(text, at + 1);
        if (count == 0) {
            return 0;
        }
        at += 1 + count;
    }
    if (at < text.len && (text.data[at] == 'e' || text.data[at] == 'E')) {
        at++;
        at += at < text.len && (text.data[at] == '+' || text.data[at] == '-') ? 1 : 0;
        count = digits(text, at);
        if (count == 0) {
            return 0;
        }
        at += count;
    }
    return at;
}

static void put_utf8(struct parser *parser, unsigned code_point) {
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    unsigned len = code_point < 0x80 ? 1 : code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
    for (unsigned i = len - 1; i > 0; i--) {
        parser->text[i] = (char)(0x80 | (code_point & 0x3f));
        code_point >>= 6;
    }
    parser->text[0] = (char)(lead[len] | code_point);
    parser->text += len;
}

/* Reads the four hexadecimal digits of a \u escape. */
static bool read_hex(struct parser *parser, unsigned *unit) {
    *unit = 0;
    for (int i = 0; i < 4; i++) {
        int c = peek(parser);
        int letter = c | 0x20;
        if (c >= '0' && c <= '9') {
            *unit = *unit << 4 | (unsigned)(c - '0');
        } else if (c > 0 && letter >= 'a' && letter <= 'f') {
            *unit = *unit << 4 | (unsigned)(letter - 'a' + 10);
        } else {
            return fail(parser, JSON_SYNTAX, parser->at);
        }
        parser->at++;
    }
    return true;
}

/* Reads what follows the "\u" of an escape that began at `start`: one code unit, or two that make a pair. */
static bool read_unicode(struct parser *parser, size_t start) {
    unsigned unit, low;
    if (!read_hex(parser, &unit)) {
        return false;
    }
    if (unit == 0) {
        return fail(parser, JSON_NUL, start);
    }
    if (unit < 0xd800 || unit > 0xdfff) {
        put_utf8(parser, unit);
        return true;
    }
    struct slice next = rest(parser);
    if (unit > 0xdbff || next.len < 2 || next.data[0] != '\\' || next.data[1] != 'u') {
        return fail(parser, JSON_NOT_UTF8, start);
    }
    parser->at += 2;
    if (!read_hex(parser, &low)) {
        return false;
    }
    if (low < 0xdc00 || low > 0xdfff) {
        return fail(parser, JSON_NOT_UTF8, start);
    }
    put_utf8(parser, 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
    return true;
}

static bool read_escape(struct parser *parser) {
    static const char escapes[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    size_t start = parser->at++;
    int c = peek(parser);
    if (c == 'u') {
        parser->at++;
        return read_unicode(parser, start);
    }
    const char *escape = c > 0 ? strchr(escapes, c) : NULL;
    if (escape == NULL) {
        return fail(parser, JSON_SYNTAX, parser->at);
    }
    parser->at++;
    *parser->text++ = meanings[escape - escapes];
    return true;
}

/* Reads a string, unescaped and with a NUL behind it, and counts its code points. */
static bool read_string(struct parser *parser, struct slice *string, size_t *chars) {
    char *start = parser->text;
    if (!expect(parser, '"')) {
        return false;
    }
    int c;
    for (*chars = 0; (c = peek(parser)) != '"'; ++*chars) {
        if (c < ' ') { /* the end of the input, too */
            return fail(parser, JSON_SYNTAX, parser->at);
        }
        if (c == '\\') {
            if (!read_escape(parser)) {
                return false;
            }
            continue;
        }
        size_t len = utf8_len(rest(parser));
        if (len == 0) {
            return fail(parser, JSON_NOT_UTF8, parser->at);
        }
        memcpy(parser->text, parser->input.data + parser->at, len);
        parser->text += len;
        parser->at += len;
    }
    parser->at++;
    *string = (struct slice){start, (size_t)(parser->text - start)};
    *parser->text++ = '\0';
    return true;
}

/* Reads one member of an object whose names begin at `first`. */
static bool read_member(struct parser *parser, size_t first) {
    struct json_member member = {.name = parser->text};
    struct slice name;
    size_t name_chars;
    size_t start = parser->at;
    if (!read_string(parser, &name, &name_chars)) {
        return false;
    }
    if (parser->names_count - first == JSON_MEMBERS_MAX) {
        return fail(parser, JSON_TOO_MANY_MEMBERS, start);
    }
    for (size_t i = first; i < parser->names_count; i++) {
        if (slice_equal(parser->names[i], name)) {
            return fail(parser, JSON_DUPLICATE_KEY, start);
        }
    }
    parser->names[parser->names_count++] = name;
    skip_space(parser);
    if (!expect(parser, ':')) {
        return false;
    }
    skip_space(parser);
    if (!read_value(parser, &member)) {
        return false;
    }
    if (parser->depth == 1) {
        parser->object->members[parser->object->count++] = member;
    }
    return true;
}

static bool read_element(struct parser *parser, size_t first) {
    struct json_member element = {.name = NULL};
    (void)first;
    return read_value(parser, &element);
}

/* Reads an array or an object: what stands between its brackets, separated by commas. */
static bool read_list(struct parser *parser, char close,
                      bool (*read_item)(struct parser *parser, size_t first)) {
    size_t first = parser->names_count;
    if (parser->depth == JSON_DEPTH_MAX) {
        return fail(parser, JSON_TOO_DEEP, parser->at);
    }
    parser->depth++;
    parser->at++;
    skip_space(parser);
    if (peek(parser) != close) {
        for (bool more = true; more;) {
            if (!read_item(parser, first)) {
                return false;
            }
            skip_space(parser);
            more = peek(parser) == ',';
            if (more) {
                parser->at++;
                skip_space(parser);
            }
        }
    }
    parser->depth--;
    parser->names_count = first;
    return expect(parser, close);
}

static bool read_number(struct parser *parser) {
    size_t len = json_number_len(rest(parser));
    parser->at += len;
    return len > 0 || fail(parser, JSON_SYNTAX, parser->at);
}

static bool read_word(struct parser *parser, const char *word) {
    struct slice left = rest(parser);
    size_t len = strlen(word);
    if (left.len < len || memcmp(left.data, word, len) != 0) {
        return fail(parser, JSON_SYNTAX, parser->at);
    }
    parser->at += len;
    return true;
}

static bool read_string_value(struct parser *parser, struct json_member *value) {
    struct slice string;
    value->string = parser->text;
    if (!read_string(parser, &string, &value->string_chars)) {
        return false;
    }
    value->string_len = string.len;
    return true;
}

static bool read_typed(struct parser *parser, struct json_member *value) {
    switch (peek(parser)) {
    case '{':
        value->type = JSON_OBJECT;
        return read_list(parser, '}', read_member);
    case '[':
        value->type = JSON_ARRAY;
        return read_list(parser, ']', read_element);
    case '"':
        value->type = JSON_STRING;
        return read_string_value(parser, value);
    case 'n':
        value->type = JSON_NULL;
        return read_word(parser, "null");
    case 'f':
        value->type = JSON_FALSE;
        return read_word(parser, "false");
    case 't':
        value->type = JSON_TRUE;
        return read_word(parser, "true");
    default:
        value->type = JSON_NUMBER;
        return read_number(parser);
    }
}

static bool read_value(struct parser *parser, struct json_member *value) {
    size_t start = parser->at;
    if (!read_typed(parser, value)) {
        return false;
    }
    value->raw = (struct slice){parser->input.data + start, parser->at - start};
    return true;
}

static bool read_document(struct parser *parser) {
    struct json_member document = {.name = NULL};
    skip_space(parser);
    size_t start = parser->at;
    if (!read_value(parser, &document)) {
        return false;
    }
    skip_space(parser);
    if (parser->at < parser->input.len) {
        return fail(parser, JSON_SYNTAX, parser->at);
    }
    return document.type == JSON_OBJECT || fail(parser, JSON_NOT_AN_OBJECT, start);
}

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

enum json_error json_parse(struct slice input, struct json_object *object) {
    /* One block holds the outermost members, the names of open objects and all unescaped text. A member takes
     * at least four bytes of the input, like "":0. */
    size_t members_max = smaller(input.len / 4 + 1, JSON_MEMBERS_MAX);
    size_t names_max = smaller(input.len / 4 + 1, JSON_MEMBERS_MAX * JSON_DEPTH_MAX);
    size_t members_bytes = members_max * sizeof(struct json_member);
    size_t names_bytes = names_max * sizeof(struct slice);
    char *block = malloc(members_bytes + names_bytes + input.len);
    *object = (struct json_object){.members = (struct json_member *)(void *)block};
    if (block == NULL) {
        return JSON_NO_MEMORY;
    }
    struct parser parser = {.input = input,
                            .object = object,
                            .names = (struct slice *)(void *)(block + members_bytes),
                            .text = block + members_bytes + names_bytes};
    if (read_document(&parser)) {
        return JSON_OK;
    }
    free(block);
    *object = (struct json_object){.error_offset = parser.error_offset};
    return parser.error;
}

void json_free(struct json_object *object) {
    free(object->members);
    object->members = NULL;
    object->count = 0;
}

const struct json_member *json_find(const struct json_object *object, const char *name) {
    for (size_t i = 0; i < object->count; i++) {
        if (strcmp(object->members[i].name, name) == 0) {
            return &object->members[i];
        }
    }
    return NULL;
}

static const struct {
    const char *name;
    const char *text;
} errors[] = {
    [JSON_OK] = {"ok", "is well-formed"},
    [JSON_SYNTAX] = {"syntax", "is not JSON (RFC 8259)"},
    [JSON_NOT_UTF8] = {"not_utf8", "is not valid UTF-8, or holds half of a surrogate pair"},
    [JSON_NUL] = {"nul", "holds \\u0000, which no text here may"},
    [JSON_TOO_DEEP] = {"too_deep", "has arrays or objects nested too deeply"},
    [JSON_TOO_MANY_MEMBERS] = {"too_many_members", "has an object with too many members"},
    [JSON_DUPLICATE_KEY] = {"duplicate_key", "has an object with the same name twice"},
    [JSON_NOT_AN_OBJECT] = {"not_an_object", "is not a JSON object"},
    [JSON_NO_MEMORY] = {"no_memory", "could not be read: memory ran out"},
};

const char *json_error_name(enum json_error error) {
    return errors[error].name;
}

const char *json_error_text(enum json_error error) {
    return errors[error].text;
}
