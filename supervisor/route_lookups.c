/* The part of route_check that asks DNS. */
#include "supervisor/route_check.h"

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "lib/io/hop_lookup.h"
#include "lib/io/own_listener.h"

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
    uint16_t port;
    struct use *next;
};

struct lookup {
    struct lookups *all;
    struct hop_lookup *query;
    struct use *first;
    struct use *last;
    struct span name;
    bool by_mx;
    enum route_families families;
};

struct lookups {
    struct loop *loop;
    struct resolver *resolver;
    route_check_fn *say;
    void *ctx;
    const struct settings *settings;
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

static void tell_use(const struct lookup *lookup, const struct use *use, enum route_finding finding,
                     const char *what)
{
    const char *setting = use->route == ROUTE_NONE ? "relayhost" : "next-hop";
    char sentence[512];

    snprintf(sentence, sizeof(sentence), "%s " SPAN_FMT " %s", setting, SPAN_ARG(lookup->name),
             what);
    lookup->all->say(lookup->all->ctx, finding, use->route, setting, sentence);
}

/* At the line of each route that uses the name: once, though with several ports. */
static void tell(const struct lookup *lookup, enum route_finding finding, const char *what)
{
    for (const struct use *use = lookup->first; use; use = use->next)
        if (!use->next || use->next->route != use->route)
            tell_use(lookup, use, finding, what);
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

/* What mail would wait for with 4.3.5; NULL: nothing. */
static const char *trouble_with_mx(enum route_verdict verdict)
{
    switch (verdict) {
    case ROUTE_NO_DOMAIN:
        return "does not resolve; write a host that has an address";
    case ROUTE_NULL_MX:
        return "takes no mail: it has a null MX; write another, or [host] for its address";
    case ROUTE_LOOP:
        return "leads back to this relay: its best MX is our hostname; write another";
    case ROUTE_NO_HOST:
        return "has MX records, but none with a usable host name; write another, or [host]";
    case ROUTE_FOUND:
    case ROUTE_TEMPFAIL:
        break;
    }
    return NULL;
}

/* By families; of MX records all hosts are meant. */
static const char *trouble_without_address(const struct lookup *lookup, bool of_mx)
{
    static const char *const own[] = {
        [FAMILIES_BOTH] = "does not resolve; write a host that has an address",
        [FAMILIES_IPV4] = "has no IPv4 address, and families leaves others out",
        [FAMILIES_IPV6] = "has no IPv6 address, and families leaves others out",
    };
    static const char *const hosts[] = {
        [FAMILIES_BOTH] = "has MX records, but none of their hosts has an address; write another",
        [FAMILIES_IPV4] = "has MX records, but none of their hosts has an IPv4 address, and "
                          "families leaves others out",
        [FAMILIES_IPV6] = "has MX records, but none of their hosts has an IPv6 address, and "
                          "families leaves others out",
    };

    return of_mx ? hosts[lookup->families] : own[lookup->families];
}

static bool leads_to_us(const struct settings *settings, const struct addresses *found,
                        uint16_t port)
{
    for (unsigned i = 0; i < found->count; i++) {
        const struct endpoint to = { found->list[i], port };
        if (own_listener(settings, &to))
            return true;
    }
    return false;
}

/*
 * Mail would go round between us and ourselves.  Not so, perhaps, once DNS answers for a better
 * host: a fault would keep the relay from starting.
 */
static void tell_loops(const struct lookup *lookup, const struct hop_answer *answer)
{
    char what[192];

    for (const struct use *use = lookup->first; use; use = use->next) {
        if (!leads_to_us(lookup->all->settings, answer->found, use->port))
            continue;
        snprintf(what, sizeof(what),
                 "%sport %u is a listener of this relay itself: mail for it would come back; %s",
                 answer->is_implicit ? "" : "has an MX host whose ", use->port,
                 answer->in_doubt ? "DNS does not answer for a better host now"
                                  : "write another host or port");
        tell_use(lookup, use, answer->in_doubt ? ROUTE_WARNING : ROUTE_FAULT, what);
    }
}

static void tell_outcome(const struct lookup *lookup, const struct hop_answer *answer)
{
    const char *trouble = trouble_with_mx(answer->route);
    bool is_found = answer->route == ROUTE_FOUND;

    if (trouble)
        tell(lookup, ROUTE_FAULT, trouble);
    else if (!is_found || answer->addresses == ADDRESSES_TEMPFAIL)
        tell(lookup, ROUTE_WARNING, "cannot be looked up now: DNS does not answer");
    else if (answer->addresses != ADDRESSES_FOUND)
        tell(lookup, ROUTE_FAULT, trouble_without_address(lookup, !answer->is_implicit));
    else
        tell_loops(lookup, answer);
}

static void on_answer(void *ctx, const struct hop_answer *answer)
{
    struct lookup *lookup = ctx;

    lookup->query = NULL;
    tell_outcome(lookup, answer);
    end(lookup);
}

static void ask(struct lookup *lookup)
{
    struct lookups *all = lookup->all;
    const struct hop_question question = { .name = lookup->name,
                                           .by_mx = lookup->by_mx,
                                           .families = lookup->families,
                                           .own_name = all->settings->hostname };

    lookup->query = hop_lookup_start(all->loop, all->resolver, &question, on_answer, lookup);
}

/* --- all of them ----------------------------------------------------------------------------- */

static void ask_more(struct lookups *all)
{
    while (all->begun < all->count && all->begun - all->over < AT_A_TIME)
        ask(&all->items[all->begun++]);
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

/* A host that stands twice in one route is told of once. */
static void add_use(struct lookup *lookup, unsigned route, uint16_t port)
{
    struct use *use;

    if (lookup->last && lookup->last->route == route && lookup->last->port == port)
        return;
    use = &lookup->all->uses[lookup->all->use_count++];
    use->route = route;
    use->port = port;
    if (lookup->last)
        lookup->last->next = use;
    else
        lookup->first = use;
    lookup->last = use;
}

/* `route`: NULL for the relayhost, whose `number` is ROUTE_NONE. */
static void add(struct lookups *all, unsigned number, const struct route_settings *route,
                struct span spec)
{
    struct lookup lookup = { .all = all, .families = route ? route->families : FAMILIES_BOTH };
    struct lookup *known;

    if (!route_check_name_of(spec, &lookup.name, &lookup.by_mx))
        return;
    known = find(all, &lookup);
    if (!known) {
        known = &all->items[all->count++];
        *known = lookup;
    }
    add_use(known, number, settings_port_of(spec, route));
}

static void add_all(struct lookups *all, const struct settings *settings)
{
    add(all, ROUTE_NONE, NULL, span_of(settings->relayhost));
    for (unsigned i = 0; i < settings->route_count; i++) {
        const struct route_settings *route = &settings->routes[i];
        for (unsigned n = 0; n < route->host_count; n++)
            add(all, i, route, span_of(route->hosts[n].spec));
    }
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
        hop_lookup_cancel(&all->items[i].query);
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
    all->settings = settings;
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
