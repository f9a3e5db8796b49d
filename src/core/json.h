/* JSON in: RFC 8259, strictly and in one pass. Not by cJSON, which takes 01, 1., 0x10, duplicate members and
 * bad UTF-8, and turns numbers into doubles. Nothing beyond a slice's end is ever read. Pure; thread-safe. */
#ifndef PAYFLOW_CORE_JSON_H
#define PAYFLOW_CORE_JSON_H

#include "core/base.h"

#define JSON_DEPTH_MAX 32    /* nesting of arrays and objects */
#define JSON_MEMBERS_MAX 128 /* members in one object: bounds the search for duplicates */

enum json_type { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

enum json_error {
    JSON_OK = 0,
    JSON_SYNTAX,           /* not RFC 8259's grammar, or something after the value */
    JSON_NOT_UTF8,         /* invalid, overlong or surrogate UTF-8; a lone \uD800 */
    JSON_NUL,              /* \u0000, which PostgreSQL's text cannot hold */
    JSON_TOO_DEEP,         /* more than JSON_DEPTH_MAX levels */
    JSON_TOO_MANY_MEMBERS, /* more than JSON_MEMBERS_MAX in an object */
    JSON_DUPLICATE_KEY,    /* a name twice in one object, compared after unescaping */
    JSON_NOT_AN_OBJECT,    /* valid, but the text is not an object */
    JSON_NO_MEMORY,
};

/* One member of the outermost object. */
struct json_member {
    char *name; /* unescaped, NUL-terminated */
    enum json_type type;
    struct slice raw;    /* the value's own text in the input, without space around it */
    char *string;        /* JSON_STRING: unescaped, NUL-terminated, UTF-8; else NULL */
    size_t string_len;   /* bytes of string */
    size_t string_chars; /* Unicode code points of string */
};

/* A parsed outermost object. */
struct json_object {
    struct json_member *members;
    size_t count;
    size_t error_offset; /* after an error: the byte of the input where it was seen */
};

/* Parses `input`, which must stay as it is as long as the members' raw slices are used. On JSON_OK the caller
 * calls json_free; on any other result there is nothing to free. */
MUST_CHECK enum json_error json_parse(struct slice input, struct json_object *object);

/* Frees what json_parse allocated. */
void json_free(struct json_object *object);

/* The member of that name, or NULL. Valid until json_free. */
const struct json_member *json_find(const struct json_object *object, const char *name);

/* The error's stable machine-readable name ("duplicate_key"), for the problem's `reason`. Never NULL. */
const char *json_error_name(enum json_error error);

/* The error in words for the problem's detail. Never NULL. */
const char *json_error_text(enum json_error error);

/* Bytes of the JSON number (RFC 8259, section 6) that `text` begins with; 0 if it begins with none, as "-",
 * "1." and "1e". */
size_t json_number_len(struct slice text);

/* Bytes of the UTF-8 sequence (RFC 3629) that `text` begins with, 1 to 4; 0 if it is empty or not
 * well-formed. */
size_t utf8_len(struct slice text);

/* Unicode code points in `text`, which must be valid UTF-8. */
size_t utf8_chars(struct slice text);

/* True if `text` is valid UTF-8 by RFC 3629 without NUL. */
bool utf8_valid(struct slice text);

#endif
