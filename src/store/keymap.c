#include "store/keymap.h"

#include "sys/clock.h"

#define SUSPECT_US 10000000

void keymap_init(struct keymap *map) {
    memset(map, 0, sizeof *map);
    pthread_mutex_init(&map->lock, NULL);
}

void keymap_destroy(struct keymap *map) {
    pthread_mutex_destroy(&map->lock);
}

/* FNV-1a, 64 bits. A caller who finds collisions only makes one bucket longer, within the callers there are.
 */
static uint64_t hash_bytes(uint64_t hash, const void *data, size_t len) {
    const unsigned char *bytes = data;
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
    }
    return hash;
}

static uint64_t hash_key(const struct keyed *keyed) {
    uint64_t hash = UINT64_C(14695981039346656037);
    hash = hash_bytes(hash, &keyed->account_id, sizeof keyed->account_id);
    hash = hash_bytes(hash, &keyed->livemode, sizeof keyed->livemode);
    hash = hash_bytes(hash, &keyed->operation, sizeof keyed->operation);
    hash = hash_bytes(hash, keyed->target, strlen(keyed->target) + 1);
    return hash_bytes(hash, keyed->key->key, strlen(keyed->key->key));
}

static bool same_key(const struct keyed *a, const struct keyed *b) {
    return a->account_id == b->account_id && a->livemode == b->livemode && a->operation == b->operation &&
           strcmp(a->target, b->target) == 0 && strcmp(a->key->key, b->key->key) == 0;
}

bool keymap_enter(struct keymap *map, struct keyed *keyed) {
    size_t bucket = hash_key(keyed) % KEYMAP_BUCKETS;
    bool leads = true;
    keyed->followers = NULL;
    pthread_mutex_lock(&map->lock);
    for (struct keyed *at = map->buckets[bucket]; at != NULL; at = at->next) {
        if (same_key(at, keyed)) {
            keyed->next = at->followers;
            at->followers = keyed;
            leads = false;
            break;
        }
    }
    if (leads) {
        keyed->next = map->buckets[bucket];
        map->buckets[bucket] = keyed;
    }
    pthread_mutex_unlock(&map->lock);
    return leads;
}

struct keyed *keymap_leave(struct keymap *map, struct keyed *leader) {
    size_t bucket = hash_key(leader) % KEYMAP_BUCKETS;
    pthread_mutex_lock(&map->lock);
    for (struct keyed **at = &map->buckets[bucket]; *at != NULL; at = &(*at)->next) {
        if (*at == leader) {
            *at = leader->next;
            break;
        }
    }
    struct keyed *followers = leader->followers;
    leader->followers = NULL;
    pthread_mutex_unlock(&map->lock);
    return followers;
}

void keymap_suspect(struct keymap *map, const struct keyed *keyed) {
    uint64_t hash = hash_key(keyed);
    int64_t until_us = clock_monotonic_us() + SUSPECT_US;
    pthread_mutex_lock(&map->lock);
    size_t slot = 0; /* its own, or the one that ends first */
    for (size_t i = 0; i < KEYMAP_SUSPECTS; i++) {
        if (map->suspects[i].hash == hash) {
            slot = i;
            break;
        }
        if (map->suspects[i].until_us < map->suspects[slot].until_us) {
            slot = i;
        }
    }
    map->suspects[slot].hash = hash;
    map->suspects[slot].until_us = until_us;
    pthread_mutex_unlock(&map->lock);
    atomic_store_explicit(&map->suspects_until_us, until_us, memory_order_relaxed);
}

bool keymap_is_suspect(struct keymap *map, const struct keyed *keyed) {
    int64_t now_us = clock_monotonic_us();
    if (now_us > atomic_load_explicit(&map->suspects_until_us, memory_order_relaxed)) {
        return false;
    }
    uint64_t hash = hash_key(keyed);
    bool found = false;
    pthread_mutex_lock(&map->lock);
    for (size_t i = 0; i < KEYMAP_SUSPECTS && !found; i++) {
        found = map->suspects[i].hash == hash && map->suspects[i].until_us > now_us;
    }
    pthread_mutex_unlock(&map->lock);
    return found;
}

void keymap_clear_suspect(struct keymap *map, const struct keyed *keyed) {
    uint64_t hash = hash_key(keyed);
    pthread_mutex_lock(&map->lock);
    for (size_t i = 0; i < KEYMAP_SUSPECTS; i++) {
        if (map->suspects[i].hash == hash) {
            map->suspects[i].until_us = 0;
        }
    }
    pthread_mutex_unlock(&map->lock);
}
