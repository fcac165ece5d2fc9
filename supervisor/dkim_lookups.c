#include "supervisor/dkim_lookups.h"

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "lib/io/resolver.h"
#include "supervisor/watched.h"

#include <stdlib.h>

enum {
    LOOKUPS_MS = 10 * SECOND_MS, /* for all of them */
    LOOKUPS_AT_A_TIME = 32,
};

struct lookups;

struct lookup {
    struct lookups *all;
    struct resolver_query *query;
    unsigned n; /* which key */
};

struct lookups {
    const struct dkim_questions *questions;
    struct loop *loop;
    struct resolver *resolver;
    struct lookup slots[LOOKUPS_AT_A_TIME];
    unsigned next; /* the first that was not asked */
    unsigned under_way;
};

static void on_answer(void *ctx, const struct dns_answer *answer);

/* The next one that has a name; nothing when there is none. */
static void ask_next(struct lookup *slot)
{
    struct lookups *all = slot->all;
    const char *name = NULL;

    while (!name && all->next < all->questions->count) {
        slot->n = all->next++;
        name = all->questions->name(all->questions->ctx, slot->n);
    }
    if (!name)
        return;
    all->under_way++;
    slot->query = resolver_ask(all->resolver, span_of(name), DNS_TXT, on_answer, slot);
}

static void on_answer(void *ctx, const struct dns_answer *answer)
{
    struct lookup *slot = ctx;
    struct lookups *all = slot->all;

    slot->query = NULL;
    all->under_way--;
    all->questions->answer(all->questions->ctx, slot->n, answer);
    ask_next(slot);
    if (all->under_way == 0)
        loop_stop(all->loop);
}

static void give_up(struct lookups *all, unsigned n)
{
    struct dns_answer none;

    dns_answer_none(&none, DNS_TEMPFAIL, "no answer in time");
    all->questions->answer(all->questions->ctx, n, &none);
    dns_answer_clear(&none);
}

static void on_time(void *ctx)
{
    struct lookups *all = ctx;

    for (unsigned i = 0; i < LOOKUPS_AT_A_TIME; i++) {
        if (!all->slots[i].query)
            continue;
        resolver_cancel(&all->slots[i].query);
        give_up(all, all->slots[i].n);
    }
    for (; all->next < all->questions->count; all->next++)
        if (all->questions->name(all->questions->ctx, all->next))
            give_up(all, all->next);
    loop_stop(all->loop);
}

static void run(struct lookups *all)
{
    struct loop_timer *timer = loop_timer_new(all->loop, on_time, all);

    for (unsigned i = 0; i < LOOKUPS_AT_A_TIME; i++) {
        all->slots[i].all = all;
        ask_next(&all->slots[i]);
    }
    loop_timer_start(timer, LOOKUPS_MS);
    if (all->under_way > 0)
        loop_run(all->loop);
    loop_timer_free(&timer);
}

/* The servers that the relay asks. */
static struct error *find_servers(const struct settings *settings, struct lookups *all)
{
    struct endpoint servers[SETTINGS_RESOLVERS_MAX];
    struct watched *resolv_conf = NULL;
    bool trusted;
    unsigned count;
    struct error *err = watched_open(CONTENT_RESOLV_CONF, 0, "/etc/resolv.conf", &resolv_conf);

    if (err)
        return err;
    count = resolver_servers_for(settings, watched_content(resolv_conf), servers, &trusted);
    watched_free(&resolv_conf);
    return resolver_new(all->loop, servers, count, trusted, &all->resolver);
}

struct error *dkim_lookups_run(const struct settings *settings,
                               const struct dkim_questions *questions)
{
    struct lookups *all = memory_new(sizeof(*all));
    struct error *err;

    all->questions = questions;
    all->loop = loop_new();
    err = find_servers(settings, all);
    if (!err)
        run(all);
    resolver_free(&all->resolver);
    loop_free(&all->loop);
    free(all);
    return err;
}
