#include "policy/patience.h"

#include <stdlib.h>

#include "lib/base/error.h"
#include "lib/base/limits.h"
#include "lib/base/list.h"
#include "lib/base/map.h"
#include "lib/base/memory.h"

struct patience {
    size_t count_max;
    struct map *by_domain;
    struct list oldest_first;
};

struct wait {
    struct list in_patience;
    char domain[DOMAIN_MAX + 1];
    int64_t since_ms;
    int64_t asked_ms; /* last */
};

struct patience *patience_new(size_t count_max)
{
    struct patience *patience = memory_new(sizeof(*patience));
    patience->count_max = count_max;
    patience->by_domain = map_new();
    list_init(&patience->oldest_first);
    return patience;
}

static void forget(struct patience *patience, struct wait *wait)
{
    map_remove(patience->by_domain, span_of(wait->domain));
    list_remove(&wait->in_patience);
    free(wait);
}

void patience_free(struct patience **patience)
{
    struct patience *p = *patience;
    *patience = NULL;
    if (!p)
        return;
    while (!list_empty(&p->oldest_first))
        forget(p, LIST_FIRST(&p->oldest_first, struct wait, in_patience));
    map_free(&p->by_domain);
    free(p);
}

static struct wait *wait_new(struct patience *patience, struct span domain, int64_t now_ms)
{
    struct wait *wait = memory_new(sizeof(*wait));
    if (map_count(patience->by_domain) >= patience->count_max)
        forget(patience, LIST_FIRST(&patience->oldest_first, struct wait, in_patience));
    ensure(span_to_string(domain, wait->domain, sizeof(wait->domain)));
    wait->since_ms = now_ms;
    wait->asked_ms = now_ms;
    map_put(patience->by_domain, domain, wait);
    list_append(&patience->oldest_first, &wait->in_patience);
    return wait;
}

bool patience_is_over(struct patience *patience, struct span domain, int64_t now_ms,
                      int64_t wait_ms)
{
    struct wait *wait = map_get(patience->by_domain, domain);
    if (!wait)
        wait = wait_new(patience, domain, now_ms);
    else if (now_ms - wait->asked_ms > wait_ms)
        wait->since_ms = now_ms;
    wait->asked_ms = now_ms;
    return now_ms - wait->since_ms >= wait_ms;
}

void patience_restore(struct patience *patience, struct span domain)
{
    struct wait *wait = map_get(patience->by_domain, domain);
    if (wait)
        forget(patience, wait);
}
