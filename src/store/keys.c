#include "store/keys.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/fingerprint.h"
#include "core/id.h"
#include "store/pg.h"
#include "store/store.h"
#include "sys/clock.h"

#define RUN_US 10000000
#define KEY_BYTES 32
#define EXPIRES_DAYS_MAX 3650

static const char usage[] =
    "Usage: payflow keys create --account NAME --scope payments:read,payments:write "
    "[--test] [--expires DAYSd] [--hash SHA256]\n"
    "       payflow keys list\n"
    "       payflow keys revoke KEY_ID\n"
    "\n"
    "create prints the key once; only its hash is kept. --test makes a key whose "
    "payments never mix with live ones. --hash\n"
    "takes the hash of a key that was made elsewhere, so that the key itself is in no "
    "log of the machine that runs this.\n";

static const struct pg_statement create_statement = {
    0, "key_create",
    "WITH made AS (INSERT INTO accounts (name) VALUES ($1::text) ON CONFLICT (name) DO NOTHING RETURNING id),"
    " account AS (SELECT id FROM made UNION ALL SELECT id FROM accounts WHERE name = $1::text LIMIT 1)"
    " INSERT INTO api_keys (id, account_id, livemode, scopes, hash, expires_at)"
    " SELECT $2::text, id, $3::bool, $4::int4, decode($5::text, 'hex'),"
    " CASE WHEN $6::int4 > 0 THEN now() + $6::int4 * interval '1 day' END FROM account RETURNING account_id"};

static const struct pg_statement revoke_statement = {
    1, "key_revoke",
    "UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1::text RETURNING id"};

static const char list_sql[] =
    "SELECT k.id, a.name, CASE WHEN k.livemode THEN 'live' ELSE 'test' END,"
    " concat_ws(',', CASE WHEN k.scopes & 1 = 1 THEN 'payments:read' END, CASE WHEN k.scopes & 2 = 2 THEN"
    " 'payments:write' END), to_char(k.created_at, 'YYYY-MM-DD'), CASE WHEN k.revoked_at IS NOT NULL THEN "
    "'revoked'"
    " WHEN k.expires_at <= now() THEN 'expired' WHEN k.expires_at IS NULL THEN 'active'"
    " ELSE 'active until ' || to_char(k.expires_at, 'YYYY-MM-DD') END"
    " FROM api_keys k JOIN accounts a ON a.id = k.account_id ORDER BY k.id";

struct key_request {
    const char *account;
    unsigned scopes;
    bool test;
    int expires_days; /* 0: never */
    const char *hash; /* of a key that was made elsewhere, in hex; or NULL */
};

void keys_usage(FILE *out) {
    fputs(usage, out);
}

static int show_usage(void) {
    keys_usage(stderr);
    return 64;
}

static unsigned read_scopes(const char *text) {
    unsigned scopes = 0;
    while (*text != '\0') {
        size_t len = strcspn(text, ",");
        if (len == strlen("payments:read") && strncmp(text, "payments:read", len) == 0) {
            scopes |= SCOPE_PAYMENTS_READ;
        } else if (len == strlen("payments:write") && strncmp(text, "payments:write", len) == 0) {
            scopes |= SCOPE_PAYMENTS_WRITE;
        } else {
            return 0;
        }
        text += len + (text[len] == ',' ? 1 : 0);
    }
    return scopes;
}

static int read_days(const char *text) {
    char *end = NULL;
    long days = strtol(text, &end, 10);
    return end != text && strcmp(end, "d") == 0 && days >= 1 && days <= EXPIRES_DAYS_MAX ? (int)days : 0;
}

static bool is_hash(const char *text) {
    return strlen(text) == 2 * FINGERPRINT_BYTES && strspn(text, "0123456789abcdef") == 2 * FINGERPRINT_BYTES;
}

static bool read_request(int argc, char **argv, struct key_request *request) {
    *request = (struct key_request){.account = NULL};
    for (int i = 0; i < argc; i++) {
        bool more = i + 1 < argc;
        if (strcmp(argv[i], "--test") == 0) {
            request->test = true;
        } else if (strcmp(argv[i], "--account") == 0 && more) {
            request->account = argv[++i];
        } else if (strcmp(argv[i], "--scope") == 0 && more) {
            request->scopes = read_scopes(argv[++i]);
        } else if (strcmp(argv[i], "--expires") == 0 && more) {
            request->expires_days = read_days(argv[++i]);
            if (request->expires_days == 0) {
                return false;
            }
        } else if (strcmp(argv[i], "--hash") == 0 && more && is_hash(argv[i + 1])) {
            request->hash = argv[++i];
        } else {
            return false;
        }
    }
    return request->account != NULL && request->scopes != 0;
}

static void to_hex(const uint8_t *bytes, size_t len, char *out) {
    for (size_t i = 0; i < len; i++) {
        snprintf(out + 2 * i, 3, "%02x", (unsigned)bytes[i]);
    }
}

static int failed(struct pg *pg) {
    const char *message = pg_message(pg);
    fprintf(stderr, "payflow keys: %s\n", message[0] == '\0' ? "lost the connection to PostgreSQL" : message);
    return 1;
}

static int create(struct pg *pg, const struct key_request *request) {
    uint8_t secret[KEY_BYTES];
    uint8_t random[ID_RANDOM_BYTES];
    uint8_t hash[FINGERPRINT_BYTES];
    char key[9 + 2 * KEY_BYTES + 1];
    char hash_hex[2 * FINGERPRINT_BYTES + 1];
    char id[ID_SIZE];
    char scopes[12];
    char days[12];
    random_bytes(secret, sizeof secret);
    random_bytes(random, sizeof random);
    id_make("key_", clock_wall_ms(), random, id);
    memcpy(key, request->test ? "pfk_test_" : "pfk_live_", 9);
    to_hex(secret, sizeof secret, key + 9);
    fingerprint_sha256(slice_of(key), hash);
    to_hex(hash, sizeof hash, hash_hex);
    snprintf(scopes, sizeof scopes, "%u", request->scopes);
    snprintf(days, sizeof days, "%d", request->expires_days);
    const struct pg_parameters parameters = {
        .count = 6,
        .values = {request->account, id, request->test ? "f" : "t", scopes,
                   request->hash == NULL ? hash_hex : request->hash, days}};
    struct pg_answer answer = pg_run(pg, &create_statement, &parameters, clock_monotonic_us() + RUN_US);
    bool done = answer.outcome == PG_OK && PQntuples(answer.result) == 1;
    PQclear(answer.result);
    if (!done) {
        return failed(pg);
    }
    if (request->hash == NULL) {
        printf("%s\n", key);
    }
    fprintf(stderr, "Key %s of account %s.%s\n", id, request->account,
            request->hash == NULL ? " It is shown this once: keep it safe." : "");
    return 0;
}

static int list(struct pg *pg) {
    struct pg_answer answer = pg_run_text(pg, list_sql, clock_monotonic_us() + RUN_US);
    if (answer.outcome != PG_OK) {
        return failed(pg);
    }
    printf("%-30s  %-20s  %-4s  %-28s  %-10s  %s\n", "ID", "ACCOUNT", "MODE", "SCOPES", "CREATED", "STATE");
    for (int row = 0; row < PQntuples(answer.result); row++) {
        printf("%-30s  %-20s  %-4s  %-28s  %-10s  %s\n", PQgetvalue(answer.result, row, 0),
               PQgetvalue(answer.result, row, 1), PQgetvalue(answer.result, row, 2),
               PQgetvalue(answer.result, row, 3), PQgetvalue(answer.result, row, 4),
               PQgetvalue(answer.result, row, 5));
    }
    PQclear(answer.result);
    return 0;
}

static int revoke(struct pg *pg, const char *id) {
    const struct pg_parameters parameters = {.count = 1, .values = {id}};
    struct pg_answer answer = pg_run(pg, &revoke_statement, &parameters, clock_monotonic_us() + RUN_US);
    if (answer.outcome != PG_OK) {
        return failed(pg);
    }
    bool found = PQntuples(answer.result) == 1;
    PQclear(answer.result);
    if (!found) {
        fprintf(stderr, "payflow keys: there is no key of that id\n");
        return 1;
    }
    printf("revoked %s; it is refused everywhere within 30 seconds\n", id);
    return 0;
}

int keys_run(const struct settings *settings, int argc, char **argv) {
    struct key_request request = {.account = NULL};
    struct pg pg;
    const struct pg_session session = {.lock_timeout_ms = 5000, .statement_timeout_ms = 5000};
    bool creates = argc > 0 && strcmp(argv[0], "create") == 0 && read_request(argc - 1, argv + 1, &request);
    bool lists = argc == 1 && strcmp(argv[0], "list") == 0;
    bool revokes = argc == 2 && strcmp(argv[0], "revoke") == 0;
    if (!creates && !lists && !revokes) {
        return show_usage();
    }
    pg_init(&pg, settings, session);
    if (!pg_connect(&pg, clock_monotonic_us() + RUN_US)) {
        fprintf(stderr, "payflow keys: no database; see DB_HOST or DATABASE_URL\n");
        return 69;
    }
    int status = creates ? create(&pg, &request) : lists ? list(&pg) : revoke(&pg, argv[1]);
    pg_close(&pg);
    return status;
}
