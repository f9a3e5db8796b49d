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
    "local whole_at = tonumber(redis.call('GET', KEYS[1]) or 0)\n"
    "local debt = math.min(math.max(whole_at - now, 0), tolerance)\n"
    "local granted = math.min(wanted, math.floor((tolerance - debt) / interval))\n"
    "if granted > 0 or whole_at - now > tolerance then\n"
    "  debt = debt + granted * interval\n"
    "  redis.call('SET', KEYS[1], string.format('%.0f', now + debt), 'PX', string.format('%.0f', debt / "
    "16000 + 1000))\n"
    "end\n"
    "return {granted, debt}\n";

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
                   const struct gcra *gcra, int wanted) {
    char key[sizeof KEY_PREFIX + 128], interval[24], tolerance[24], count[12];
    snprintf(key, sizeof key, KEY_PREFIX "%s", subject);
    snprintf(interval, sizeof interval, "%" PRId64, gcra->interval);
    snprintf(tolerance, sizeof tolerance, "%" PRId64, gcra->tolerance);
    snprintf(count, sizeof count, "%d", wanted);
    const char *argv[] = {
        whole ? "EVAL" : "EVALSHA", whole ? script : name, "1", key, interval, tolerance, count};
    return redisAppendCommandArgv(redis, (int)ARRAY_LEN(argv), argv, NULL) == REDIS_OK;
}

bool script_read(const redisReply *reply, int64_t *granted, int64_t *debt) {
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_INTEGER || reply->element[1]->type != REDIS_REPLY_INTEGER) {
        return false;
    }
    *granted = reply->element[0]->integer;
    *debt = reply->element[1]->integer;
    return true;
}
