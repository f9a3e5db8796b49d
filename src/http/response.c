#include "http/response.h"

#include <stdio.h>
#include <time.h>

#include "http/head.h"
#include "http/http.h"

static const struct {
    int status;
    const char *reason;
} reasons[] = {
    {200, "OK"},
    {201, "Created"},
    {204, "No Content"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {411, "Length Required"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {505, "HTTP Version Not Supported"},
};

/* The phrase is for people only (RFC 9112, section 4): an empty one is valid too. */
static const char *reason_of(int status) {
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        if (reasons[i].status == status) {
            return reasons[i].reason;
        }
    }
    return "";
}

void response_date(int64_t time_s, char out[RESPONSE_DATE_SIZE]) {
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t seconds = (time_t)time_s;
    struct tm tm = {0};
    gmtime_r(&seconds, &tm);
    snprintf(out, RESPONSE_DATE_SIZE, "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT",
             &days[3 * (size_t)tm.tm_wday], (unsigned)tm.tm_mday % 100, &months[3 * (size_t)tm.tm_mon],
             (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
             (unsigned)tm.tm_sec % 100);
}

bool response_has(struct slice headers, const char *name) {
    size_t name_len = strlen(name);
    bool at_start = true;
    for (size_t i = 0; i + name_len < headers.len; i++) {
        if (at_start && headers.data[i + name_len] == ':' &&
            head_equal((struct slice){headers.data + i, name_len}, name)) {
            return true;
        }
        at_start = headers.data[i] == '\n';
    }
    return false;
}

static void add_line(struct text *out, const char *name, const char *value) {
    text_add_string(out, name);
    text_add_string(out, value);
    text_add(out, "\r\n", 2);
}

void response_head(const struct reply *reply, struct text *out) {
    text_add_string(out, "HTTP/1.1 ");
    text_add_int(out, reply->status);
    add_line(out, " ", reason_of(reply->status));
    add_line(out, "Date: ", reply->date);
    if (reply->status != 204) {
        add_line(out, "Content-Type: ", reply->content_type);
        text_add_string(out, "Content-Length: ");
        text_add_int(out, (int64_t)reply->body_bytes);
        text_add(out, "\r\n", 2);
    }
    add_line(out, "X-Request-Id: ", reply->request_id);
    text_add_string(out, "X-Content-Type-Options: nosniff\r\n");
    if (!response_has(reply->headers, "Cache-Control")) {
        text_add_string(out, "Cache-Control: no-store\r\n");
    }
    if (reply->close) {
        text_add_string(out, "Connection: close\r\n");
    } else if (reply->keep_alive) {
        text_add_string(out, "Connection: keep-alive\r\n");
    }
    text_add(out, reply->headers.data, reply->headers.len);
    text_add(out, "\r\n", 2);
}

void http_header(struct http_response *response, const char *name, const char *value) {
    if (strpbrk(value, "\r\n") != NULL) {
        return;
    }
    text_add_string(&response->headers, name);
    text_add(&response->headers, ": ", 2);
    add_line(&response->headers, "", value);
}

static void add_header_once(struct http_response *response, const char *name, const char *value) {
    struct slice headers = {response->headers.data, response->headers.len};
    if (!response_has(headers, name)) {
        http_header(response, name, value);
    }
}

void http_problem(const struct http_request *request, struct http_response *response,
                  const struct problem *problem) {
    response->status = problem_status(problem->kind);
    response->content_type = "application/problem+json";
    response->problem = problem_slug(problem->kind);
    text_clear(&response->body);
    problem_write(problem, request->trace.request_id, &response->body);
    if (problem->kind == PROBLEM_IN_FLIGHT || response->status == 429 || response->status == 503) {
        add_header_once(response, "Retry-After", "1");
    } else if (response->status == 401) {
        add_header_once(response, "WWW-Authenticate", "Bearer"); /* RFC 9110, 15.5.2 */
    }
}
