#include "queue/deliver/resumption.h"

#include "lib/base/list.h"
#include "lib/base/map.h"
#include "lib/base/memory.h"

#include <stdio.h>
#include <stdlib.h>

enum { KEY_SIZE = POOL_KEY_TEXT_SIZE + 8 };

/* The sessions of one key. */
struct host {
    struct list kept; /* the youngest first */
    unsigned count;
    char key[KEY_SIZE];
    size_t key_len;
};

struct kept {
    struct list others; /* of the cache */
    struct list of_host;
    struct host *host;
    struct tls_resumable *resumable;
};

struct resumption {
    struct map *hosts; /* by key */
    struct list kept;  /* all, the first kept first */
    unsigned count;
};

struct resumption *resumption_new(void)
{
    struct resumption *cache = memory_new(sizeof(*cache));

    cache->hosts = map_new();
    list_init(&cache->kept);
    return cache;
}

void resumption_free(struct resumption **cache)
{
    if (!*cache)
        return;
    resumption_clear(*cache);
    map_free(&(*cache)->hosts);
    free(*cache);
    *cache = NULL;
}

static struct span key_text(const struct resumption_key *key, char room[KEY_SIZE])
{
    size_t len = pool_key_text(&key->pool, room).len;
    int more = snprintf(room + len, KEY_SIZE - len, " %d", (int)key->floor);

    return (struct span){ room, len + (size_t)more };
}

static struct host *host_of(const struct resumption *cache, const struct resumption_key *key)
{
    char room[KEY_SIZE];

    return map_get(cache->hosts, key_text(key, room));
}

static struct host *host_open(struct resumption *cache, const struct resumption_key *key)
{
    struct host *host = host_of(cache, key);

    if (host)
        return host;
    host = memory_new(sizeof(*host));
    list_init(&host->kept);
    host->key_len = key_text(key, host->key).len;
    map_put(cache->hosts, (struct span){ host->key, host->key_len }, host);
    return host;
}

/* Takes one out; its session is the caller's. */
static struct tls_resumable *take_out(struct resumption *cache, struct kept *kept)
{
    struct tls_resumable *resumable = kept->resumable;
    struct host *host = kept->host;

    list_remove(&kept->others);
    list_remove(&kept->of_host);
    cache->count--;
    free(kept);
    if (--host->count == 0) {
        map_remove(cache->hosts, (struct span){ host->key, host->key_len });
        free(host);
    }
    return resumable;
}

static void drop(struct resumption *cache, struct kept *kept)
{
    struct tls_resumable *resumable = take_out(cache, kept);

    tls_resumable_free(&resumable);
}

static bool is_too_old(const struct tls_resumable *resumable, int64_t now_ms)
{
    return now_ms - tls_resumable_since_ms(resumable) >= RESUMABLE_LIFE_MS;
}

void resumption_put(struct resumption *cache, const struct resumption_key *key,
                    struct tls_resumable **resumable, int64_t now_ms)
{
    struct tls_resumable *r = *resumable;
    struct kept *kept;

    *resumable = NULL;
    if ((key->floor == TLS_FLOOR_STRICT && !tls_resumable_verified(r)) || is_too_old(r, now_ms)) {
        tls_resumable_free(&r);
        return;
    }
    kept = memory_new(sizeof(*kept));
    kept->resumable = r;
    kept->host = host_open(cache, key);
    kept->host->count++;
    list_prepend(&kept->host->kept, &kept->of_host);
    list_append(&cache->kept, &kept->others);
    cache->count++;
    if (kept->host->count > RESUMABLES_PER_KEY_MAX)
        drop(cache, LIST_ITEM(kept->host->kept.prev, struct kept, of_host));
    if (cache->count > RESUMABLES_MAX)
        drop(cache, LIST_FIRST(&cache->kept, struct kept, others));
}

struct tls_resumable *resumption_take(struct resumption *cache, const struct resumption_key *key,
                                      int64_t now_ms, int64_t utc_ms)
{
    struct host *host;

    while ((host = host_of(cache, key)) != NULL) {
        struct kept *kept = LIST_FIRST(&host->kept, struct kept, of_host);
        if (is_too_old(kept->resumable, now_ms) || tls_resumable_expired(kept->resumable, utc_ms))
            drop(cache, kept);
        else if (tls_resumable_once(kept->resumable))
            return take_out(cache, kept);
        else
            return tls_resumable_copy(kept->resumable);
    }
    return NULL;
}

void resumption_forget(struct resumption *cache, const struct resumption_key *key)
{
    struct host *host;

    while ((host = host_of(cache, key)) != NULL)
        drop(cache, LIST_FIRST(&host->kept, struct kept, of_host));
}

void resumption_clear(struct resumption *cache)
{
    while (!list_empty(&cache->kept))
        drop(cache, LIST_FIRST(&cache->kept, struct kept, others));
}

unsigned resumption_count(const struct resumption *cache)
{
    return cache->count;
}
