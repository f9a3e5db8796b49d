#include "http/census.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "sys/clock.h"

/* Addresses share counters when their hashes meet: among the default 4096 connections that is rare, can only
 * refuse someone wrongly while the cap is nearly reached, and cannot be provoked, because the hash is keyed.
 * In return the table never grows. */
#define BUCKETS 65536

struct census {
    unsigned cap;
    uint64_t key;
    uint16_t counts[BUCKETS];
};

struct census *census_new(unsigned cap) {
    struct census *census = calloc(1, sizeof *census);
    if (census != NULL) {
        census->cap = cap < UINT16_MAX ? cap : UINT16_MAX;
        random_bytes((uint8_t *)&census->key, sizeof census->key);
    }
    return census;
}

void census_free(struct census *census) {
    free(census);
}

static bool is_mapped(const struct sockaddr_storage *address, struct in6_addr *six) {
    *six = ((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    return IN6_IS_ADDR_V4MAPPED(six);
}

/* An IPv4 address, or the first 64 bits of an IPv6 one. */
static uint64_t identity(const struct sockaddr_storage *address) {
    struct in6_addr six;
    uint64_t prefix = 0;
    uint32_t four = 0;
    if (address->ss_family == AF_INET) {
        four = ((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr;
    } else if (is_mapped(address, &six)) {
        memcpy(&four, six.s6_addr + 12, sizeof four);
    } else {
        memcpy(&prefix, six.s6_addr, sizeof prefix);
        return prefix;
    }
    return four;
}

static uint32_t bucket_of(const struct census *census, uint64_t value) {
    value ^= census->key;
    value = (value ^ (value >> 33)) * 0xff51afd7ed558ccdULL;
    value = (value ^ (value >> 33)) * (census->key | 1);
    return (uint32_t)(value >> 32) % BUCKETS;
}

bool census_enter(struct census *census, const struct sockaddr_storage *address, uint32_t *bucket) {
    *bucket = bucket_of(census, identity(address));
    if (census->counts[*bucket] >= census->cap) {
        return false;
    }
    census->counts[*bucket]++;
    return true;
}

void census_leave(struct census *census, uint32_t bucket) {
    census->counts[bucket]--;
}

void census_name(const struct sockaddr_storage *address, char out[INET6_ADDRSTRLEN]) {
    struct in6_addr six;
    out[0] = '\0';
    if (address->ss_family == AF_INET) {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)address)->sin_addr, out,
                  INET6_ADDRSTRLEN);
    } else if (address->ss_family == AF_INET6 && is_mapped(address, &six)) {
        inet_ntop(AF_INET, six.s6_addr + 12, out, INET6_ADDRSTRLEN);
    } else if (address->ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &six, out, INET6_ADDRSTRLEN);
    }
}
