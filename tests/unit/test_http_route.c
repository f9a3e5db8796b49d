/* Routes as a specification. */
#include <check.h>

#include "http/route.h"

static const struct http_route routes[] = {
    {.method = HTTP_GET, .path = "/health"},
    {.method = HTTP_POST, .path = "/payments"},
    {.method = HTTP_GET, .path = "/payments"},
    {.method = HTTP_GET, .path = "/payments/{id}"},
    {.method = HTTP_POST, .path = "/payments/{id}/refunds/{refund}"},
};

static struct route_match match;

static const struct http_route *find(const char *path, enum http_method method) {
    route_find(routes, ARRAY_LEN(routes), slice_of(path), method, &match);
    return match.route;
}

START_TEST(a_path_and_a_method_make_a_route) {
    ck_assert_ptr_eq(find("/health", HTTP_GET), &routes[0]);
    ck_assert_ptr_eq(find("/payments", HTTP_POST), &routes[1]);
    ck_assert_ptr_eq(find("/payments", HTTP_GET), &routes[2]);
    ck_assert_ptr_eq(find("/payments", HTTP_HEAD), &routes[2]);
    ck_assert_uint_eq(match.methods, HTTP_GET | HTTP_POST);
}
END_TEST

START_TEST(parameters_are_whole_segments) {
    ck_assert_ptr_eq(find("/payments/pay_1", HTTP_GET), &routes[3]);
    ck_assert(slice_equal(match.parameters[0], slice_of("pay_1")));
    ck_assert_ptr_eq(find("/payments/a/refunds/b", HTTP_POST), &routes[4]);
    ck_assert(slice_equal(match.parameters[0], slice_of("a")));
    ck_assert(slice_equal(match.parameters[1], slice_of("b")));
}
END_TEST

START_TEST(nothing_is_decoded_or_normalised) {
    static const char *const strange[] = {"",
                                          "/",
                                          "/health/",
                                          "//health",
                                          "/./health",
                                          "/a/../health",
                                          "/%68ealth",
                                          "/healt",
                                          "/healthy",
                                          "/HEALTH",
                                          "/payments/",
                                          "/payments/%61",
                                          "/payments//",
                                          "/payments/a/",
                                          "/payments/a/refunds/",
                                          "/payments//refunds/b",
                                          "health",
                                          "/payments/a/refunds/b/c"};
    for (size_t i = 0; i < ARRAY_LEN(strange); i++) {
        find(strange[i], HTTP_GET);
        ck_assert_msg(match.any == NULL, "found: %s", strange[i]);
    }
}
END_TEST

START_TEST(a_path_without_the_method_says_which_it_has) {
    ck_assert_ptr_null(find("/health", HTTP_POST));
    ck_assert_ptr_eq(match.any, &routes[0]);
    ck_assert_uint_eq(match.methods, HTTP_GET);
    ck_assert_ptr_null(find("/health", 0));
    ck_assert_ptr_null(find("/health", HTTP_OPTIONS));
}
END_TEST

START_TEST(allow_names_what_follows_from_the_routes) {
    char allow[ROUTE_ALLOW_SIZE];
    route_allow(HTTP_GET, allow);
    ck_assert_str_eq(allow, "GET, HEAD, OPTIONS");
    route_allow(HTTP_POST, allow);
    ck_assert_str_eq(allow, "POST, OPTIONS");
    route_allow(HTTP_GET | HTTP_POST, allow);
    ck_assert_str_eq(allow, "GET, HEAD, POST, OPTIONS");
}
END_TEST

Suite *http_route_suite(void);
Suite *http_route_suite(void) {
    Suite *suite = suite_create("http route");
    TCase *cases = tcase_create("route");
    tcase_add_test(cases, a_path_and_a_method_make_a_route);
    tcase_add_test(cases, parameters_are_whole_segments);
    tcase_add_test(cases, nothing_is_decoded_or_normalised);
    tcase_add_test(cases, a_path_without_the_method_says_which_it_has);
    tcase_add_test(cases, allow_names_what_follows_from_the_routes);
    suite_add_tcase(suite, cases);
    return suite;
}
