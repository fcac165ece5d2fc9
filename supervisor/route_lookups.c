/* The part of route_check that asks DNS. */
#include "supervisor/route_check.h"

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "lib/io/resolver.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    LOOKUPS_MS = 8 * SECOND_MS,
    AT_A_TIME = 32, /* names under way */
    USES_MAX =
        1 + SETTINGS_ROUTES_MAX * SETTINGS_ROUTE_HOSTS_MAX, /* the relayhost, and all hosts */
};

struct lookups;

/* Where a name is used; ROUTE_NONE: as the relayhost. */
struct use {
    unsigned route;
    struct use *next;
};

/* One next hop's name; the questions one after the other: MX, A, AAAA, as far as they count. */
struct lookup {
    struct lookups *all;
    struct resolver_query *query;
    struct use *first;
    struct use *last;
    struct span name;
    bool by_mx;
    enum route_families families;
    enum dns_type type;
};

struct lookups {
    struct loop *loop;
    struct resolver *resolver;
    route_check_fn *say;
    void *ctx;
    struct use uses[USES_MAX];
    unsigned use_count;
    struct lookup items[USES_MAX];
    unsigned count;
    unsigned begun; /* those before it are under way or over */
    unsigned over;
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

/* At the line of each route that uses the name. */
static void tell(const struct lookup *lookup, enum route_finding finding, const char *what)
{
    char sentence[512];

    for (const struct use *use = lookup->first; use; use = use->next) {
        const char *setting = use->route == ROUTE_NONE ? "relayhost" : "next-hop";
        snprintf(sentence, sizeof(sentence), "%s " SPAN_FMT " %s", setting, SPAN_ARG(lookup->name),
                 what);
        lookup->all->say(lookup->all->ctx, finding, use->route, setting, sentence);
    }
}

static void ask_more(struct lookups *all);

static void end(const struct lookup *lookup)
{
    struct lookups *all = lookup->all;

    if (++all->over == all->count)
        loop_stop(all->loop);
    else
        ask_more(all);
}

static void on_answer(void *ctx, const struct dns_answer *answer);

static void ask(struct lookup *lookup, enum dns_type type)
{
    lookup->type = type;
    lookup->query = resolver_ask(lookup->all->resolver, lookup->name, type, on_answer, lookup);
}

static enum dns_type first_address(const struct lookup *lookup)
{
    return lookup->families == FAMILIES_IPV6 ? DNS_AAAA : DNS_A;
}

/* Where there is nothing of the last type; false: that was all. */
static bool ask_next(struct lookup *lookup)
{
    bool was_last =
        lookup->type == DNS_AAAA || (lookup->type == DNS_A && lookup->families == FAMILIES_IPV4);

    if (!was_last)
        ask(lookup, lookup->type == DNS_MX ? first_address(lookup) : DNS_AAAA);
    return !was_last;
}

static void tell_outcome(const struct lookup *lookup, enum dns_outcome outcome)
{
    if (outcome == DNS_TEMPFAIL)
        tell(lookup, ROUTE_WARNING, "cannot be looked up now: DNS does not answer");
    else if (outcome == DNS_NODATA && lookup->families == FAMILIES_IPV4)
        tell(lookup, ROUTE_FAULT, "has no IPv4 address, and families leaves others out");
    else if (outcome == DNS_NODATA && lookup->families == FAMILIES_IPV6)
        tell(lookup, ROUTE_FAULT, "has no IPv6 address, and families leaves others out");
    else if (outcome != DNS_ANSWER)
        tell(lookup, ROUTE_FAULT, "does not resolve; write a host that has an address");
}

static void on_answer(void *ctx, const struct dns_answer *answer)
{
    struct lookup *lookup = ctx;

    lookup->query = NULL;
    if (answer->outcome == DNS_NODATA && ask_next(lookup))
        return;
    tell_outcome(lookup, answer->outcome);
    end(lookup);
}

/* --- all of them ----------------------------------------------------------------------------- */

static void ask_more(struct lookups *all)
{
    while (all->begun < all->count && all->begun - all->over < AT_A_TIME) {
        struct lookup *lookup = &all->items[all->begun++];
        ask(lookup, lookup->type);
    }
}

static struct lookup *find(struct lookups *all, const struct lookup *other)
{
    for (unsigned i = 0; i < all->count; i++) {
        struct lookup *known = &all->items[i];
        if (known->by_mx == other->by_mx && known->families == other->families &&
            span_equal_nocase(known->name, other->name))
            return known;
    }
    return NULL;
}

/* A name that stands twice in one route is told of once. */
static void add_use(struct lookup *lookup, unsigned route)
{
    struct use *use;

    if (lookup->last && lookup->last->route == route)
        return;
    use = &lookup->all->uses[lookup->all->use_count++];
    use->route = route;
    if (lookup->last)
        lookup->last->next = use;
    else
        lookup->first = use;
    lookup->last = use;
}

static void add(struct lookups *all, unsigned route, struct span spec, enum route_families families)
{
    struct lookup lookup = { .all = all, .families = families };
    struct lookup *known;

    if (!route_check_name_of(spec, &lookup.name, &lookup.by_mx))
        return;
    lookup.type = lookup.by_mx ? DNS_MX : first_address(&lookup);
    known = find(all, &lookup);
    if (!known) {
        known = &all->items[all->count++];
        *known = lookup;
    }
    add_use(known, route);
}

static void add_all(struct lookups *all, const struct settings *settings)
{
    add(all, ROUTE_NONE, span_of(settings->relayhost), FAMILIES_BOTH);
    for (unsigned i = 0; i < settings->route_count; i++)
        for (unsigned n = 0; n < settings->routes[i].host_count; n++)
            add(all, i, span_of(settings->routes[i].hosts[n].spec), settings->routes[i].families);
}

static void tell_unasked(const struct lookups *all)
{
    char sentence[128];

    if (all->begun == all->count)
        return;
    snprintf(sentence, sizeof(sentence),
             "%u next hops were not looked up: there was no time left for them",
             all->count - all->begun);
    all->say(all->ctx, ROUTE_WARNING, ROUTE_NONE, "routes", sentence);
}

static void on_time(void *ctx)
{
    struct lookups *all = ctx;

    for (unsigned i = 0; i < all->begun; i++) {
        if (!all->items[i].query)
            continue;
        resolver_cancel(&all->items[i].query);
        tell(&all->items[i], ROUTE_WARNING, "cannot be looked up now: DNS does not answer in time");
    }
    tell_unasked(all);
    loop_stop(all->loop);
}

static void run(struct lookups *all)
{
    struct loop_timer *timer = loop_timer_new(all->loop, on_time, all);

    ask_more(all);
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
