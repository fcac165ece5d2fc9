/* The part of route_check that asks DNS. */
#include "supervisor/route_check.h"

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "lib/io/resolver.h"

#include <stdio.h>
#include <stdlib.h>

enum { LOOKUPS_MS = 8 * SECOND_MS, LOOKUPS_MAX = 64 };

struct lookups;

/* One next hop's name; the questions one after the other: MX, A, AAAA. */
struct lookup {
    struct lookups *all;
    struct resolver_query *query;
    unsigned route;
    struct span name;
    enum dns_type type;
};

struct lookups {
    struct loop *loop;
    struct resolver *resolver;
    route_check_fn *say;
    void *ctx;
    struct lookup items[LOOKUPS_MAX];
    unsigned count;
    unsigned under_way;
};

bool route_check_name_of(struct span spec, struct span *out_name, bool *out_by_mx)
{
    struct ip_address address;

    *out_by_mx = spec.len > 0 && spec.data[0] != '[';
    *out_name = *out_by_mx ? span_first(spec, span_find(spec, ':'))
                           : span_from(span_first(spec, span_find(spec, ']')), 1);
    return out_name->len > 0 && !ip_address_parse(*out_name, &address);
}

/* --- one lookup ------------------------------------------------------------------------------ */

static void tell(const struct lookup *lookup, enum route_finding finding, const char *what)
{
    const char *setting = lookup->route == ROUTE_NONE ? "relayhost" : "next-hop";
    char sentence[512];

    snprintf(sentence, sizeof(sentence), "%s " SPAN_FMT " %s", setting, SPAN_ARG(lookup->name),
             what);
    lookup->all->say(lookup->all->ctx, finding, lookup->route, setting, sentence);
}

static void end(const struct lookup *lookup)
{
    if (--lookup->all->under_way == 0)
        loop_stop(lookup->all->loop);
}

static void on_answer(void *ctx, const struct dns_answer *answer);

static void ask(struct lookup *lookup, enum dns_type type)
{
    lookup->type = type;
    lookup->query = resolver_ask(lookup->all->resolver, lookup->name, type, on_answer, lookup);
}

static void on_answer(void *ctx, const struct dns_answer *answer)
{
    struct lookup *lookup = ctx;

    lookup->query = NULL;
    if (answer->outcome == DNS_NODATA && lookup->type != DNS_AAAA) {
        ask(lookup, lookup->type == DNS_MX ? DNS_A : DNS_AAAA);
        return;
    }
    if (answer->outcome == DNS_TEMPFAIL)
        tell(lookup, ROUTE_WARNING, "cannot be looked up now: DNS does not answer");
    else if (answer->outcome != DNS_ANSWER)
        tell(lookup, ROUTE_FAULT, "does not resolve; write a host that has an address");
    end(lookup);
}

/* --- all of them ----------------------------------------------------------------------------- */

static bool is_known(const struct lookups *all, struct span name, enum dns_type type)
{
    for (unsigned i = 0; i < all->count; i++)
        if (all->items[i].type == type && span_equal_nocase(all->items[i].name, name))
            return true;
    return false;
}

static void add(struct lookups *all, unsigned route, struct span spec)
{
    struct span name;
    bool by_mx;

    if (all->count == LOOKUPS_MAX || !route_check_name_of(spec, &name, &by_mx))
        return;
    if (is_known(all, name, by_mx ? DNS_MX : DNS_A))
        return;
    all->items[all->count++] =
        (struct lookup){ .all = all, .route = route, .name = name, .type = by_mx ? DNS_MX : DNS_A };
}

static void add_all(struct lookups *all, const struct settings *settings)
{
    add(all, ROUTE_NONE, span_of(settings->relayhost));
    for (unsigned i = 0; i < settings->route_count; i++)
        for (unsigned n = 0; n < settings->routes[i].host_count; n++)
            add(all, i, span_of(settings->routes[i].hosts[n].spec));
}

static void on_time(void *ctx)
{
    struct lookups *all = ctx;

    for (unsigned i = 0; i < all->count; i++) {
        if (!all->items[i].query)
            continue;
        resolver_cancel(&all->items[i].query);
        tell(&all->items[i], ROUTE_WARNING, "cannot be looked up now: DNS does not answer in time");
    }
    loop_stop(all->loop);
}

static void run(struct lookups *all)
{
    struct loop_timer *timer = loop_timer_new(all->loop, on_time, all);

    all->under_way = all->count;
    for (unsigned i = 0; i < all->count; i++)
        ask(&all->items[i], all->items[i].type);
    loop_timer_start(timer, LOOKUPS_MS);
    loop_run(all->loop);
    loop_timer_free(&timer);
}

void route_check_lookups(const struct settings *settings, struct span resolv_conf,
                         route_check_fn *say, void *ctx)
{
    struct lookups *all = memory_new(sizeof(*all));
    struct endpoint servers[SETTINGS_RESOLVERS_MAX];
    bool trusted;
    unsigned count = resolver_servers_for(settings, resolv_conf, servers, &trusted);
    struct error *err = NULL;

    all->say = say;
    all->ctx = ctx;
    add_all(all, settings);
    all->loop = loop_new();
    if (all->count > 0)
        err = resolver_new(all->loop, servers, count, trusted, &all->resolver);
    if (err)
        tell(&all->items[0], ROUTE_WARNING, error_text(err));
    else if (all->count > 0)
        run(all);
    error_free(&err);
    resolver_free(&all->resolver);
    loop_free(&all->loop);
    free(all);
}
