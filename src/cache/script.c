#include "cache/script.h"

#include <inttypes.h>
#include <stdio.h>

#include <openssl/evp.h>

#define KEY_PREFIX "payflow:limit:"

/* gcra_take for several requests at once. Redis' own clock counts, so that the instances' need not agree;
 * ticks since 2025, see gcra.h. A key outlives its debt by a second. */
static const char script[] =
    "local time = redis.call('TIME')\n"
    "local now = ((time[1] - 1735689600) * 1000000 + time[2]) * 16\n"
    "local interval, tolerance, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])\n"
    "local ahead, back = tonumber(ARGV[4]), tonumber(ARGV[5])\n"
    "local was = tonumber(redis.call('GET', KEYS[1]) or 0) - now\n"
    "local debt = math.min(math.max(was - back * interval, 0), tolerance)\n"
    "local granted = math.min(wanted, math.floor((tolerance - debt) / interval))\n"
    "debt = debt + granted * interval\n"
    "ahead = math.min(ahead, math.floor((tolerance - debt) / interval / 64))\n"
    "debt = debt + ahead * interval\n"
    "if granted > 0 or back > 0 or was > tolerance then\n"
    "  redis.call('SET', KEYS[1], string.format('%.0f', now + debt), 'PX', string.format('%.0f', debt / "
    "16000 + 1000))\n"
    "end\n"
    "return {granted, debt, ahead}\n";

void script_name(char name[SCRIPT_NAME_SIZE]) {
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    unsigned len = 0;
    /* Redis names scripts by SHA-1; nothing rests on its strength. A name that fails is answered NOSCRIPT. */
    if (EVP_Digest(script, sizeof script - 1, digest, &len, EVP_sha1(), NULL) != 1) {
        len = 20;
    }
    for (unsigned i = 0; i < len && i < 20; i++) {
        snprintf(name + 2 * (size_t)i, 3, "%02x", digest[i]);
    }
}

bool script_append(redisContext *redis, const char *name, bool whole, const char *subject,
                   const struct gcra *gcra, const struct script_take *take) {
    const int64_t numbers[] = {gcra->interval, gcra->tolerance, take->wanted, take->ahead, take->back};
    char key[sizeof KEY_PREFIX + 128];
    char words[ARRAY_LEN(numbers)][24];
    const char *argv[4 + ARRAY_LEN(numbers)] = {whole ? "EVAL" : "EVALSHA", whole ? script : name, "1", key};
    snprintf(key, sizeof key, KEY_PREFIX "%s", subject);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        snprintf(words[i], sizeof words[i], "%" PRId64, numbers[i]);
        argv[4 + i] = words[i];
    }
    return redisAppendCommandArgv(redis, (int)ARRAY_LEN(argv), argv, NULL) == REDIS_OK;
}

bool script_read(const redisReply *reply, struct script_grant *grant) {
    int64_t *const into[] = {&grant->granted, &grant->debt, &grant->ahead};
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != ARRAY_LEN(into)) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(into); i++) {
        if (reply->element[i]->type != REDIS_REPLY_INTEGER) {
            return false;
        }
        *into[i] = reply->element[i]->integer;
    }
    return true;
}
