/* /api/v1/payments: create, read, list. */
#include <stdio.h>

#include "api/access.h"
#include "core/payment_json.h"
#include "core/query.h"
#include "core/timestamp.h"
#include "sys/clock.h"

#define LIST_LIMIT_DEFAULT 10
#define LOCATION "/api/v1/payments/"

static void answer_created(struct http_response *response, const struct payment *payment, bool replayed) {
    char location[sizeof LOCATION + ID_SIZE];
    snprintf(location, sizeof location, LOCATION "%s", payment->id);
    response->status = 201;
    http_header(response, "Location", location);
    if (replayed) {
        http_header(response, "Idempotent-Replayed", "true");
    }
    snprintf(response->object_id, sizeof response->object_id, "%s", payment->id);
    payment_write(payment, &response->body);
}

/* The id is made before the INSERT, and the payment's time is the id's. */
static void give_identity(struct payment *payment, bool livemode) {
    uint8_t random[ID_RANDOM_BYTES];
    random_bytes(random, sizeof random);
    payment->created_at_ms = clock_wall_ms();
    payment->status = PAYMENT_PENDING;
    payment->livemode = livemode;
    id_make(ID_PAYMENT, payment->created_at_ms, random, payment->id);
}

/* A request whose answer the store's thread may send. */
struct asked {
    const struct http_request *request;
    struct http_response *response;
    bool answered; /* by that thread */
};

static void answer_now(struct asked *asked) {
    http_answer_now(asked->request);
    asked->answered = true;
}

static void wait_next(void *context) {
    const struct asked *asked = context;
    http_wait_next(asked->request);
}

/* A payment on its way into the store. */
struct creation {
    struct asked asked; /* first: see wait_next */
    struct record record;
    struct caller caller;
    const struct currency *currency;
};

static void answer_creation(struct creation *creation, enum store_result result) {
    const struct payment *payment = &creation->record.payment;
    if (result == STORE_OK || result == STORE_REPLAYED) {
        answer_created(creation->asked.response, payment, result == STORE_REPLAYED);
    } else {
        api_store_problem(creation->asked.request, creation->asked.response, result,
                          result == STORE_UNKNOWN ? payment->id : NULL, NULL);
    }
    metrics_payment(api_outcome(result, OUTCOME_CREATED), creation->currency->code,
                    creation->caller.livemode);
}

static void creation_done(void *context, enum store_result result) {
    struct creation *creation = context;
    answer_creation(creation, result);
    answer_now(&creation->asked);
}

void api_payment_create(const struct http_request *request, struct http_response *response, void *context) {
    struct api *api = context;
    struct creation creation = {.asked = {.request = request, .response = response}};
    struct payment_draft draft;
    struct problem problem;
    struct idempotency key;
    struct api_key api_key;
    if (!access_check(api, request, response, SCOPE_PAYMENTS_WRITE, &creation.caller, &api_key) ||
        !api_idempotency(request, response, &key)) {
        return;
    }
    if (!payment_read(request->body, &draft, &problem)) {
        http_problem(request, response, &problem);
        payment_draft_free(&draft);
        return;
    }
    creation.record.payment = draft.payment;
    creation.currency = draft.payment.currency;
    if (key.present) {
        payment_draft_fingerprint(&draft, key.fingerprint);
    }
    give_identity(&creation.record.payment, creation.caller.livemode);
    const struct store_early early = {creation_done, wait_next, &creation};
    enum store_result result =
        store_create(api->store, &creation.caller, &key, request->deadline_us, &early, &creation.record);
    if (!creation.asked.answered) {
        answer_creation(&creation, result);
    }
    record_free(&creation.record);
    payment_draft_free(&draft);
}

/* A payment on its way out of the store. */
struct look_up {
    struct asked asked; /* first: see wait_next */
    struct record record;
};

static void answer_look_up(struct look_up *look_up, enum store_result result) {
    const struct payment *payment = &look_up->record.payment;
    struct http_response *response = look_up->asked.response;
    if (result == STORE_OK) {
        response->status = 200;
        snprintf(response->object_id, sizeof response->object_id, "%s", payment->id);
        payment_write(payment, &response->body);
    } else {
        api_store_problem(look_up->asked.request, response, result, NULL, NULL);
    }
}

static void look_up_done(void *context, enum store_result result) {
    struct look_up *look_up = context;
    answer_look_up(look_up, result);
    answer_now(&look_up->asked);
}

void api_payment_get(const struct http_request *request, struct http_response *response, void *context) {
    struct api *api = context;
    struct look_up look_up = {.asked = {.request = request, .response = response}};
    struct api_key api_key;
    struct caller caller;
    char id[ID_SIZE];
    if (!access_check(api, request, response, SCOPE_PAYMENTS_READ, &caller, &api_key)) {
        return;
    }
    const struct store_early early = {look_up_done, wait_next, &look_up};
    enum store_result result =
        api_payment_id(request, id)
            ? store_get(api->store, &caller, id, request->deadline_us, &early, &look_up.record)
            : STORE_NOT_FOUND;
    if (!look_up.asked.answered) {
        answer_look_up(&look_up, result);
    }
    record_free(&look_up.record);
}

/* What a list's query says, and which names it has said already. */
struct list_query {
    struct list_filter filter;
    char cursor[QUERY_VALUE_MAX];
    unsigned seen;
};

static bool refuse(struct problem *problem, const char *field, const char *reason, const char *detail) {
    return problem_set(problem, PROBLEM_INVALID_FIELD, field, reason, "%s", detail);
}

static bool read_limit(struct list_query *query, const char *value, struct problem *problem) {
    if (!api_read_limit(value, &query->filter.limit)) {
        return refuse(problem, "limit", "out_of_range", "limit must be a whole number from 1 to 100.");
    }
    return true;
}

static bool read_status(struct list_query *query, const char *value, struct problem *problem) {
    return payment_status_parse(slice_of(value), &query->filter.status) ||
           refuse(problem, "status", "unknown_status",
                  "status must be pending, captured, partially_refunded, refunded, canceled or failed.");
}

static bool read_currency(struct list_query *query, const char *value, struct problem *problem) {
    const struct currency *currency = currency_find(slice_of(value));
    if (currency == NULL) {
        return refuse(problem, "currency", "unknown_currency",
                      "currency must be an active ISO 4217 code in capitals.");
    }
    memcpy(query->filter.currency, currency->code, sizeof query->filter.currency);
    return true;
}

static bool read_time(const char *field, const char *value, char id[ID_SIZE], struct problem *problem) {
    int64_t time_ms = 0;
    if (!timestamp_parse(slice_of(value), &time_ms) || time_ms < 0) {
        return refuse(problem, field, "not_a_time",
                      "A time is written as RFC 3339, like 2026-11-24T08:00:00Z, or as a date.");
    }
    id_lowest(ID_PAYMENT, time_ms, id);
    return true;
}

static bool read_pair(struct list_query *query, const struct query_pair *pair, struct problem *problem) {
    static const char *const names[] = {"limit",    "cursor",       "status",
                                        "currency", "created_from", "created_to"};
    size_t which = 0;
    while (which < ARRAY_LEN(names) && strcmp(pair->name, names[which]) != 0) {
        which++;
    }
    if (which == ARRAY_LEN(names)) {
        return refuse(problem, "query", "unknown_parameter",
                      "The query may have limit, cursor, status, currency, created_from and created_to.");
    }
    if ((query->seen & (1u << which)) != 0) {
        return refuse(problem, names[which], "repeated", "A query parameter may be given once.");
    }
    query->seen |= 1u << which;
    switch (which) {
    case 0:
        return read_limit(query, pair->value, problem);
    case 1:
        memcpy(query->cursor, pair->value, sizeof query->cursor);
        return true;
    case 2:
        return read_status(query, pair->value, problem);
    case 3:
        return read_currency(query, pair->value, problem);
    case 4:
        return read_time("created_from", pair->value, query->filter.created_from, problem);
    default:
        return read_time("created_to", pair->value, query->filter.created_to, problem);
    }
}

/* A cursor continues the list that it came from and no other. */
static uint32_t filter_hash(const struct list_filter *filter, const struct caller *caller) {
    char text[3 * ID_SIZE];
    int len =
        snprintf(text, sizeof text, "%d %d %d %s %s %s", (int)caller->account_id, caller->livemode ? 1 : 0,
                 (int)filter->status, filter->currency, filter->created_from, filter->created_to);
    return cursor_hash(CURSOR_HASH_SEED, (struct slice){text, (size_t)len});
}

static bool read_query(struct slice text, const struct caller *caller, struct list_query *query,
                       struct problem *problem) {
    struct query_pair pair;
    enum query_result result;
    *query = (struct list_query){.filter = {.limit = LIST_LIMIT_DEFAULT}};
    while ((result = query_next(&text, &pair)) == QUERY_PAIR) {
        if (!read_pair(query, &pair, problem)) {
            return false;
        }
    }
    if (result == QUERY_MALFORMED) {
        return refuse(problem, "query", "malformed", "The query string is not well-formed.");
    }
    if ((query->seen & 2u) != 0 && !cursor_parse(slice_of(query->cursor), ID_PAYMENT,
                                                 filter_hash(&query->filter, caller), query->filter.after)) {
        return refuse(problem, "cursor", "malformed",
                      "The cursor is not one that this list with this filter gave.");
    }
    return true;
}

static void write_page(const struct page *page, uint32_t hash, struct text *out) {
    text_add_string(out, "{\"data\":[");
    for (int i = 0; i < page->count; i++) {
        text_add_string(out, i == 0 ? "" : ",");
        payment_write(&page->records[i].payment, out);
    }
    text_add_string(out, page->has_more ? "],\"has_more\":true,\"next_cursor\":\""
                                        : "],\"has_more\":false,\"next_cursor\":null}");
    if (page->has_more) {
        char cursor[CURSOR_TEXT_MAX];
        cursor_format(page->records[page->count - 1].payment.id, hash, cursor);
        text_add_string(out, cursor);
        text_add_string(out, "\"}");
    }
}

void api_payment_list(const struct http_request *request, struct http_response *response, void *context) {
    struct api *api = context;
    struct list_query query;
    struct problem problem;
    struct page page;
    struct api_key api_key;
    struct caller caller;
    if (!access_check(api, request, response, SCOPE_PAYMENTS_READ, &caller, &api_key)) {
        return;
    }
    if (!read_query(request->query, &caller, &query, &problem)) {
        http_problem(request, response, &problem);
        return;
    }
    enum store_result result = store_list(api->store, &caller, &query.filter, request->deadline_us, &page);
    if (result == STORE_OK) {
        response->status = 200;
        write_page(&page, filter_hash(&query.filter, &caller), &response->body);
    } else {
        api_store_problem(request, response, result, NULL, NULL);
    }
    page_free(&page);
}
