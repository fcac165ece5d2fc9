#include "queue/notice_rates.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/list.h"
#include "lib/base/map.h"
#include "lib/base/memory.h"

struct notice_rates {
    struct map *by_address;
    struct list all; /* the one longest known first */
};

struct addressee {
    struct list others;
    int64_t since_ms;
    unsigned count;
    size_t key_len;
    char key[ADDRESS_MAX]; /* in lower case */
};

struct notice_rates *notice_rates_new(void)
{
    struct notice_rates *rates = memory_new(sizeof(*rates));

    rates->by_address = map_new();
    list_init(&rates->all);
    return rates;
}

static struct span key_of(const struct addressee *a)
{
    return (struct span){ a->key, a->key_len };
}

static void forget(struct notice_rates *rates, struct addressee *a)
{
    map_remove(rates->by_address, key_of(a));
    list_remove(&a->others);
    free(a);
}

void notice_rates_free(struct notice_rates **rates)
{
    struct notice_rates *r = *rates;

    *rates = NULL;
    if (!r)
        return;
    while (!list_empty(&r->all))
        forget(r, LIST_FIRST(&r->all, struct addressee, others));
    map_free(&r->by_address);
    free(r);
}

/* A clock that was stepped back begins a new hour. */
static bool is_over(const struct addressee *a, int64_t now_ms)
{
    return now_ms < a->since_ms || now_ms - a->since_ms >= HOUR_MS;
}

static struct addressee *begin_hour(struct notice_rates *rates, struct span key, int64_t now_ms)
{
    struct addressee *a = memory_new(sizeof(*a));

    if (map_count(rates->by_address) >= NOTICE_ADDRESSES_MAX)
        forget(rates, LIST_FIRST(&rates->all, struct addressee, others));
    memcpy(a->key, key.data, key.len);
    a->key_len = key.len;
    a->since_ms = now_ms;
    list_append(&rates->all, &a->others);
    map_put(rates->by_address, key_of(a), a);
    return a;
}

enum notice_verdict notice_rates_take(struct notice_rates *rates, struct span address,
                                      unsigned most, int64_t now_ms, int64_t *out_until_ms)
{
    char room[ADDRESS_MAX];

    if (most == 0)
        return NOTICE_FINE;
    struct span key = { room, address.len < sizeof(room) ? address.len : sizeof(room) };

    for (size_t i = 0; i < key.len; i++)
        room[i] = ascii_lower(address.data[i]);
    struct addressee *a = map_get(rates->by_address, key);
    if (a && is_over(a, now_ms)) {
        forget(rates, a);
        a = NULL;
    }
    if (!a)
        a = begin_hour(rates, key, now_ms);
    *out_until_ms = a->since_ms + HOUR_MS;
    if (a->count + 1 < most) {
        a->count++;
        return NOTICE_FINE;
    }
    return a->count++ < most ? NOTICE_LAST : NOTICE_WITHHELD;
}
