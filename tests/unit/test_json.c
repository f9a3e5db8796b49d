/* JSON as a specification: RFC 8259 and nothing else, and what we refuse beyond it. */
#include <check.h>
#include <stdio.h>

#include "core/json.h"
#include "exact.h"

struct text {
    const char *data;
    size_t len;
};
#define TEXT(literal) {literal, sizeof(literal) - 1}

/* The result for a text that lies in a block of just its size. */
static enum json_error parse(const char *data, size_t len, size_t *error_offset) {
    struct slice copy = exact_copy(data, len);
    struct json_object object;
    enum json_error error = json_parse(copy, &object);
    if (error == JSON_OK) {
        json_free(&object);
    } else {
        ck_assert_ptr_null(object.members);
        ck_assert_uint_eq(object.count, 0);
        *error_offset = object.error_offset;
    }
    exact_free(copy);
    return error;
}

static void expect(const struct text *texts, size_t count, enum json_error expected) {
    for (size_t i = 0; i < count; i++) {
        size_t offset = 0;
        enum json_error error = parse(texts[i].data, texts[i].len, &offset);
        ck_assert_msg(error == expected, "%s: %s instead of %s", texts[i].data, json_error_name(error),
                      json_error_name(expected));
        ck_assert_msg(offset <= texts[i].len, "%s: offset %zu", texts[i].data, offset);
    }
}

/* Puts a value into an object, {"v":…}, since only objects are taken. */
static enum json_error parse_value(struct text value) {
    char data[512];
    size_t offset;
    ck_assert_uint_lt(value.len, sizeof data - 8);
    memcpy(data, "{\"v\":", 5);
    memcpy(data + 5, value.data, value.len);
    data[5 + value.len] = '}';
    return parse(data, value.len + 6, &offset);
}

static void expect_values(const struct text *values, size_t count, enum json_error expected) {
    for (size_t i = 0; i < count; i++) {
        enum json_error error = parse_value(values[i]);
        ck_assert_msg(error == expected, "%s: %s instead of %s", values[i].data, json_error_name(error),
                      json_error_name(expected));
    }
}

START_TEST(objects_are_read) {
    static const struct text texts[] = {TEXT("{}"),
                                        TEXT(" \t\r\n{ \t\r\n} \t\r\n"),
                                        TEXT("{\"\":0}"),
                                        TEXT("{\"a\":1,\"b\":2}"),
                                        TEXT("{ \"a\" : 1 , \"b\" : [ 1 , 2 ] , \"c\" : { } }"),
                                        TEXT("{\"a\":{\"a\":{\"a\":1}}}"),
                                        TEXT("{\"a\":[{\"a\":1},{\"a\":2}]}"),
                                        TEXT("{\"a\":1,\"A\":2,\"a \":3}")};
    expect(texts, ARRAY_LEN(texts), JSON_OK);
}
END_TEST

START_TEST(what_is_not_the_grammars_is_refused) {
    static const struct text texts[] = {TEXT(""),
                                        TEXT(" "),
                                        TEXT("{"),
                                        TEXT("}"),
                                        TEXT("{]"),
                                        TEXT("{\"a\"}"),
                                        TEXT("{\"a\":}"),
                                        TEXT("{\"a\" 1}"),
                                        TEXT("{:1}"),
                                        TEXT("{a:1}"),
                                        TEXT("{'a':1}"),
                                        TEXT("{1:1}"),
                                        TEXT("{null:1}"),
                                        TEXT("{\"a\":1,}"),
                                        TEXT("{,}"),
                                        TEXT("{\"a\":1,,\"b\":2}"),
                                        TEXT("{\"a\":1 \"b\":2}"),
                                        TEXT("{\"a\":1;\"b\":2}"),
                                        TEXT("{\"a\"::1}"),
                                        TEXT("{\"a\":1}x"),
                                        TEXT("{\"a\":1}}"),
                                        TEXT("{}{}"),
                                        TEXT("{},"),
                                        TEXT("{}\0"),
                                        TEXT("\0{}"),
                                        TEXT("{}//x"),
                                        TEXT("{/*x*/}"),
                                        TEXT("#\n{}"),
                                        TEXT("{\"a\":1"),
                                        TEXT("{\"a\":\"1}"),
                                        TEXT("{\"a"),
                                        TEXT("\xef\xbb\xbf{}"),
                                        TEXT("{\xc2\xa0}"),
                                        TEXT("{\v}"),
                                        TEXT("{\f}"),
                                        TEXT("\xff"),
                                        TEXT("{\"a\":1}\xff"),
                                        TEXT("{\"a\":[1}"),
                                        TEXT("{\"a\":{\"b\":1]}"),
                                        TEXT("\xef\xbb\xbf"),
                                        TEXT("x"),
                                        TEXT("{\"a\":*}"),
                                        TEXT("{\"a\":1}\xe2\x81\xa0")};
    expect(texts, ARRAY_LEN(texts), JSON_SYNTAX);
}
END_TEST

START_TEST(only_an_object_is_taken) {
    static const struct text texts[] = {TEXT("[]"),     TEXT("[{}]"),  TEXT("1"),
                                        TEXT("-0.5e3"), TEXT("\"a\""), TEXT("null"),
                                        TEXT(" true "), TEXT("false"), TEXT("[1,\"a\",null]")};
    expect(texts, ARRAY_LEN(texts), JSON_NOT_AN_OBJECT);
}
END_TEST

START_TEST(values_are_read) {
    static const struct text values[] = {TEXT("0"),
                                         TEXT("-0"),
                                         TEXT("1"),
                                         TEXT("-1"),
                                         TEXT("10"),
                                         TEXT("0.0"),
                                         TEXT("1.5"),
                                         TEXT("1e5"),
                                         TEXT("1E5"),
                                         TEXT("1e+5"),
                                         TEXT("1e-5"),
                                         TEXT("1.25e-05"),
                                         TEXT("0e0"),
                                         TEXT("1e400"),
                                         TEXT("-1e-400"),
                                         TEXT("123456789012345678901234567890.5"),
                                         TEXT("null"),
                                         TEXT("true"),
                                         TEXT("false"),
                                         TEXT("\"\""),
                                         TEXT("\"a\""),
                                         TEXT("[]"),
                                         TEXT("[ ]"),
                                         TEXT("[0]"),
                                         TEXT("[0,1]"),
                                         TEXT("[[],[]]"),
                                         TEXT("[{},{}]"),
                                         TEXT("{}"),
                                         TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""),
                                         TEXT("\"\\u0041\\u00e9\\u20AC\\uD83D\\ude00\""),
                                         TEXT("\"\x7f\""),
                                         TEXT("\"/\""),
                                         TEXT("\"\\u0001\""),
                                         TEXT("\"\xc3\xa9\""),
                                         TEXT("\"\xe2\x82\xac\""),
                                         TEXT("\"\xf0\x9f\x98\x80\""),
                                         TEXT("\"\xef\xbf\xbf\""),
                                         TEXT("\"\xed\x9f\xbf\""),
                                         TEXT("\"\xee\x80\x80\""),
                                         TEXT("\"\xf4\x8f\xbf\xbf\""),
                                         TEXT("\"\xc2\x80\""),
                                         TEXT("\"\xe0\xa0\x80\""),
                                         TEXT("\"\xf0\x90\x80\x80\""),
                                         TEXT("\"\\uFFFF\""),
                                         TEXT("\"\\uD800\\uDC00\""),
                                         TEXT("\"\\uDBFF\\uDFFF\""),
                                         TEXT("\"\xef\xbb\xbf\""),
                                         TEXT("\"\xe2\x80\xa8\"")};
    expect_values(values, ARRAY_LEN(values), JSON_OK);
}
END_TEST

START_TEST(values_out_of_the_grammar_are_refused) {
    static const struct text values[] = {TEXT(""),
                                         TEXT("01"),
                                         TEXT("-01"),
                                         TEXT("00"),
                                         TEXT("-"),
                                         TEXT("+1"),
                                         TEXT("1."),
                                         TEXT(".5"),
                                         TEXT("-.5"),
                                         TEXT("1.e1"),
                                         TEXT("1e"),
                                         TEXT("1e+"),
                                         TEXT("1e-"),
                                         TEXT("1E"),
                                         TEXT("1e1.5"),
                                         TEXT("0x10"),
                                         TEXT("1_0"),
                                         TEXT("1 0"),
                                         TEXT("--1"),
                                         TEXT("1-"),
                                         TEXT("NaN"),
                                         TEXT("-NaN"),
                                         TEXT("Infinity"),
                                         TEXT("-Infinity"),
                                         TEXT("inf"),
                                         TEXT("nul"),
                                         TEXT("nulL"),
                                         TEXT("nulll"),
                                         TEXT("Null"),
                                         TEXT("tru"),
                                         TEXT("TRUE"),
                                         TEXT("truefalse"),
                                         TEXT("fals"),
                                         TEXT("undefined"),
                                         TEXT("["),
                                         TEXT("]"),
                                         TEXT("[1"),
                                         TEXT("[1,"),
                                         TEXT("[1,]"),
                                         TEXT("[,1]"),
                                         TEXT("[1,,2]"),
                                         TEXT("[1 2]"),
                                         TEXT("[1}"),
                                         TEXT("[1:2]"),
                                         TEXT("\""),
                                         TEXT("\"a"),
                                         TEXT("'a'"),
                                         TEXT("a"),
                                         TEXT("\"\\\""),
                                         TEXT("\"\\x41\""),
                                         TEXT("\"\\a\""),
                                         TEXT("\"\\'\""),
                                         TEXT("\"\\U0041\""),
                                         TEXT("\"\\0\""),
                                         TEXT("\"\\\0\""),
                                         TEXT("\"\\u\""),
                                         TEXT("\"\\u004\""),
                                         TEXT("\"\\u00g1\""),
                                         TEXT("\"\\u 041\""),
                                         TEXT("\"\\u+041\""),
                                         TEXT("\"\\u004"),
                                         TEXT("\"\\u-041\""),
                                         TEXT("\"\\u00\xc3\xa9\""),
                                         TEXT("\"\\ud83d\\u00\""),
                                         TEXT("\"a\nb\""),
                                         TEXT("\"a\tb\""),
                                         TEXT("\"\x1f\""),
                                         TEXT("\"\0\""),
                                         TEXT("\"\\\xc3\xa9\""),
                                         TEXT("\xef\xbc\x91"),
                                         TEXT("0\0"),
                                         TEXT("1\0"),
                                         TEXT("\"a\"\"b\""),
                                         TEXT("{\"a\":1}{}"),
                                         TEXT("\"\\u004`\""),
                                         TEXT("\"\\u004@\""),
                                         TEXT("\"\\u004G\"")};
    expect_values(values, ARRAY_LEN(values), JSON_SYNTAX);
}
END_TEST

START_TEST(bad_utf_8_and_lone_surrogates_are_refused) {
    static const struct text values[] = {TEXT("\"\x80\""),
                                         TEXT("\"\xbf\""),
                                         TEXT("\"\xc0\x80\""),
                                         TEXT("\"\xc1\xbf\""),
                                         TEXT("\"\xc3\""),
                                         TEXT("\"\xc3(\""),
                                         TEXT("\"\xe2\x82\""),
                                         TEXT("\"\xe2(\xac\""),
                                         TEXT("\"\xe0\x80\x80\""),
                                         TEXT("\"\xe0\x9f\xbf\""),
                                         TEXT("\"\xed\xa0\x80\""),
                                         TEXT("\"\xed\xbf\xbf\""),
                                         TEXT("\"\xf0\x80\x80\x80\""),
                                         TEXT("\"\xf0\x8f\xbf\xbf\""),
                                         TEXT("\"\xf4\x90\x80\x80\""),
                                         TEXT("\"\xf5\x80\x80\x80\""),
                                         TEXT("\"\xf0\x9f\x98\""),
                                         TEXT("\"\xf8\x88\x80\x80\x80\""),
                                         TEXT("\"\xfe\""),
                                         TEXT("\"\xff\""),
                                         TEXT("\"\xe2\x82\xc3\xa9\""),
                                         TEXT("\"caf\xe9\""),
                                         TEXT("\"\\ud800\""),
                                         TEXT("\"\\udbff\""),
                                         TEXT("\"\\udc00\""),
                                         TEXT("\"\\udfff\""),
                                         TEXT("\"\\ud800x\""),
                                         TEXT("\"\\ud800\\n\""),
                                         TEXT("\"\\ud800\\u0041\""),
                                         TEXT("\"\\ud800\\ud800\""),
                                         TEXT("\"\\udc00\\ud800\""),
                                         TEXT("\"\\ud800\\ue000\""),
                                         TEXT("\"\\ud800")};
    expect_values(values, ARRAY_LEN(values), JSON_NOT_UTF8);
    static const struct text names[] = {TEXT("{\"\xff\":1}"), TEXT("{\"\\ud800\":1}"),
                                        TEXT("{\"a\":[{\"\xc0\x80\":1}]}"), TEXT("{\"\xc3"),
                                        TEXT("{\"a\":\"\xf0\x9f\x98")};
    expect(names, ARRAY_LEN(names), JSON_NOT_UTF8);
}
END_TEST

START_TEST(u0000_is_refused_everywhere) {
    static const struct text texts[] = {TEXT("{\"a\":\"\\u0000\"}"), TEXT("{\"\\u0000\":1}"),
                                        TEXT("{\"a\":[[{\"b\":\"x\\u0000y\"}]]}")};
    expect(texts, ARRAY_LEN(texts), JSON_NUL);
}
END_TEST

START_TEST(a_name_twice_is_refused_at_every_level_and_after_unescaping) {
    static const struct text texts[] = {
        TEXT("{\"a\":1,\"a\":1}"),
        TEXT("{\"a\":1,\"b\":2,\"a\":3}"),
        TEXT("{\"\":1,\"\":2}"),
        TEXT("{\"a\":1,\"\\u0061\":2}"),
        TEXT("{\"\\u00e9\":1,\"\xc3\xa9\":2}"),
        TEXT("{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":2}"),
        TEXT("{\"\\/\":1,\"/\":2}"),
        TEXT("{\"o\":{\"x\":1,\"x\":2}}"),
        TEXT("{\"o\":[{\"x\":1},{\"x\":1,\"y\":{},\"x\":2}]}"),
        TEXT("{\"a\":{\"b\":{\"a\":1}},\"a\":2}"),
        TEXT("[{\"a\":1,\"a\":2}]"),
    };
    static const struct text distinct[] = {TEXT("{\"a\":{\"a\":1},\"b\":{\"a\":1}}"),
                                           TEXT("{\"o\":{\"x\":1},\"x\":{\"o\":1}}"),
                                           TEXT("{\"e\\u0301\":1,\"\\u00e9\":2}")};
    expect(texts, ARRAY_LEN(texts), JSON_DUPLICATE_KEY);
    expect(distinct, ARRAY_LEN(distinct), JSON_OK);
}
END_TEST

/* Writes an object of arrays: `levels` deep in all. */
static size_t nest(char *out, size_t levels, const char *open, const char *close) {
    size_t len = (size_t)sprintf(out, "{\"a\":");
    for (size_t i = 1; i < levels; i++) {
        len += (size_t)sprintf(out + len, "%s", open);
    }
    len += (size_t)sprintf(out + len, "1");
    for (size_t i = 1; i < levels; i++) {
        len += (size_t)sprintf(out + len, "%s", close);
    }
    return len + (size_t)sprintf(out + len, "}");
}

START_TEST(nesting_is_bounded) {
    static char text[1 << 20];
    size_t offset;
    ck_assert_int_eq(parse(text, nest(text, JSON_DEPTH_MAX, "[", "]"), &offset), JSON_OK);
    ck_assert_int_eq(parse(text, nest(text, JSON_DEPTH_MAX, "{\"a\":", "}"), &offset), JSON_OK);
    ck_assert_int_eq(parse(text, nest(text, JSON_DEPTH_MAX + 1, "[", "]"), &offset), JSON_TOO_DEEP);
    ck_assert_uint_eq(offset, 5 + JSON_DEPTH_MAX - 1);
    ck_assert_int_eq(parse(text, nest(text, JSON_DEPTH_MAX + 1, "{\"a\":", "}"), &offset), JSON_TOO_DEEP);
    ck_assert_int_eq(parse(text, nest(text, 100000, "[", "]"), &offset), JSON_TOO_DEEP);
    memset(text, '[', sizeof text);
    ck_assert_int_eq(parse(text, sizeof text, &offset), JSON_TOO_DEEP);
    /* Brackets that were closed again don't count. */
    static const struct text wide[] = {
        TEXT("{\"a\":[[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],"
             "[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[]]}")};
    expect(wide, 1, JSON_OK);
}
END_TEST

static size_t write_members(char *out, size_t count) {
    size_t len = (size_t)sprintf(out, "{");
    for (size_t i = 0; i < count; i++) {
        len += (size_t)sprintf(out + len, "%s\"%zu\":0", i == 0 ? "" : ",", i);
    }
    return len + (size_t)sprintf(out + len, "}");
}

START_TEST(members_of_one_object_are_bounded) {
    static char text[1 << 16];
    char inner[4096];
    size_t offset;
    ck_assert_int_eq(parse(text, write_members(text, JSON_MEMBERS_MAX), &offset), JSON_OK);
    ck_assert_int_eq(parse(text, write_members(text, JSON_MEMBERS_MAX + 1), &offset), JSON_TOO_MANY_MEMBERS);
    write_members(inner, JSON_MEMBERS_MAX + 1);
    ck_assert_int_eq(parse(text, (size_t)sprintf(text, "{\"a\":[%s]}", inner), &offset),
                     JSON_TOO_MANY_MEMBERS);
    write_members(inner, JSON_MEMBERS_MAX);
    ck_assert_int_eq(parse(text, (size_t)sprintf(text, "{\"a\":%s,\"b\":%s}", inner, inner), &offset),
                     JSON_OK);
}
END_TEST

/* The shape that needs most room for names: as many as allowed, in objects as deep as allowed, the shortest
 * first. */
START_TEST(the_fullest_object_fits) {
    static char text[1 << 18];
    size_t len = 0, offset;
    for (size_t level = 0; level < JSON_DEPTH_MAX; level++) {
        for (int i = 0; i < JSON_MEMBERS_MAX - 1; i++) {
            len += (size_t)sprintf(text + len, "%s\"%x\":0,", i == 0 ? "{" : "", i);
        }
        len += (size_t)sprintf(text + len, "\"\":");
    }
    len += (size_t)sprintf(text + len, "0");
    memset(text + len, '}', JSON_DEPTH_MAX);
    ck_assert_int_eq(parse(text, len + JSON_DEPTH_MAX, &offset), JSON_OK);
    static const struct text small[] = {TEXT("{\"\":0}"), TEXT("{\"\":{\"\":0}}"), TEXT("{\"\":0,\"a\":0}"),
                                        TEXT("{\"\":{\"\":{\"\":{\"\":{}}}}}")};
    expect(small, ARRAY_LEN(small), JSON_OK);
}
END_TEST

START_TEST(a_member_has_name_type_raw_text_and_string) {
    static const char text[] =
        " {\"n\": -1.50e2 ,\"s\" :\"a\\u00e9\\n\xf0\x9f\x98\x80\",\"t\":true,\"f\":false,\"z\":null,"
        "\"a\": [1, {\"x\":\"y\"}],\"o\":{ },\"\\u20ac\":\"\"} ";
    static const struct {
        const char *name;
        enum json_type type;
        const char *raw;
        const char *string;
        size_t chars;
    } expected[] = {{"n", JSON_NUMBER, "-1.50e2", NULL, 0},
                    {"s", JSON_STRING, "\"a\\u00e9\\n\xf0\x9f\x98\x80\"", "a\xc3\xa9\n\xf0\x9f\x98\x80", 4},
                    {"t", JSON_TRUE, "true", NULL, 0},
                    {"f", JSON_FALSE, "false", NULL, 0},
                    {"z", JSON_NULL, "null", NULL, 0},
                    {"a", JSON_ARRAY, "[1, {\"x\":\"y\"}]", NULL, 0},
                    {"o", JSON_OBJECT, "{ }", NULL, 0},
                    {"\xe2\x82\xac", JSON_STRING, "\"\"", "", 0}};
    struct json_object object;
    ck_assert_int_eq(json_parse(slice_of(text), &object), JSON_OK);
    ck_assert_uint_eq(object.count, ARRAY_LEN(expected));
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        const struct json_member *member = json_find(&object, expected[i].name);
        ck_assert_ptr_eq(member, &object.members[i]);
        ck_assert_str_eq(member->name, expected[i].name);
        ck_assert_int_eq(member->type, expected[i].type);
        ck_assert(slice_equal(member->raw, slice_of(expected[i].raw)));
        ck_assert_pstr_eq(member->string, expected[i].string);
        ck_assert_uint_eq(member->string_len, expected[i].string == NULL ? 0 : strlen(expected[i].string));
        ck_assert_uint_eq(member->string_chars, expected[i].chars);
    }
    ck_assert_ptr_null(json_find(&object, "x"));
    ck_assert_ptr_null(json_find(&object, ""));
    json_free(&object);
    ck_assert_uint_eq(object.count, 0);
    json_free(&object);
}
END_TEST

START_TEST(every_escape_means_its_character) {
    static const char text[] =
        "{\"e\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0001\\u007F\\u0080\\u07ff\\u0800\\uffff\\uD800\\uDC00"
        "\\udbff\\udfff\\u00aF\"}";
    struct json_object object;
    ck_assert_int_eq(json_parse(slice_of(text), &object), JSON_OK);
    ck_assert_str_eq(
        object.members[0].string,
        "\"\\/"
        "\b\f\n\r\t\x01\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\xc2\xaf");
    ck_assert_uint_eq(object.members[0].string_chars, 17);
    json_free(&object);
}
END_TEST

START_TEST(an_error_says_where_it_was_seen) {
    static const struct {
        struct text text;
        size_t offset;
    } errors[] = {{TEXT(""), 0},
                  {TEXT("{\"a\":01}"), 6},
                  {TEXT("{\"a\":1}x"), 7},
                  {TEXT("{\"a\":nul}"), 5},
                  {TEXT("{\"a\":1,\"a\":2}"), 7},
                  {TEXT("{\"a\":\"b\\u0000\"}"), 7},
                  {TEXT("{\"a\":\"b\xff\"}"), 7},
                  {TEXT("{\"a\":\"\\x\"}"), 7},
                  {TEXT("{\"a\":\"\\u00zz\"}"), 10},
                  {TEXT("  []"), 2},
                  {TEXT("{\"a\""), 4},
                  {TEXT("{\"abc"), 5}};
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        size_t offset = 99;
        ck_assert_int_ne(parse(errors[i].text.data, errors[i].text.len, &offset), JSON_OK);
        ck_assert_msg(offset == errors[i].offset, "%s: %zu", errors[i].text.data, offset);
    }
}
END_TEST

static const char rich[] =
    "{\"amount\":-12.5e+3,\"currency\":\"EUR\",\"m\":{\"k\\u00e9\":\"\\ud83d\\ude00\xc3\xa9\\n\",\"\":[true,"
    "false,null,{\"x\":[[]]}]},\"z\":\"\xf0\x9f\x98\x80\"}";

START_TEST(no_beginning_of_an_object_passes_for_one) {
    for (size_t len = 0; len < sizeof rich - 1; len++) {
        size_t offset;
        ck_assert_msg(parse(rich, len, &offset) != JSON_OK, "%zu bytes", len);
        ck_assert_uint_le(offset, len);
    }
}
END_TEST

/* With the sanitizers, this looks for reads and writes out of bounds and for what is undefined. */
START_TEST(any_byte_may_be_replaced_by_any_other) {
    char text[sizeof rich];
    memcpy(text, rich, sizeof rich);
    for (size_t at = 0; at < sizeof rich - 1; at++) {
        for (int c = 0; c < 256; c++) {
            size_t offset = 0;
            text[at] = (char)c;
            parse(text, sizeof rich - 1, &offset);
            ck_assert_uint_le(offset, sizeof rich - 1);
        }
        text[at] = rich[at];
    }
}
END_TEST

START_TEST(a_text_too_large_for_memory_is_an_error_of_its_own) {
    struct json_object object;
    ck_assert_int_eq(json_parse((struct slice){"{}", (size_t)PTRDIFF_MAX / 2}, &object), JSON_NO_MEMORY);
    ck_assert_ptr_null(object.members);
}
END_TEST

START_TEST(numbers_are_measured) {
    static const struct {
        const char *text;
        size_t len;
    } numbers[] = {{"", 0},     {"-", 0},   {"0", 1},    {"01", 1}, {"-0", 2},    {"12", 2},    {"12x", 2},
                   {"1.", 0},   {"1.5", 3}, {"1.5.", 3}, {"1e", 0}, {"1e5", 3},   {"1e+", 0},   {"1e-05", 5},
                   {"1E5e", 3}, {"x", 0},   {"-x", 0},   {".5", 0}, {"1e5.5", 3}, {"0.0e-0", 6}};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        struct slice copy = exact_copy(numbers[i].text, strlen(numbers[i].text));
        ck_assert_msg(json_number_len(copy) == numbers[i].len, "%s", numbers[i].text);
        exact_free(copy);
    }
}
END_TEST

/* Every code point, and every sequence that is none, against UTF-8's definition. */
START_TEST(utf_8_is_exactly_rfc_3629s) {
    for (unsigned lead = 0; lead < 256; lead++) {
        for (unsigned second = 0; second < 256; second++) {
            const char bytes[] = {(char)lead, (char)second, (char)0x80, (char)0xbf};
            size_t expected = 0;
            bool follows = second >= 0x80 && second <= 0xbf;
            if (lead < 0x80) {
                expected = 1;
            } else if (lead >= 0xc2 && lead <= 0xdf && follows) {
                expected = 2;
            } else if (lead >= 0xe0 && lead <= 0xef && follows) {
                unsigned code_point = (lead & 15) << 12 | (second & 63) << 6;
                expected = code_point >= 0x800 && (code_point < 0xd800 || code_point > 0xdfff) ? 3 : 0;
            } else if (lead >= 0xf0 && lead <= 0xf7 && follows) {
                unsigned code_point = (lead & 7) << 18 | (second & 63) << 12;
                expected = code_point >= 0x10000 && code_point <= 0x10ffff ? 4 : 0;
            }
            ck_assert_msg(utf8_len((struct slice){bytes, 4}) == expected, "%02x %02x", lead, second);
        }
    }
    ck_assert_uint_eq(utf8_len((struct slice){NULL, 0}), 0);
    ck_assert_uint_eq(utf8_len((struct slice){"\xe2\x82(", 3}), 0);
    ck_assert_uint_eq(utf8_len((struct slice){"\xf0\x9f\x98(", 4}), 0);
}
END_TEST

START_TEST(valid_utf_8_has_no_nul_and_is_counted_in_code_points) {
    ck_assert(utf8_valid(slice_of("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80")));
    ck_assert_uint_eq(utf8_chars(slice_of("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80")), 4);
    ck_assert(utf8_valid((struct slice){NULL, 0}));
    ck_assert_uint_eq(utf8_chars((struct slice){NULL, 0}), 0);
    ck_assert(!utf8_valid((struct slice){"a\0b", 3}));
    ck_assert(!utf8_valid(slice_of("a\xff")));
    struct slice cut = exact_copy("a\xe2\x82\xac", 3);
    ck_assert(!utf8_valid(cut));
    exact_free(cut);
}
END_TEST

START_TEST(every_error_has_a_name_and_words) {
    static const char *const names[] = {"ok",       "syntax",           "not_utf8",      "nul",
                                        "too_deep", "too_many_members", "duplicate_key", "not_an_object",
                                        "no_memory"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        ck_assert_str_eq(json_error_name((enum json_error)i), names[i]);
        ck_assert_uint_gt(strlen(json_error_text((enum json_error)i)), 0);
    }
}
END_TEST

Suite *json_suite(void);
Suite *json_suite(void) {
    Suite *suite = suite_create("json");
    TCase *cases = tcase_create("json");
    tcase_set_timeout(cases, 30);
    tcase_add_test(cases, objects_are_read);
    tcase_add_test(cases, what_is_not_the_grammars_is_refused);
    tcase_add_test(cases, only_an_object_is_taken);
    tcase_add_test(cases, values_are_read);
    tcase_add_test(cases, values_out_of_the_grammar_are_refused);
    tcase_add_test(cases, bad_utf_8_and_lone_surrogates_are_refused);
    tcase_add_test(cases, u0000_is_refused_everywhere);
    tcase_add_test(cases, a_name_twice_is_refused_at_every_level_and_after_unescaping);
    tcase_add_test(cases, nesting_is_bounded);
    tcase_add_test(cases, members_of_one_object_are_bounded);
    tcase_add_test(cases, the_fullest_object_fits);
    tcase_add_test(cases, a_member_has_name_type_raw_text_and_string);
    tcase_add_test(cases, every_escape_means_its_character);
    tcase_add_test(cases, an_error_says_where_it_was_seen);
    tcase_add_test(cases, no_beginning_of_an_object_passes_for_one);
    tcase_add_test(cases, any_byte_may_be_replaced_by_any_other);
    tcase_add_test(cases, a_text_too_large_for_memory_is_an_error_of_its_own);
    tcase_add_test(cases, numbers_are_measured);
    tcase_add_test(cases, utf_8_is_exactly_rfc_3629s);
    tcase_add_test(cases, valid_utf_8_has_no_nul_and_is_counted_in_code_points);
    tcase_add_test(cases, every_error_has_a_name_and_words);
    suite_add_tcase(suite, cases);
    return suite;
}
