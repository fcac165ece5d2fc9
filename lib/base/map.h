/*
 * map - a hash table from short keys to pointers.  Keys are copied, values are lent.
 * The hash is keyed with a random secret per map, so that no peer can choose colliding keys.
 */
#ifndef WAXSEAL_BASE_MAP_H
#define WAXSEAL_BASE_MAP_H

#include "lib/base/span.h"

struct map;

struct map *map_new(void);
void map_free(struct map **map);

size_t map_count(const struct map *map);

/* The value of a key, or NULL. */
void *map_get(const struct map *map, struct span key);

/* Sets the value of a key, which is not NULL; gives the value it replaces, or NULL. */
void *map_put(struct map *map, struct span key, void *value);

/* Takes a key out and gives its value, or NULL when there was none. */
void *map_remove(struct map *map, struct span key);

/*
 * Visits all values in no order: start with *cursor = 0, ends with NULL.  Nothing may be put or
 * removed during the visit.
 */
void *map_next(const struct map *map, size_t *cursor, struct span *out_key);

/* The same with a number as the key. */
void *map_get_number(const struct map *map, uint64_t key);
void *map_put_number(struct map *map, uint64_t key, void *value);
void *map_remove_number(struct map *map, uint64_t key);

#endif
