#include "lib/mail/routing.h"

#include <string.h>

/* --- conditions ------------------------------------------------------------------------------ */

static bool recipients_fit(const struct route_settings *route, struct span domain)
{
    return route->recipients.count == 0 || domain_list_contains(&route->recipients, domain);
}

static bool sender_fits(const struct route_settings *route, struct span domain)
{
    return route->senders.count == 0 ||
           domain_list_contains(&route->senders, domain.len > 0 ? domain : SPAN("<>"));
}

/* "*": whoever logged in, which a user of this machine did not. */
static bool user_fits(const struct route_settings *route, struct span user)
{
    bool logged_in = user.len > 0 && !span_starts_with(user, SPAN("local:"));

    return route->users.count == 0 || (user.len > 0 && name_list_contains(&route->users, user)) ||
           (logged_in && name_list_contains(&route->users, SPAN("*")));
}

static bool route_fits(const struct route_settings *route, const struct routing_facts *facts)
{
    return recipients_fit(route, facts->domain) && sender_fits(route, facts->sender_domain) &&
           (route->listeners.count == 0 ||
            name_list_contains(&route->listeners, facts->listener)) &&
           user_fits(route, facts->user);
}

/* --- finding --------------------------------------------------------------------------------- */

static const struct route_settings *first_fitting(const struct settings *settings,
                                                  const struct routing_facts *facts)
{
    for (unsigned i = 0; i < settings->route_count; i++)
        if (route_fits(&settings->routes[i], facts))
            return &settings->routes[i];
    return NULL;
}

/* The first that takes all mail for a domain, whoever sent it and however it came in. */
static const struct route_settings *first_for_all(const struct settings *settings,
                                                  struct span domain)
{
    for (unsigned i = 0; i < settings->route_count; i++) {
        const struct route_settings *route = &settings->routes[i];
        if (recipients_fit(route, domain) && route->senders.count == 0 &&
            route->listeners.count == 0 && route->users.count == 0)
            return route;
    }
    return NULL;
}

const struct route_settings *routing_next_other(const struct settings *settings,
                                                const struct routing_facts *facts, unsigned *at)
{
    while (*at < settings->route_count) {
        const struct route_settings *route = &settings->routes[(*at)++];
        if (route_fits(route, facts))
            break;
        if (recipients_fit(route, facts->domain) && sender_fits(route, facts->sender_domain))
            return route;
    }
    *at = settings->route_count;
    return NULL;
}

const struct route_settings *routing_route(const struct settings *settings, struct span name)
{
    for (unsigned i = 0; i < settings->route_count; i++)
        if (span_equal(span_of(settings->routes[i].name), name))
            return &settings->routes[i];
    return NULL;
}

const struct route_settings *routing_of_hop(const struct settings *settings, struct span hop)
{
    struct next_hop parts;

    if (settings->route_count == 0 || !next_hop_parse(hop, &parts) || parts.route.len == 0)
        return NULL;
    return routing_route(settings, parts.route);
}

/* --- names ----------------------------------------------------------------------------------- */

/* A route to named hosts is one hop; one to MX is a hop for each domain. */
static struct next_hop hop_under(const struct route_settings *route, struct span domain)
{
    struct next_hop hop = { .kind = NEXT_HOP_ROUTE, .route = span_of(route->name) };

    if (route->to == ROUTE_TO_MX) {
        hop.kind = NEXT_HOP_ROUTE_DOMAIN;
        hop.target = domain;
    }
    return hop;
}

/* Can the operator's choice be followed?  What is gone, or of another kind now, cannot.
 * Earlier versions kept a host as it was written: it is the hop of all who write it otherwise. */
static bool override_holds(const struct settings *settings, struct span override,
                           struct routing *out)
{
    struct next_hop hop;

    if (!next_hop_read(override, out->hop) || !next_hop_parse(span_of(out->hop), &hop))
        return false;
    out->route = routing_of_hop(settings, span_of(out->hop));
    if (hop.kind == NEXT_HOP_RELAYHOST)
        return settings->relayhost[0] != '\0';
    return hop.route.len == 0 ||
           (out->route && (out->route->to == ROUTE_TO_MX) == (hop.kind == NEXT_HOP_ROUTE_DOMAIN));
}

/* By that route (NULL: by none), or else the relayhost, or else the MX of the domain. */
static void go_by(const struct settings *settings, const struct route_settings *route,
                  struct span domain, struct routing *out)
{
    struct next_hop hop = { .kind = NEXT_HOP_DOMAIN, .target = domain };

    out->route = route;
    if (route)
        hop = hop_under(route, domain);
    else if (settings->relayhost[0] != '\0')
        hop.kind = NEXT_HOP_RELAYHOST;
    ensure(next_hop_format(&hop, out->hop));
}

void routing_choose(const struct settings *settings, const struct routing_facts *facts,
                    struct routing *out)
{
    if (facts->override.len == 0 || !override_holds(settings, facts->override, out))
        go_by(settings, first_fitting(settings, facts), facts->domain, out);
}

void routing_of_most(const struct settings *settings, struct span domain, struct routing *out)
{
    go_by(settings, first_for_all(settings, domain), domain, out);
}

/* --- errors ---------------------------------------------------------------------------------- */

void routing_error(const struct route_settings *route, struct span *out_status,
                   struct span *out_words)
{
    struct span text = span_of(route->error_text);

    *out_status = span_first(text, span_find(text, ' '));
    *out_words = span_from(text, out_status->len + 1);
}
