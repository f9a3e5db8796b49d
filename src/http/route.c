#include "http/route.h"

#include <stdio.h>

/* The segment at the start of text: up to the next slash. */
static size_t segment_len(struct slice text) {
    const char *slash = text.len == 0 ? NULL : memchr(text.data, '/', text.len);
    return slash == NULL ? text.len : (size_t)(slash - text.data);
}

static struct slice skip(struct slice text, size_t len) {
    return (struct slice){text.data + len, text.len - len};
}

static bool matches(struct slice template, struct slice path, struct slice *parameters) {
    size_t count = 0;
    while (template.len > 0 && path.len > 0) {
        if (template.data[0] != '{') {
            if (template.data[0] != path.data[0]) {
                return false;
            }
            template = skip(template, 1);
            path = skip(path, 1);
            continue;
        }
        size_t len = segment_len(path);
        if (len == 0 || memchr(path.data, '%', len) != NULL || count == HTTP_PATH_PARAMETERS_MAX) {
            return false;
        }
        parameters[count++] = (struct slice){path.data, len};
        template = skip(template, segment_len(template));
        path = skip(path, len);
    }
    return template.len == 0 && path.len == 0;
}

void route_find(const struct http_route *routes, size_t count, struct slice path, enum http_method method,
                struct route_match *match) {
    *match = (struct route_match){0};
    enum http_method wanted = method == HTTP_HEAD ? HTTP_GET : method;
    for (size_t i = 0; i < count; i++) {
        struct slice parameters[HTTP_PATH_PARAMETERS_MAX] = {{NULL, 0}};
        if (!matches(slice_of(routes[i].path), path, parameters)) {
            continue;
        }
        match->any = &routes[i];
        match->methods |= routes[i].method;
        if (routes[i].method == wanted && match->route == NULL) {
            match->route = &routes[i];
            memcpy(match->parameters, parameters, sizeof parameters);
        }
    }
}

void route_allow(unsigned methods, char out[ROUTE_ALLOW_SIZE]) {
    snprintf(out, ROUTE_ALLOW_SIZE, "%s%sOPTIONS", (methods & HTTP_GET) != 0 ? "GET, HEAD, " : "",
             (methods & HTTP_POST) != 0 ? "POST, " : "");
}
