/* Finds the route of a path. Pure; thread-safe. */
#ifndef PAYFLOW_HTTP_ROUTE_H
#define PAYFLOW_HTTP_ROUTE_H

#include "http/http.h"

#define ROUTE_ALLOW_SIZE 32

/* What was found for a path. */
struct route_match {
    const struct http_route *route; /* the one for the method; NULL if none */
    const struct http_route *any;   /* a route of that path, whatever its method; NULL: 404 */
    unsigned methods;               /* all methods of that path (bits of enum http_method) */
    struct slice parameters[HTTP_PATH_PARAMETERS_MAX];
};

/* Compares the raw path byte by byte with each template: nothing is decoded or normalised, so "%2e", "//" and
 * a slash at the end match nothing. A {parameter} is one segment of at least one character, without "%". HEAD
 * finds GET's route. */
void route_find(const struct http_route *routes, size_t count, struct slice path, enum http_method method,
                struct route_match *match);

/* Writes the Allow header's value for these methods: with GET also HEAD, and always OPTIONS. */
void route_allow(unsigned methods, char out[ROUTE_ALLOW_SIZE]);

#endif
