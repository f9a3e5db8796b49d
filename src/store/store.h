/* PostgreSQL: where money is written. Group commit, idempotency in the write's own transaction, unknown
 * outcomes resolved (design, decisions 1 to 3). Callers block until their answer is known or their deadline
 * passes; every function here is thread-safe unless it says otherwise. */
#ifndef PAYFLOW_STORE_STORE_H
#define PAYFLOW_STORE_STORE_H

#include "core/base.h"
#include "core/cursor.h"
#include "core/fingerprint.h"
#include "core/payment.h"
#include "settings.h"

struct store;

/* Starts the lanes' threads, which connect behind and heal by themselves; an unreachable database is no
 * failure. NULL only without memory or threads. `settings` must outlive the store. */
struct store *store_start(const struct settings *settings);

/* Answers what waits with STORE_UNAVAILABLE, lets what was sent finish (bounded by its deadline), ends the
 * threads, frees. */
void store_stop(struct store *store);

/* What /ready says, from a state no older than a second. Never blocks. */
enum store_state {
    STORE_READY,
    STORE_NOT_CONFIGURED,
    STORE_UNREACHABLE,
    STORE_MIGRATIONS_PENDING,
    STORE_SCHEMA_TOO_NEW, /* a later migration says that this binary's schema version no longer works */
};
enum store_state store_state(const struct store *store);

enum store_result {
    STORE_OK = 0,
    STORE_REPLAYED,   /* the key was used before by an equal request: the record is what it answered then */
    STORE_KEY_REUSED, /* the key was used before by a different request */
    STORE_IN_FLIGHT,  /* another transaction holds the key beyond the deadline; nothing done here */
    STORE_NOT_FOUND,
    STORE_ILLEGAL,     /* the payment's state does not allow the step; the record is as it is */
    STORE_AMOUNT,      /* more than what may be captured or refunded; the record is as it is */
    STORE_BUSY,        /* the queue is full; nothing done */
    STORE_UNAVAILABLE, /* no database within the deadline; nothing done */
    STORE_UNKNOWN,     /* sent, and no answer within the deadline: it may or may not have happened */
    STORE_REJECTED,    /* PostgreSQL refused this row's data, or the statement for good; nothing done */
};

/* On whose behalf. */
struct caller {
    int32_t account_id;
    bool livemode;
    const char *actor;      /* the key's public id, "none" without keys; for the history */
    const char *request_id; /* for the history */
};

/* The Idempotency-Key of a write, if it has one. */
struct idempotency {
    bool present;
    char key[IDEMPOTENCY_KEY_MAX + 1];
    uint8_t fingerprint[FINGERPRINT_BYTES];
};

/* A refund of a payment. */
struct refund {
    char id[ID_SIZE];
    int64_t amount_minor;
    int64_t created_at_ms;
    struct slice reason; /* optional */
};

/* A payment with the memory that its texts live in. */
struct record {
    struct payment payment;
    struct refund refund; /* what a STEP_REFUND made; else empty */
    char *memory;         /* freed by record_free; NULL if the texts are the caller's own */
};

/* Frees the record's memory, if it has any. */
void record_free(struct record *record);

/* For a caller that would rather have the result on the thread that brings it than be woken for it. */
struct store_early {
    /* Gives the result, as the call itself will return it, with what it writes to `record` in place. On
     * another thread, before the call returns, and at most once: not for a result that the call comes to by
     * itself (refused, expired, a duplicate's). */
    void (*done)(void *context, enum store_result result);
    /* Waits for something else that the caller's thread is there for; may return at any time. */
    void (*wait)(void *context);
    void *context;
};

/* Records a new payment. In: record->payment whole (id made, status pending), its texts the caller's own and
 * valid until the call returns. Out: on STORE_OK the same; on STORE_REPLAYED the payment as it was created
 * first. On STORE_UNKNOWN record->payment.id is the id to name. deadline_us: clock_monotonic_us by when the
 * call returns. early: may be NULL. */
MUST_CHECK enum store_result store_create(struct store *store, const struct caller *caller,
                                          const struct idempotency *key, int64_t deadline_us,
                                          const struct store_early *early, struct record *record);

/* What a step after the creation asks for. */
struct step_request {
    enum payment_step step; /* not STEP_CREATE */
    const char *payment_id;
    int64_t amount_minor; /* captured or refunded; 0: all that is left; ignored by other steps */
    struct slice reason;  /* of a refund; optional */
};

/* Carries out one step of the caller's payment: locks it, applies core's table, records state, event and key
 * in one transaction. Out: on STORE_OK and STORE_REPLAYED the payment as the step left it (and the refund),
 * on STORE_ILLEGAL and STORE_AMOUNT the payment as it stands. */
MUST_CHECK enum store_result store_step(struct store *store, const struct caller *caller,
                                        const struct idempotency *key, const struct step_request *request,
                                        int64_t deadline_us, struct record *record);

/* Reads one payment of the caller's account and mode. early: may be NULL. */
MUST_CHECK enum store_result store_get(struct store *store, const struct caller *caller, const char *id,
                                       int64_t deadline_us, const struct store_early *early,
                                       struct record *record);

#define LIST_LIMIT_MAX 100

struct list_filter {
    int limit;                  /* 1 .. LIST_LIMIT_MAX */
    char after[ID_SIZE];        /* continue below this id; "" from the newest */
    char created_from[ID_SIZE]; /* lowest id included, "" = none */
    char created_to[ID_SIZE];   /* first id excluded, "" = none */
    enum payment_status status; /* 0 = any */
    char currency[4];           /* "" = any */
};

struct page {
    struct record *records; /* newest first */
    int count;
    bool has_more;
};

/* Reads one page of payments, newest first. The caller frees the page with page_free, also after a failure.
 */
MUST_CHECK enum store_result store_list(struct store *store, const struct caller *caller,
                                        const struct list_filter *filter, int64_t deadline_us,
                                        struct page *page);
void page_free(struct page *page);

/* One event of a payment's history. Texts are valid as long as the list that holds it. */
struct event {
    struct feed_place place;
    int64_t created_at_ms;
    int32_t n; /* 1, 2, 3 … within the payment */
    enum payment_step step;
    enum payment_status status; /* after the step, as the two amounts are */
    int64_t amount_minor;       /* of the step */
    int64_t captured_minor;
    int64_t refunded_minor;
    const struct currency *currency;
    bool livemode;
    char payment_id[ID_SIZE];
    char object_id[ID_SIZE]; /* the refund's, for STEP_REFUND; else the step's own or "" */
    const char *actor;
    const char *request_id;
};

struct event_list {
    struct event *events;
    int count;
    bool has_more;
    char *memory;
};

/* Frees what a list holds; it is empty then. */
void event_list_free(struct event_list *list);

/* Reads up to `limit` events of one payment after number `after_n`, in order. STORE_NOT_FOUND if the caller
 * has no such payment. The caller frees the list, also after a failure; so for the two below. */
MUST_CHECK enum store_result store_events(struct store *store, const struct caller *caller,
                                          const char *payment_id, int32_t after_n, int limit,
                                          int64_t deadline_us, struct event_list *list);

/* Reads up to `limit` events of the caller's account and mode after a place in the feed. Only events whose
 * transaction is older than every transaction that still runs are shown, so that none can appear before one
 * that was read (decision 12). */
MUST_CHECK enum store_result store_feed(struct store *store, const struct caller *caller,
                                        struct feed_place after, int limit, int64_t deadline_us,
                                        struct event_list *list);

struct refund_list {
    struct refund *refunds;
    const struct currency *currency;
    int count;
    bool has_more;
    char *memory;
};

/* Frees what a list holds; it is empty then. */
void refund_list_free(struct refund_list *list);

/* Reads up to `limit` refunds of one payment, newest first, below the id `after` ("" from the newest).
 * STORE_NOT_FOUND as above. */
MUST_CHECK enum store_result store_refunds(struct store *store, const struct caller *caller,
                                           const char *payment_id, const char *after, int limit,
                                           int64_t deadline_us, struct refund_list *list);

/* Seconds by which the feed lags: how long the oldest running transaction has held its end back. */
double store_feed_lag_s(const struct store *store);

/* What an API key allows, or-ed. Their numbers are stored: append only. */
enum key_scope { SCOPE_PAYMENTS_READ = 1, SCOPE_PAYMENTS_WRITE = 2 };

struct api_key {
    char id[ID_SIZE]; /* public */
    int32_t account_id;
    bool livemode;
    unsigned scopes;
    int64_t expires_at_ms; /* 0: never */
};

/* Looks up a key that is neither revoked nor expired by the SHA-256 of its text. STORE_NOT_FOUND if there is
 * none. */
MUST_CHECK enum store_result store_key(struct store *store, const uint8_t hash[FINGERPRINT_BYTES],
                                       int64_t deadline_us, struct api_key *key);

#endif
