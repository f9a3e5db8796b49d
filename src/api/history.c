/* What happened: a payment's refunds and events, and the feed over all of an account's payments. */
#include <stdio.h>
#include <stdlib.h>

#include "api/access.h"
#include "core/money.h"
#include "core/query.h"
#include "core/timestamp.h"

#define LIMIT_DEFAULT 10

/* limit and cursor, the query of every list here. */
struct page_query {
    int limit;
    char cursor[QUERY_VALUE_MAX]; /* "" if there was none */
};

static bool refuse(struct problem *problem, const char *field, const char *reason, const char *detail) {
    return problem_set(problem, PROBLEM_INVALID_FIELD, field, reason, "%s", detail);
}

static bool read_page_query(struct slice text, struct page_query *query, struct problem *problem) {
    struct query_pair pair;
    enum query_result result;
    bool limited = false;
    *query = (struct page_query){.limit = LIMIT_DEFAULT};
    while ((result = query_next(&text, &pair)) == QUERY_PAIR) {
        bool is_limit = strcmp(pair.name, "limit") == 0;
        if (!is_limit && strcmp(pair.name, "cursor") != 0) {
            return refuse(problem, "query", "unknown_parameter", "The query may have limit and cursor.");
        }
        if (is_limit ? limited : query->cursor[0] != '\0') {
            return refuse(problem, is_limit ? "limit" : "cursor", "repeated",
                          "A query parameter may be given once.");
        }
        if (is_limit) {
            limited = true;
            if (!api_read_limit(pair.value, &query->limit)) {
                return refuse(problem, "limit", "out_of_range",
                              "limit must be a whole number from 1 to 100.");
            }
        } else if (pair.value[0] == '\0') {
            return refuse(problem, "cursor", "malformed", "The cursor is empty.");
        } else {
            memcpy(query->cursor, pair.value, sizeof query->cursor);
        }
    }
    return result == QUERY_END ||
           refuse(problem, "query", "malformed", "The query string is not well-formed.");
}

static bool bad_cursor(struct problem *problem) {
    return refuse(problem, "cursor", "malformed", "The cursor is not one that this list gave.");
}

/* Everything before the store: access and the query. False after answering. */
static bool begin(struct api *api, const struct http_request *request, struct http_response *response,
                  struct caller *caller, struct api_key *key, struct page_query *query) {
    struct problem problem;
    if (!access_check(api, request, response, SCOPE_PAYMENTS_READ, caller, key)) {
        return false;
    }
    if (!read_page_query(request->query, query, &problem)) {
        http_problem(request, response, &problem);
        return false;
    }
    return true;
}

/* Event ids are made of the payment's id and the event's number: evt_…_3. */
static void write_event(const struct event *event, struct text *out) {
    char money[MONEY_TEXT_MAX];
    char created_at[TIMESTAMP_SIZE];
    timestamp_format(event->created_at_ms, created_at);
    text_printf(
        out,
        "{\"id\":\"evt_%s_%d\",\"type\":\"%s\",\"payment_id\":\"%s\",\"created_at\":\"%s\",\"livemode\":%s",
        event->payment_id + strlen(ID_PAYMENT), (int)event->n, payment_event_name(event->step),
        event->payment_id, created_at, event->livemode ? "true" : "false");
    money_format(event->amount_minor, event->currency->exponent, money);
    text_printf(out, ",\"amount\":%s,\"currency\":\"%s\",\"status\":\"%s\"", money, event->currency->code,
                payment_status_name(event->status));
    money_format(event->captured_minor, event->currency->exponent, money);
    text_printf(out, ",\"amount_captured\":%s", money);
    money_format(event->refunded_minor, event->currency->exponent, money);
    text_printf(out, ",\"amount_refunded\":%s", money);
    if (event->step == STEP_REFUND) {
        text_printf(out, ",\"refund_id\":\"%s\"", event->object_id);
    }
    text_add_string(out, ",\"actor\":");
    text_add_json(out, slice_of(event->actor));
    text_add_string(out, ",\"request_id\":");
    text_add_json(out, slice_of(event->request_id));
    text_add_string(out, "}");
}

/* Ends a list; cursor NULL: nothing follows. */
static void write_end(struct text *out, bool has_more, const char *cursor) {
    text_printf(out, "],\"has_more\":%s,\"next_cursor\":", has_more ? "true" : "false");
    text_add_json(out, slice_of(cursor));
    text_add_string(out, "}");
}

static void write_events(const struct event_list *list, struct text *out) {
    text_add_string(out, "{\"data\":[");
    for (int i = 0; i < list->count; i++) {
        text_add_string(out, i == 0 ? "" : ",");
        write_event(&list->events[i], out);
    }
}

/* Within one payment the event's number is the place. */
static bool parse_event_cursor(const char *text, int32_t *after_n) {
    char *end = NULL;
    long n = text[0] >= '1' && text[0] <= '9' && strlen(text) <= 9 ? strtol(text, &end, 10) : 0;
    *after_n = (int32_t)n;
    return n > 0 && *end == '\0';
}

void api_payment_events(const struct http_request *request, struct http_response *response, void *context) {
    struct api *api = context;
    struct api_key key;
    struct caller caller;
    struct page_query query;
    struct problem problem;
    struct event_list list = {.count = 0};
    char id[ID_SIZE];
    int32_t after_n = 0;
    if (!begin(api, request, response, &caller, &key, &query)) {
        return;
    }
    if (query.cursor[0] != '\0' && !parse_event_cursor(query.cursor, &after_n)) {
        bad_cursor(&problem);
        http_problem(request, response, &problem);
        return;
    }
    enum store_result result =
        api_payment_id(request, id)
            ? store_events(api->store, &caller, id, after_n, query.limit, request->deadline_us, &list)
            : STORE_NOT_FOUND;
    if (result == STORE_OK) {
        char cursor[16] = "";
        response->status = 200;
        if (list.has_more) {
            snprintf(cursor, sizeof cursor, "%d", (int)list.events[list.count - 1].n);
        }
        write_events(&list, &response->body);
        write_end(&response->body, list.has_more, list.has_more ? cursor : NULL);
    } else {
        api_store_problem(request, response, result, NULL, NULL);
    }
    event_list_free(&list);
}

void api_feed(const struct http_request *request, struct http_response *response, void *context) {
    struct api *api = context;
    struct api_key key;
    struct caller caller;
    struct page_query query;
    struct problem problem;
    struct event_list list = {.count = 0};
    struct feed_place place = {.epoch = 0};
    if (!begin(api, request, response, &caller, &key, &query)) {
        return;
    }
    if (query.cursor[0] != '\0' && !feed_cursor_parse(slice_of(query.cursor), &place)) {
        bad_cursor(&problem);
        http_problem(request, response, &problem);
        return;
    }
    enum store_result result =
        store_feed(api->store, &caller, place, query.limit, request->deadline_us, &list);
    if (result == STORE_OK) {
        char cursor[CURSOR_TEXT_MAX];
        response->status = 200;
        write_events(&list, &response->body);
        /* The cursor stays good at the end: the next call with it gives what happened since. */
        feed_cursor_format(list.count > 0 ? list.events[list.count - 1].place : place, cursor);
        write_end(&response->body, list.has_more, cursor);
    } else {
        api_store_problem(request, response, result, NULL, NULL);
    }
    event_list_free(&list);
}

/* A cursor of one payment's refunds is of no use for another's. */
static uint32_t refund_hash(const char *payment_id) {
    return cursor_hash(CURSOR_HASH_SEED, slice_of(payment_id));
}

static void write_refunds(const struct refund_list *list, const char *payment_id, struct text *out) {
    char cursor[CURSOR_TEXT_MAX];
    text_add_string(out, "{\"data\":[");
    for (int i = 0; i < list->count; i++) {
        text_add_string(out, i == 0 ? "" : ",");
        refund_write(&list->refunds[i], payment_id, list->currency, out);
    }
    if (list->has_more) {
        cursor_format(list->refunds[list->count - 1].id, refund_hash(payment_id), cursor);
    }
    write_end(out, list->has_more, list->has_more ? cursor : NULL);
}

void api_refund_list(const struct http_request *request, struct http_response *response, void *context) {
    struct api *api = context;
    struct api_key key;
    struct caller caller;
    struct page_query query;
    struct problem problem;
    struct refund_list list = {.count = 0};
    char id[ID_SIZE] = "";
    char after[ID_SIZE] = "";
    if (!begin(api, request, response, &caller, &key, &query)) {
        return;
    }
    bool named = api_payment_id(request, id);
    if (query.cursor[0] != '\0' && !cursor_parse(slice_of(query.cursor), ID_REFUND, refund_hash(id), after)) {
        bad_cursor(&problem);
        http_problem(request, response, &problem);
        return;
    }
    enum store_result result =
        named ? store_refunds(api->store, &caller, id, after, query.limit, request->deadline_us, &list)
              : STORE_NOT_FOUND;
    if (result == STORE_OK) {
        response->status = 200;
        write_refunds(&list, id, &response->body);
    } else {
        api_store_problem(request, response, result, NULL, NULL);
    }
    refund_list_free(&list);
}
