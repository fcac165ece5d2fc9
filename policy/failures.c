#include "policy/failures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/list.h"
#include "lib/base/map.h"
#include "lib/base/memory.h"
#include "policy/refresh.h"

enum { KEPT_MAX = 10000, NAME_SIZE = DOMAIN_MAX + STS_ID_MAX + 2 };

struct kept {
    struct list others;   /* the oldest first */
    char name[NAME_SIZE]; /* domain and id */
    int64_t utc_ms;       /* with the domain, its key in the database */
    struct failure failure;
};

struct failures {
    struct loop *loop;
    struct sts_cache *cache;
    struct map *by_name;
    struct list all;
};

struct failures *failures_new(struct loop *loop, struct sts_cache *cache)
{
    struct failures *f = memory_new(sizeof(*f));
    f->loop = loop;
    f->cache = cache;
    f->by_name = map_new();
    list_init(&f->all);
    return f;
}

static void name_of(const char *domain, const char *id, char name[NAME_SIZE])
{
    snprintf(name, NAME_SIZE, "%s %s", domain, id);
}

static void drop(struct failures *f, struct kept *kept)
{
    (void)map_remove(f->by_name, span_of(kept->name));
    list_remove(&kept->others);
    free(kept);
}

void failures_free(struct failures **failures)
{
    struct failures *f = *failures;
    if (!f)
        return;
    while (!list_empty(&f->all))
        drop(f, LIST_FIRST(&f->all, struct kept, others));
    map_free(&f->by_name);
    free(f);
    *failures = NULL;
}

static void keep(struct failures *f, const struct sts_failed *failed)
{
    char name[NAME_SIZE];
    name_of(failed->domain, failed->id, name);
    struct kept *kept = map_get(f->by_name, span_of(name));
    if (kept)
        drop(f, kept);
    else if (map_count(f->by_name) >= KEPT_MAX)
        drop(f, LIST_FIRST(&f->all, struct kept, others));
    kept = memory_new(sizeof(*kept));
    memcpy(kept->name, name, sizeof(name));
    memcpy(kept->failure.reason, failed->reason, sizeof(kept->failure.reason));
    kept->failure.result = (enum tls_result)failed->result;
    kept->failure.at_ms = loop_now(f->loop) - (clock_utc_ms() - failed->utc_ms);
    kept->utc_ms = failed->utc_ms;
    (void)map_put(f->by_name, span_of(kept->name), kept);
    list_append(&f->all, &kept->others);
}

static void on_loaded(void *ctx, const struct sts_failed *failed)
{
    if (failed->result < TLS_RESULT_COUNT)
        keep(ctx, failed);
}

struct error *failures_load(struct failures *failures)
{
    int64_t now = clock_utc_ms();
    return sts_cache_each_failed(failures->cache,
                                 (struct sts_span_of_time){ now - STS_BACKOFF_MS, now }, KEPT_MAX,
                                 on_loaded, failures);
}

static struct kept *find(const struct failures *failures, const char *domain, const char *id)
{
    char name[NAME_SIZE];
    name_of(domain, id, name);
    return map_get(failures->by_name, span_of(name));
}

const struct failure *failures_find(const struct failures *failures, const char *domain,
                                    const char *id)
{
    const struct kept *kept = find(failures, domain, id);
    return kept ? &kept->failure : NULL;
}

struct error *failures_note(struct failures *failures, const char *domain, const char *id,
                            enum tls_result result, const char *reason)
{
    struct sts_failed failed = { .utc_ms = clock_utc_ms(), .result = (unsigned)result };
    snprintf(failed.domain, sizeof(failed.domain), "%s", domain);
    snprintf(failed.id, sizeof(failed.id), "%s", id);
    snprintf(failed.reason, sizeof(failed.reason), "%s", reason);
    keep(failures, &failed);
    return sts_cache_note_failed(failures->cache, &failed, failed.utc_ms - STS_BACKOFF_MS);
}

struct error *failures_forget(struct failures *failures, const char *domain, const char *id)
{
    struct kept *kept = find(failures, domain, id);
    struct error *err;
    if (!kept)
        return NULL;
    err = sts_cache_forget_failed(failures->cache, kept->utc_ms, domain);
    drop(failures, kept);
    return err;
}
