#include "lib/base/map.h"

#include "lib/base/memory.h"
#include "lib/base/random.h"

#include <stdlib.h>
#include <string.h>

enum { MAP_FIRST_SLOTS = 16, NEAR_KEY_MAX = 8 };

/* Open addressing, linear probing; removal shifts back what follows, so there are no tombstones. */
struct entry {
    uint64_t hash;
    union {
        char near[NEAR_KEY_MAX]; /* numbers: no memory of their own */
        char *far;               /* longer keys */
    } key;
    size_t key_size; /* the key's length and one; 0: empty slot */
    void *value;
};

struct map {
    struct entry *slots;
    size_t mask; /* number of slots less one; a power of two less one */
    size_t count;
    uint64_t secret[2];
};

static struct span entry_key(const struct entry *e)
{
    size_t len = e->key_size - 1;

    return (struct span){ len > NEAR_KEY_MAX ? e->key.far : e->key.near, len };
}

static void entry_set_key(struct entry *e, struct span key)
{
    e->key_size = key.len + 1;
    if (key.len > NEAR_KEY_MAX)
        e->key.far = memory_copy_span(key);
    else if (key.len > 0)
        memcpy(e->key.near, key.data, key.len);
}

static void entry_drop_key(struct entry *e)
{
    if (e->key_size > NEAR_KEY_MAX + 1)
        free(e->key.far);
    e->key_size = 0;
}

struct map *map_new(void)
{
    struct map *map = memory_new(sizeof(*map));

    map->slots = memory_new_array(MAP_FIRST_SLOTS, sizeof(*map->slots));
    map->mask = MAP_FIRST_SLOTS - 1;
    random_bytes(map->secret, sizeof(map->secret));
    return map;
}

void map_free(struct map **map)
{
    if (!*map)
        return;
    for (size_t i = 0; i <= (*map)->mask; i++)
        entry_drop_key(&(*map)->slots[i]);
    free((*map)->slots);
    free(*map);
    *map = NULL;
}

size_t map_count(const struct map *map)
{
    return map->count;
}

static uint64_t rotate(uint64_t x, int by)
{
    return (x << by) | (x >> (64 - by));
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

/* SipHash-1-3 (Aumasson and Bernstein). */
static uint64_t map_hash(const struct map *map, struct span key)
{
    uint64_t v[4] = { map->secret[0] ^ 0x736f6d6570736575U, map->secret[1] ^ 0x646f72616e646f6dU,
                      map->secret[0] ^ 0x6c7967656e657261U, map->secret[1] ^ 0x7465646279746573U };
    size_t at = 0;
    uint64_t word;

    for (; at + 8 <= key.len; at += 8) {
        memcpy(&word, key.data + at, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    word = (uint64_t)key.len << 56;
    for (size_t i = 0; at + i < key.len; i++)
        word |= (uint64_t)(unsigned char)key.data[at + i] << (8 * i);
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* The slot of the key, or the empty slot where it belongs. */
static size_t map_slot(const struct map *map, uint64_t hash, struct span key)
{
    size_t i = hash & map->mask;

    while (map->slots[i].key_size > 0) {
        const struct entry *e = &map->slots[i];
        if (e->hash == hash && span_equal(entry_key(e), key))
            break;
        i = (i + 1) & map->mask;
    }
    return i;
}

static void map_grow(struct map *map)
{
    struct entry *old = map->slots;
    size_t old_slots = map->mask + 1;

    map->slots = memory_new_array(old_slots * 2, sizeof(*map->slots));
    map->mask = old_slots * 2 - 1;
    for (size_t i = 0; i < old_slots; i++)
        if (old[i].key_size > 0)
            map->slots[map_slot(map, old[i].hash, entry_key(&old[i]))] = old[i];
    free(old);
}

void *map_get(const struct map *map, struct span key)
{
    return map->slots[map_slot(map, map_hash(map, key), key)].value;
}

void *map_put(struct map *map, struct span key, void *value)
{
    uint64_t hash = map_hash(map, key);
    size_t i = map_slot(map, hash, key);
    void *replaced = map->slots[i].value;

    if (map->slots[i].key_size == 0) {
        if ((map->count + 1) * 4 > (map->mask + 1) * 3) {
            map_grow(map);
            i = map_slot(map, hash, key);
        }
        map->slots[i].hash = hash;
        entry_set_key(&map->slots[i], key);
        map->count++;
    }
    map->slots[i].value = value;
    return replaced;
}

/* Closes the gap at slot i: moves back each later entry that may stand there. */
static void map_close_gap(struct map *map, size_t gap)
{
    for (size_t i = (gap + 1) & map->mask; map->slots[i].key_size > 0; i = (i + 1) & map->mask) {
        size_t home = map->slots[i].hash & map->mask;
        if (((i - home) & map->mask) < ((i - gap) & map->mask))
            continue;
        map->slots[gap] = map->slots[i];
        map->slots[i] = (struct entry){ 0 };
        gap = i;
    }
}

void *map_remove(struct map *map, struct span key)
{
    size_t i = map_slot(map, map_hash(map, key), key);
    void *value = map->slots[i].value;

    if (map->slots[i].key_size == 0)
        return NULL;
    entry_drop_key(&map->slots[i]);
    map->slots[i] = (struct entry){ 0 };
    map->count--;
    map_close_gap(map, i);
    return value;
}

void *map_next(const struct map *map, size_t *cursor, struct span *out_key)
{
    while (*cursor <= map->mask) {
        const struct entry *e = &map->slots[(*cursor)++];
        if (e->key_size == 0)
            continue;
        if (out_key)
            *out_key = entry_key(e);
        return e->value;
    }
    return NULL;
}

static struct span number_key(const uint64_t *key)
{
    return (struct span){ (const char *)key, sizeof(*key) };
}

void *map_get_number(const struct map *map, uint64_t key)
{
    return map_get(map, number_key(&key));
}

void *map_put_number(struct map *map, uint64_t key, void *value)
{
    return map_put(map, number_key(&key), value);
}

void *map_remove_number(struct map *map, uint64_t key)
{
    return map_remove(map, number_key(&key));
}
