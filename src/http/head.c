#include "http/head.h"

#define METHOD_CHARS_MAX 24 /* longer words cannot be a method; the longest registered one has 17 */

struct reader {
    const char *at, *end;
};

enum line_result { LINE_OK, LINE_PARTIAL, LINE_BAD };

bool head_is_token_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_space(char c) {
    return c == ' ' || c == '\t';
}

/* A control character that no line of a head may hold; CR and LF are the caller's business. */
static bool is_control(char c) {
    return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
}

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool head_equal(struct slice a, const char *b) {
    if (a.len != strlen(b)) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.data[i]) != lower(b[i])) {
            return false;
        }
    }
    return true;
}

static struct slice trim(struct slice text) {
    while (text.len > 0 && is_space(text.data[0])) {
        text.data++;
        text.len--;
    }
    while (text.len > 0 && is_space(text.data[text.len - 1])) {
        text.len--;
    }
    return text;
}

static bool is_token(struct slice text) {
    for (size_t i = 0; i < text.len; i++) {
        if (!head_is_token_char(text.data[i])) {
            return false;
        }
    }
    return text.len > 0;
}

/* False if no valid method can stand at the start of what came so far. */
static bool may_be_method(const char *data, size_t len) {
    size_t i = 0;
    while (i < len && i <= METHOD_CHARS_MAX && head_is_token_char(data[i])) {
        i++;
    }
    return i <= METHOD_CHARS_MAX && (i == len || (i > 0 && data[i] == ' '));
}

/* One empty line before the request is ignored, as RFC 9112, section 2.2, asks. */
static size_t leading_line(const char *data, size_t len) {
    if (len > 0 && data[0] == '\r') {
        return len == 1 ? 1 : (data[1] == '\n' ? 2 : 0);
    }
    return 0;
}

bool head_ready(const char *data, size_t len, size_t from) {
    size_t start = leading_line(data, len);
    if (len >= HTTP_HEAD_BYTES_MAX || !may_be_method(data + start, len - start)) {
        return true;
    }
    for (size_t i = from; i < len; i++) {
        bool after_cr = i > 0 && data[i - 1] == '\r';
        if (data[i] == '\n') {
            if (!after_cr || (i >= 3 && data[i - 2] == '\n')) {
                return true;
            }
        } else if (after_cr || (data[i] != '\r' && is_control(data[i]))) {
            return true;
        }
    }
    return false;
}

static bool refuse(struct problem *problem, const char *reason, const char *detail) {
    return problem_set(problem, PROBLEM_MALFORMED_REQUEST, NULL, reason, "%s", detail);
}

/* Takes the next line, without its CRLF. LINE_PARTIAL if it has not come whole. */
static enum line_result next_line(struct reader *in, struct slice *line, struct problem *problem) {
    for (const char *p = in->at; p < in->end; p++) {
        if (*p == '\r') {
            if (p + 1 == in->end) {
                return LINE_PARTIAL;
            }
            if (p[1] != '\n') {
                refuse(problem, "bare_cr", "A carriage return must be followed by a line feed.");
                return LINE_BAD;
            }
            *line = (struct slice){in->at, (size_t)(p - in->at)};
            in->at = p + 2;
            return LINE_OK;
        }
        if (*p == '\n') {
            refuse(problem, "bare_lf", "A line must end in CR LF.");
            return LINE_BAD;
        }
        if (is_control(*p)) {
            refuse(problem, "control_character", "Control characters are not allowed in a request's head.");
            return LINE_BAD;
        }
    }
    return LINE_PARTIAL;
}

static const struct {
    const char *name;
    enum http_method method; /* 0: known, but no route has it */
} methods[] = {
    {"GET", HTTP_GET}, {"POST", HTTP_POST}, {"HEAD", HTTP_HEAD}, {"OPTIONS", HTTP_OPTIONS},
    {"PUT", 0},        {"DELETE", 0},       {"PATCH", 0},        {"TRACE", 0},
    {"QUERY", 0},
};

/* Methods are case-sensitive. One that is not in the table is answered 501 later, once the head is known to
 * be sound. */
static bool set_method(struct slice name, struct head *head, struct problem *problem) {
    if (name.len > METHOD_CHARS_MAX || !is_token(name)) {
        return refuse(problem, "bad_method", "The request line must start with a method and one space.");
    }
    head->method_name = "other";
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (slice_equal(name, slice_of(methods[i].name))) {
            head->method_name = methods[i].name;
            head->method = methods[i].method;
            head->method_known = true;
        }
    }
    return true;
}

static bool set_version(struct slice version, struct head *head, struct problem *problem) {
    const char *v = version.data;
    if (version.len != 8 || memcmp(v, "HTTP/", 5) != 0 || !is_digit(v[5]) || v[6] != '.' || !is_digit(v[7])) {
        return refuse(problem, "bad_request_line",
                      "The request line must be: method, space, target, space, HTTP/1.1.");
    }
    if (v[5] != '1' || (v[7] != '0' && v[7] != '1')) {
        return problem_set(problem, PROBLEM_HTTP_VERSION, NULL, "version",
                           "This server speaks HTTP/1.1 and HTTP/1.0.");
    }
    head->version_1_0 = v[7] == '0';
    return true;
}

/* A host name, an IPv4 address or an IPv6 address in brackets, and a port or none. Narrower than RFC 3986 (no
 * sub-delimiters, no percent signs): no real host has them, and a comma could hide two hosts joined by a
 * proxy. */
static bool is_authority(struct slice text) {
    size_t i = 0;
    if (text.len > 0 && text.data[0] == '[') {
        for (i = 1; i < text.len && strchr("0123456789abcdefABCDEF:.", text.data[i]) != NULL; i++) {
        }
        if (i < 3 || i == text.len || text.data[i] != ']') {
            return false;
        }
        i++;
    } else {
        while (i < text.len && text.data[i] != ':' && head_is_token_char(text.data[i]) &&
               strchr("!#$%&'*+^`|", text.data[i]) == NULL) {
            i++;
        }
        if (i == 0) {
            return false;
        }
    }
    if (i < text.len && text.data[i] == ':') {
        size_t first_digit = ++i;
        while (i < text.len && is_digit(text.data[i]) && i - first_digit < 5) {
            i++;
        }
    }
    return i == text.len;
}

/* The absolute form's "http://authority"; 0 if it is another form, or malformed. */
static size_t scheme_and_authority(struct slice target) {
    size_t scheme = 0;
    if (target.len > 7 && head_equal((struct slice){target.data, 7}, "http://")) {
        scheme = 7;
    } else if (target.len > 8 && head_equal((struct slice){target.data, 8}, "https://")) {
        scheme = 8;
    }
    size_t end = scheme;
    while (scheme > 0 && end < target.len && target.data[end] != '/' && target.data[end] != '?') {
        end++;
    }
    return is_authority((struct slice){target.data + scheme, end - scheme}) ? end : 0;
}

static void set_path(struct slice target, struct head *head) {
    const char *mark = target.len == 0 ? NULL : memchr(target.data, '?', target.len);
    size_t path_len = mark == NULL ? target.len : (size_t)(mark - target.data);
    head->path = path_len == 0 ? slice_of("/") : (struct slice){target.data, path_len};
    if (mark != NULL) {
        head->query = (struct slice){mark + 1, target.len - path_len - 1};
    }
}

/* RFC 9112, section 3.2. The path stays raw: nothing is decoded, nothing normalised. */
static bool set_target(struct slice target, struct slice method, struct head *head, struct problem *problem) {
    for (size_t i = 0; i < target.len; i++) {
        if ((unsigned char)target.data[i] <= ' ' || (unsigned char)target.data[i] >= 0x7f ||
            target.data[i] == '#') {
            return refuse(problem, "bad_target",
                          "The target may hold visible ASCII characters only, and no fragment.");
        }
    }
    if (target.len > 0 && target.data[0] == '/') {
        set_path(target, head);
        return true;
    }
    if (slice_equal(target, slice_of("*")) && head->method == HTTP_OPTIONS) {
        head->asterisk = true;
        head->path = target;
        return true;
    }
    size_t skip = scheme_and_authority(target);
    if (skip > 0) {
        set_path((struct slice){target.data + skip, target.len - skip}, head);
        return true;
    }
    if (slice_equal(method, slice_of("CONNECT")) && is_authority(target)) {
        head->path = target; /* well-formed; answered 501 like other methods that are not known here */
        return true;
    }
    return refuse(problem, "bad_target", "The target must be a path that starts with a slash.");
}

static bool parse_request_line(struct slice line, struct head *head, struct problem *problem) {
    const char *end = line.data + line.len;
    const char *space = line.len == 0 ? NULL : memchr(line.data, ' ', line.len);
    if (space == NULL) {
        return refuse(problem, "bad_request_line",
                      "The request line must be: method, space, target, space, HTTP/1.1.");
    }
    struct slice method = {line.data, (size_t)(space - line.data)};
    const char *target = space + 1;
    const char *target_end = memchr(target, ' ', (size_t)(end - target));
    if ((size_t)((target_end == NULL ? end : target_end) - target) > HTTP_TARGET_BYTES_MAX) {
        return problem_set(problem, PROBLEM_URI_TOO_LONG, NULL, NULL, "The target may have %d bytes.",
                           HTTP_TARGET_BYTES_MAX);
    }
    if (target_end == NULL) {
        return refuse(problem, "bad_request_line",
                      "The request line must be: method, space, target, space, HTTP/1.1.");
    }
    struct slice version = {target_end + 1, (size_t)(end - target_end - 1)};
    return set_method(method, head, problem) && set_version(version, head, problem) &&
           set_target((struct slice){target, (size_t)(target_end - target)}, method, head, problem);
}

/* Connection: a list of tokens; "close" wins over "keep-alive". */
static void note_connection(struct slice value, bool *close, bool *keep_alive) {
    while (value.len > 0) {
        const char *comma = memchr(value.data, ',', value.len);
        size_t len = comma == NULL ? value.len : (size_t)(comma - value.data);
        struct slice token = trim((struct slice){value.data, len});
        *close = *close || head_equal(token, "close");
        *keep_alive = *keep_alive || head_equal(token, "keep-alive");
        len += comma == NULL ? 0 : 1;
        value = (struct slice){value.data + len, value.len - len};
    }
}

/* Several X-Forwarded-For lines are one list (RFC 9110, 5.3). Our own proxies append on the right, so if the
 * list is too long its left end, which anybody can write, is what is cut off. */
static void join_forwarded(struct head *head, struct slice value) {
    char joined[HEAD_FORWARDED_MAX];
    size_t kept = value.len < sizeof joined ? value.len : sizeof joined;
    size_t at = sizeof joined - kept;
    memcpy(joined + at, value.data + value.len - kept, kept);
    struct slice before = head->forwarded_for;
    if (at >= 2) {
        at -= 2;
        memcpy(joined + at, ", ", 2);
        size_t more = before.len < at ? before.len : at;
        at -= more;
        memcpy(joined + at, before.data + before.len - more, more);
    }
    head->forwarded_for = (struct slice){head->forwarded_joined, sizeof joined - at};
    memcpy(head->forwarded_joined, joined + at, sizeof joined - at);
}

static const struct {
    const char *name;
    size_t offset; /* of its slice in struct head */
    bool single;   /* a second one is refused; of the others the first counts */
} fields[] = {
    {"Host", offsetof(struct head, host), true},
    {"Content-Length", offsetof(struct head, length), true},
    {"Transfer-Encoding", offsetof(struct head, transfer_encoding), true},
    {"Expect", offsetof(struct head, expect), true},
    {"Content-Type", offsetof(struct head, content_type), true},
    {"Content-Encoding", offsetof(struct head, content_encoding), true},
    {"Idempotency-Key", offsetof(struct head, idempotency_key), true},
    {"Authorization", offsetof(struct head, authorization), true},
    {"X-Forwarded-For", offsetof(struct head, forwarded_for), false},
    {"X-Request-Id", offsetof(struct head, request_id), false},
    {"traceparent", offsetof(struct head, traceparent), false},
    {"X-Cloud-Trace-Context", offsetof(struct head, cloud_trace), false},
};

static bool keep_field(struct slice name, struct slice value, struct head *head, struct problem *problem) {
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (!head_equal(name, fields[i].name)) {
            continue;
        }
        struct slice *field = (struct slice *)(void *)((char *)head + fields[i].offset);
        if (field->data == NULL) {
            *field = value;
        } else if (fields[i].single) {
            return problem_set(problem, PROBLEM_MALFORMED_REQUEST, NULL, "duplicate_header",
                               "The header %s may stand only once.", fields[i].name);
        } else if (field == &head->forwarded_for) {
            join_forwarded(head, value);
        }
        break;
    }
    return true;
}

static bool parse_field(struct slice line, struct head *head, bool *close, bool *keep_alive,
                        struct problem *problem) {
    if (is_space(line.data[0])) {
        return refuse(problem, "folded_header", "A header must stand on one line.");
    }
    const char *colon = memchr(line.data, ':', line.len);
    if (colon == NULL) {
        return refuse(problem, "bad_header", "A header must be: name, colon, value.");
    }
    struct slice name = {line.data, (size_t)(colon - line.data)};
    if (!is_token(name)) {
        return refuse(problem, "bad_header_name",
                      "A header's name must be a token, with the colon right after it.");
    }
    struct slice value = trim((struct slice){colon + 1, line.len - name.len - 1});
    if (head_equal(name, "Connection")) {
        note_connection(value, close, keep_alive);
    }
    return keep_field(name, value, head, problem);
}

static bool check_length(struct head *head, struct problem *problem) {
    head->content_length = -1;
    if (head->length.data == NULL) {
        return true;
    }
    int64_t length = 0;
    for (size_t i = 0; i < head->length.len; i++) {
        if (!is_digit(head->length.data[i])) {
            return refuse(problem, "bad_content_length", "Content-Length must be a plain decimal number.");
        }
        if (length <= INT64_MAX / 10 - 1) { /* else it stays saturated: far beyond any limit */
            length = length * 10 + (head->length.data[i] - '0');
        }
    }
    if (head->length.len == 0) {
        return refuse(problem, "bad_content_length", "Content-Length must be a plain decimal number.");
    }
    head->content_length = length;
    return true;
}

/* True if the last element of the list is "chunked" and no other one is. */
static bool ends_in_chunked(struct slice list) {
    size_t times = 0;
    struct slice token = {NULL, 0};
    for (size_t from = 0, i = 0; i <= list.len; i++) {
        if (i == list.len || list.data[i] == ',') {
            token = trim((struct slice){list.data + from, i - from});
            times += head_equal(token, "chunked") ? 1 : 0;
            from = i + 1;
        }
    }
    return times == 1 && head_equal(token, "chunked");
}

/* RFC 9112, section 6: anything by which two readers could see different ends of the body is refused. */
static bool check_framing(struct head *head, struct problem *problem) {
    if (!check_length(head, problem)) {
        return false;
    }
    if (head->transfer_encoding.data == NULL) {
        return true;
    }
    if (head->length.data != NULL) {
        return refuse(problem, "two_lengths", "Content-Length and Transfer-Encoding exclude each other.");
    }
    if (head->version_1_0) {
        return refuse(problem, "bad_transfer_encoding", "HTTP/1.0 has no Transfer-Encoding.");
    }
    if (!ends_in_chunked(head->transfer_encoding)) {
        return refuse(problem, "bad_transfer_encoding", "Transfer-Encoding must be chunked, once.");
    }
    if (!head_equal(head->transfer_encoding, "chunked")) {
        return problem_set(problem, PROBLEM_METHOD_UNKNOWN, NULL, "transfer_encoding",
                           "The only transfer coding served is chunked.");
    }
    head->chunked = true;
    return true;
}

static bool check_host(const struct head *head, struct problem *problem) {
    if (head->host.data == NULL) {
        return head->version_1_0 || refuse(problem, "missing_host", "HTTP/1.1 needs a Host header.");
    }
    return is_authority(head->host) || refuse(problem, "bad_host", "The Host header is not a host.");
}

static bool check_meaning(struct head *head, bool close, bool keep_alive, struct problem *problem) {
    head->keep_alive = !close && (keep_alive || !head->version_1_0);

    if (head->expect.data != NULL &&
        !head->version_1_0) { /* RFC 9110, 10.1.1: HTTP/1.0 cannot expect anything */
        head->expects_continue = head_equal(head->expect, "100-continue");
        head->expects_other = !head->expects_continue;
    }
    return check_framing(head, problem) && check_host(head, problem);
}

/* What to say of a head that has no end within the bytes we look at. */
static enum head_result unfinished(const char *data, size_t len, bool in_request_line,
                                   struct problem *problem) {
    if (in_request_line && !may_be_method(data, len)) {
        refuse(problem, "bad_method", "The request line must start with a method and one space.");
        return HEAD_REFUSED;
    }
    if (len < HTTP_HEAD_BYTES_MAX - 2) { /* 2: an empty line may have been skipped */
        return HEAD_PARTIAL;
    }
    if (in_request_line) {
        problem_set(problem, PROBLEM_URI_TOO_LONG, NULL, NULL, "The target may have %d bytes.",
                    HTTP_TARGET_BYTES_MAX);
    } else {
        problem_set(problem, PROBLEM_HEADERS_TOO_LARGE, NULL, NULL, "The request's head may have %d bytes.",
                    HTTP_HEAD_BYTES_MAX);
    }
    return HEAD_REFUSED;
}

enum head_result head_parse(const char *data, size_t len, struct head *head, struct problem *problem) {
    size_t limit = len < HTTP_HEAD_BYTES_MAX ? len : HTTP_HEAD_BYTES_MAX;
    size_t start = leading_line(data, limit);
    struct reader in = {data + start, data + limit};
    struct slice line;
    bool close = false;
    bool keep_alive = false;
    memset(head, 0, offsetof(struct head, forwarded_joined));
    head->method_name = "other";
    head->content_length = -1;
    for (size_t lines = 0;; lines++) {
        enum line_result result = next_line(&in, &line, problem);
        if (result == LINE_PARTIAL) {
            return unfinished(data + start, limit - start, lines == 0, problem);
        }
        if (result == LINE_BAD) {
            return HEAD_REFUSED;
        }
        if (lines > 0 && line.len == 0) {
            break;
        }
        if (lines > HTTP_HEADERS_MAX) {
            problem_set(problem, PROBLEM_HEADERS_TOO_LARGE, NULL, NULL, "A request may have %d headers.",
                        HTTP_HEADERS_MAX);
            return HEAD_REFUSED;
        }
        if (lines == 0 ? !parse_request_line(line, head, problem)
                       : !parse_field(line, head, &close, &keep_alive, problem)) {
            return HEAD_REFUSED;
        }
    }
    head->bytes = (size_t)(in.at - data);
    return check_meaning(head, close, keep_alive, problem) ? HEAD_ACCEPTED : HEAD_REFUSED;
}

/* A parameter of a media type: nothing but charset=utf-8 is accepted, bare or quoted. */
static bool is_utf8_charset(struct slice parameter) {
    const char *equals = memchr(parameter.data, '=', parameter.len);
    if (equals == NULL) {
        return false;
    }
    struct slice name = {parameter.data, (size_t)(equals - parameter.data)};
    struct slice value = {equals + 1, parameter.len - name.len - 1};
    return head_equal(name, "charset") && (head_equal(value, "utf-8") || head_equal(value, "\"utf-8\""));
}

bool head_media_is_json(struct slice value) {
    if (value.data == NULL) {
        return false;
    }
    for (size_t from = 0, i = 0; i <= value.len; i++) {
        if (i < value.len && value.data[i] != ';') {
            continue;
        }
        struct slice part = trim((struct slice){value.data + from, i - from});
        bool accepted =
            from == 0 ? head_equal(part, "application/json") : part.len == 0 || is_utf8_charset(part);
        if (!accepted) {
            return false;
        }
        from = i + 1;
    }
    return true;
}
