/* A store that answers at once, for wire.c: what it answers hangs on what it is asked, so that the API comes
 * to each of its answers. Linked before the real one, whose objects are then left out. */
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>

static const char payment_id[] = "pay_01jdewx1b8tq3v9h6k2m4n5p7r";
static const char refund_id[] = "ref_01jdewx1b8tq3v9h6k2m4n5p7r";

/* Most numbers are fine; the last ones before a multiple of 16 are each a way to fail. */
static enum store_result result_of(int64_t number) {
    int64_t result = number % 16;
    return result <= STORE_REJECTED && result != STORE_REJECTED ? (enum store_result)result : STORE_OK;
}

static enum store_result result_of_id(const char *id) {
    return strcmp(id, payment_id) == 0 ? STORE_OK : result_of(id[29] % 2 == 0 ? STORE_NOT_FOUND : id[28]);
}

static void fill(struct record *record, const struct caller *caller, const char *id) {
    *record = (struct record){.memory = NULL};
    record->payment = (struct payment){.amount_minor = 4999,
                                       .currency = currency_find(slice_of("EUR")),
                                       .status = PAYMENT_PENDING,
                                       .livemode = caller->livemode,
                                       .created_at_ms = id_time_ms(slice_of(id)),
                                       .description = slice_of("\"quoted\" and \\ and \n"),
                                       .metadata = slice_of("{\"a\":\"b\"}")};
    snprintf(record->payment.id, ID_SIZE, "%s", id);
}

enum store_state store_state(const struct store *store) {
    (void)store;
    return STORE_READY;
}

void record_free(struct record *record) {
    free(record->memory);
    record->memory = NULL;
}

enum store_result store_create(struct store *store, const struct caller *caller,
                               const struct idempotency *key, int64_t deadline_us,
                               const struct store_early *early, struct record *record) {
    (void)store;
    (void)caller;
    (void)deadline_us;
    enum store_result result = result_of(record->payment.amount_minor);
    result = result == STORE_REPLAYED && !key->present ? STORE_OK : result;
    if (early != NULL && record->payment.amount_minor % 3 == 0) {
        early->done(early->context, result);
        early->wait(early->context);
    }
    return result;
}

enum store_result store_step(struct store *store, const struct caller *caller, const struct idempotency *key,
                             const struct step_request *request, int64_t deadline_us, struct record *record) {
    (void)store;
    (void)key;
    (void)deadline_us;
    enum store_result result = result_of_id(request->payment_id);
    fill(record, caller, request->payment_id);
    if (result == STORE_OK && request->step == STEP_REFUND) {
        record->payment.captured_minor = record->payment.amount_minor;
        record->refund = (struct refund){.amount_minor = 1, .reason = request->reason};
        snprintf(record->refund.id, ID_SIZE, "%s", refund_id);
    }
    return result;
}

enum store_result store_get(struct store *store, const struct caller *caller, const char *id,
                            int64_t deadline_us, const struct store_early *early, struct record *record) {
    (void)store;
    (void)deadline_us;
    enum store_result result = result_of_id(id);
    fill(record, caller, id);
    if (early != NULL && id[27] % 2 == 0) {
        early->done(early->context, result);
        early->wait(early->context);
    }
    return result;
}

enum store_result store_list(struct store *store, const struct caller *caller,
                             const struct list_filter *filter, int64_t deadline_us, struct page *page) {
    (void)store;
    (void)deadline_us;
    page->records = calloc(2, sizeof *page->records);
    page->count = page->records == NULL ? 0 : (filter->limit == 1 ? 1 : 2);
    page->has_more = filter->limit == 1;
    for (int i = 0; i < page->count; i++) {
        fill(&page->records[i], caller, payment_id);
    }
    return result_of(filter->limit == STORE_UNAVAILABLE ? STORE_UNAVAILABLE : STORE_OK);
}

void page_free(struct page *page) {
    free(page->records);
    *page = (struct page){.count = 0};
}

static enum store_result one_event(const struct caller *caller, int limit, struct event_list *list) {
    list->events = calloc(1, sizeof *list->events);
    list->count = list->events == NULL ? 0 : 1;
    list->has_more = limit == 1;
    if (list->events != NULL) {
        list->events[0] = (struct event){.n = 1,
                                         .step = STEP_CREATE,
                                         .status = PAYMENT_PENDING,
                                         .amount_minor = 4999,
                                         .currency = currency_find(slice_of("EUR")),
                                         .livemode = caller->livemode,
                                         .actor = caller->actor,
                                         .request_id = caller->request_id};
        snprintf(list->events[0].payment_id, ID_SIZE, "%s", payment_id);
    }
    return STORE_OK;
}

enum store_result store_events(struct store *store, const struct caller *caller, const char *id,
                               int32_t after_n, int limit, int64_t deadline_us, struct event_list *list) {
    (void)store;
    (void)after_n;
    (void)deadline_us;
    enum store_result result = result_of_id(id);
    return result == STORE_OK ? one_event(caller, limit, list) : result;
}

enum store_result store_feed(struct store *store, const struct caller *caller, struct feed_place after,
                             int limit, int64_t deadline_us, struct event_list *list) {
    (void)store;
    (void)after;
    (void)deadline_us;
    return one_event(caller, limit, list);
}

void event_list_free(struct event_list *list) {
    free(list->events);
    *list = (struct event_list){.count = 0};
}

enum store_result store_refunds(struct store *store, const struct caller *caller, const char *id,
                                const char *after, int limit, int64_t deadline_us, struct refund_list *list) {
    (void)store;
    (void)caller;
    (void)after;
    (void)deadline_us;
    list->refunds = calloc(1, sizeof *list->refunds);
    list->count = list->refunds == NULL ? 0 : 1;
    list->has_more = limit == 1;
    list->currency = currency_find(slice_of("EUR"));
    if (list->refunds != NULL) {
        list->refunds[0] = (struct refund){.amount_minor = 1, .reason = slice_of("because")};
        snprintf(list->refunds[0].id, ID_SIZE, "%s", refund_id);
    }
    return result_of_id(id);
}

void refund_list_free(struct refund_list *list) {
    free(list->refunds);
    *list = (struct refund_list){.count = 0};
}

double store_feed_lag_s(const struct store *store) {
    (void)store;
    return 0;
}

enum store_result store_key(struct store *store, const uint8_t hash[FINGERPRINT_BYTES], int64_t deadline_us,
                            struct api_key *key) {
    (void)store;
    (void)deadline_us;
    *key = (struct api_key){.id = "key_fuzz",
                            .account_id = 1,
                            .livemode = (hash[0] & 1) != 0,
                            .scopes = (hash[1] & 7) == 0 ? SCOPE_PAYMENTS_READ
                                                         : SCOPE_PAYMENTS_READ | SCOPE_PAYMENTS_WRITE};
    return (hash[2] & 15) == 0 ? STORE_NOT_FOUND : STORE_OK;
}
