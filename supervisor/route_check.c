#include "supervisor/route_check.h"

#include "lib/io/own_address.h"
#include "lib/io/own_listener.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct saying {
    const struct settings *settings;
    route_check_fn *say;
    void *ctx;
    unsigned route;
};

static void say(const struct saying *s, enum route_finding finding, const char *member,
                const char *format, ...) PRINTF_LIKE(4, 5);
static void say(const struct saying *s, enum route_finding finding, const char *member,
                const char *format, ...)
{
    char sentence[512];
    va_list args;

    va_start(args, format);
    vsnprintf(sentence, sizeof(sentence), format, args);
    va_end(args);
    s->say(s->ctx, finding, s->route, member, sentence);
}

/* --- names in conditions --------------------------------------------------------------------- */

static bool is_listener(const struct settings *settings, struct span name)
{
    char label[SETTINGS_UNIX_SIZE];

    for (unsigned i = 0; i < settings->listener_count; i++) {
        listener_settings_label(&settings->listeners[i], label);
        if (span_equal(span_of(label), name))
            return true;
    }
    return span_equal(span_of(settings->local.name), name);
}

static bool has_certificate(const struct settings *settings, struct span name)
{
    struct span pattern, user;

    for (unsigned i = 0; i < settings->listener_count; i++)
        for (size_t at = 0; certificate_list_next(&settings->listeners[i].certificate_users, &at,
                                                  &pattern, &user);)
            if (span_equal(user, name))
                return true;
    return false;
}

/* A Dovecot's users are not known here, and those that proxies name neither. */
static bool may_be_user(const struct settings *settings, const struct users *users,
                        struct span name)
{
    return span_equal(name, SPAN("*")) || span_starts_with(name, SPAN("local:")) ||
           settings->dovecot_socket[0] != '\0' || has_certificate(settings, name) ||
           (settings->users_file[0] != '\0' && !users) || (users && users_find(users, name));
}

static void check_conditions(const struct saying *s, const struct users *users)
{
    const struct route_settings *r = &s->settings->routes[s->route];

    for (unsigned i = 0; i < r->listeners.count; i++)
        if (!is_listener(s->settings, span_of(name_list_item(&r->listeners, i))))
            say(s, ROUTE_FAULT, "listeners",
                "listeners of route %s: no listener is called \"%.100s\"; write its name, or its "
                "address when it has none",
                r->name, name_list_item(&r->listeners, i));
    for (unsigned i = 0; i < r->users.count; i++)
        if (!may_be_user(s->settings, users, span_of(name_list_item(&r->users, i))))
            say(s, ROUTE_FAULT, "users",
                "users of route %s: there is no user \"%.100s\"; write one who can log in", r->name,
                name_list_item(&r->users, i));
}

static bool is_for_all(const struct route_settings *r)
{
    return r->recipients.count + r->senders.count + r->listeners.count + r->users.count == 0;
}

/* "y.x" and ".y.x" are covered by ".x", and each by itself. */
static bool covers_domain(const struct domain_list *wide, struct span pattern)
{
    const char *item = wide->text;

    for (unsigned i = 0; i < wide->count; i++, item += strlen(item) + 1)
        if (span_equal_nocase(span_of(item), pattern) || domain_is_covered(span_of(item), pattern))
            return true;
    return false;
}

static bool covers_domains(const struct domain_list *wide, const struct domain_list *narrow)
{
    const char *item = narrow->text;

    for (unsigned i = 0; i < narrow->count && wide->count > 0; i++, item += strlen(item) + 1)
        if (!covers_domain(wide, span_of(item)))
            return false;
    return wide->count == 0 || narrow->count > 0;
}

static bool covers_user(const struct name_list *wide, struct span name)
{
    return name_list_contains(wide, name) ||
           (!span_starts_with(name, SPAN("local:")) && name_list_contains(wide, SPAN("*")));
}

static bool covers_names(const struct name_list *wide, const struct name_list *narrow,
                         bool (*covers)(const struct name_list *wide, struct span name))
{
    for (unsigned i = 0; i < narrow->count && wide->count > 0; i++)
        if (!covers(wide, span_of(name_list_item(narrow, i))))
            return false;
    return wide->count == 0 || narrow->count > 0;
}

/* Does all mail that the second is for fit the first? */
static bool takes_all_of(const struct route_settings *front, const struct route_settings *r)
{
    return covers_domains(&front->recipients, &r->recipients) &&
           covers_domains(&front->senders, &r->senders) &&
           covers_names(&front->listeners, &r->listeners, name_list_contains) &&
           covers_names(&front->users, &r->users, covers_user);
}

/* What several together take of it is not looked at: what is warned of is sure. */
static void check_reached(const struct saying *s)
{
    const struct route_settings *r = &s->settings->routes[s->route];

    for (unsigned i = 0; i < s->route; i++) {
        const struct route_settings *front = &s->settings->routes[i];
        if (!takes_all_of(front, r))
            continue;
        say(s, ROUTE_WARNING, "name", "no mail reaches route %s: route %s in front of it %s",
            r->name, front->name,
            is_for_all(front) ? "is for all mail" : "takes all that it would");
        return;
    }
}

void route_check_names(const struct settings *settings, const struct users *users,
                       route_check_fn *tell, void *ctx)
{
    struct saying s = { settings, tell, ctx, 0 };

    for (; s.route < settings->route_count; s.route++) {
        check_conditions(&s, users);
        check_reached(&s);
    }
}

/* --- addresses that are ours ----------------------------------------------------------------- */

static void check_loop(const struct saying *s, const char *member, struct span spec,
                       const struct route_settings *route)
{
    struct endpoint to = { .port = settings_port_of(spec, route) };
    struct span host;
    bool by_mx;

    if (!route_check_name_of(spec, &host, &by_mx) && ip_address_parse(host, &to.address) &&
        own_listener(s->settings, &to))
        say(s, ROUTE_FAULT, member,
            "%s [" SPAN_FMT "] port %u is a listener of this relay itself: mail for it would come "
            "back; write another host or port",
            member, SPAN_ARG(host), to.port);
}

void route_check_loops(const struct settings *settings, route_check_fn *tell, void *ctx)
{
    struct saying s = { settings, tell, ctx, ROUTE_NONE };

    check_loop(&s, "relayhost", span_of(settings->relayhost), NULL);
    for (s.route = 0; s.route < settings->route_count; s.route++) {
        const struct route_settings *r = &settings->routes[s.route];
        for (unsigned i = 0; i < r->host_count; i++)
            check_loop(&s, "next-hop", span_of(r->hosts[i].spec), r);
    }
}

/* --- addresses of a family that is left out -------------------------------------------------- */

static bool is_left_out(const struct route_settings *r, const struct ip_address *address)
{
    return r->families == (address->family == ADDRESS_V4 ? FAMILIES_IPV6 : FAMILIES_IPV4);
}

void route_check_families(const struct settings *settings, route_check_fn *tell, void *ctx)
{
    struct saying s = { settings, tell, ctx, 0 };
    struct ip_address address;
    struct span host;
    bool by_mx;

    for (; s.route < settings->route_count; s.route++) {
        const struct route_settings *r = &settings->routes[s.route];
        for (unsigned i = 0; i < r->host_count; i++) {
            if (route_check_name_of(span_of(r->hosts[i].spec), &host, &by_mx) ||
                !ip_address_parse(host, &address) || !is_left_out(r, &address))
                continue;
            say(&s, ROUTE_FAULT, "families",
                "families = \"%s\" of route %s leaves out its host %s: no mail would go there; "
                "write \"both\", or another host",
                r->families == FAMILIES_IPV4 ? "ipv4" : "ipv6", r->name, r->hosts[i].spec);
        }
    }
}

/* --- source addresses ------------------------------------------------------------------------ */

void route_check_sources(const struct settings *settings, route_check_fn *tell, void *ctx)
{
    struct saying s = { settings, tell, ctx, 0 };
    char text[NETWORK_TEXT_SIZE];

    for (; s.route < settings->route_count; s.route++) {
        const struct route_settings *r = &settings->routes[s.route];
        for (unsigned i = 0; i < r->source_address_count; i++) {
            if (own_address(&r->source_addresses[i]))
                continue;
            ip_address_format(&r->source_addresses[i], text);
            say(&s, ROUTE_WARNING, "source-address",
                "source-address %s of route %s is no address of this machine: nothing can be sent "
                "from it",
                text, r->name);
        }
    }
}

/* --- what policies would ask ----------------------------------------------------------------- */

/* Of a host in brackets there is no policy; of a name there may be, but it is not the recipient's.
 */
static bool has_brackets_only(const struct route_settings *r)
{
    for (unsigned i = 0; i < r->host_count; i++)
        if (r->hosts[i].spec[0] != '[')
            return false;
    return true;
}

static bool floor_verifies(const struct settings *settings)
{
    return settings->tls_floor == SITE_TLS_VERIFY;
}

/* The floor counts, except with "none". */
static bool route_verifies(const struct settings *settings, const struct route_settings *r)
{
    return r->tls >= ROUTE_LEVEL_VERIFY || (r->tls != ROUTE_LEVEL_NONE && floor_verifies(settings));
}

/* Which name that is, no recipient's policy and no DNSSEC has said. */
static bool takes_name_from_dns(const struct route_settings *r)
{
    return r->tls <= ROUTE_LEVEL_VERIFY && !has_brackets_only(r);
}

static void check_hosts(const struct saying *s, const struct route_settings *r)
{
    static const char *const levels[] = { "none", "may", "encrypt" };

    if (!route_verifies(s->settings, r))
        say(s, ROUTE_NOTE, "next-hop",
            "route %s: what MTA-STS or DANE of the recipients' domains ask does not count on the "
            "way to a named next hop%s, and tls = \"%s\" wants no good certificate",
            r->name, has_brackets_only(r) ? "" : ", whose own policy does", levels[r->tls]);
    else if (takes_name_from_dns(r))
        say(s, ROUTE_NOTE, "next-hop",
            "route %s: what MTA-STS or DANE of the recipients' domains ask does not count on the "
            "way to a named next hop, whose own policy does, and DNS decides which name is "
            "verified; write [host], or tls = \"dane\"",
            r->name);
}

/* All mail without a route goes there, and whatever its certificate says. */
static void check_relayhost(const struct settings *settings, route_check_fn *tell, void *ctx)
{
    static const char *const levels[] = { "none", "may", "encrypt" };
    struct saying s = { settings, tell, ctx, ROUTE_NONE };
    bool has_brackets = settings->relayhost[0] == '[';

    if (settings->relayhost[0] == '\0')
        return;
    if (settings->tls_level == RELAYHOST_TLS_NONE || !floor_verifies(settings))
        say(&s, ROUTE_NOTE, "relayhost",
            "relayhost: what MTA-STS or DANE of the recipients' domains ask does not count on the "
            "way there%s, and tls-level = \"%s\" wants no good certificate; a route with tls = "
            "\"verify\" does",
            has_brackets ? "" : ", where its own policy does", levels[settings->tls_level]);
    else if (!has_brackets)
        say(&s, ROUTE_NOTE, "relayhost",
            "relayhost: what MTA-STS or DANE of the recipients' domains ask does not count on the "
            "way there, where its own policy does, and DNS decides which name is verified; write "
            "[host]");
}

static void check_floor(const struct settings *settings, route_check_fn *tell, void *ctx)
{
    static const char *const floors[] = { "may", "encrypt", "verify" };
    struct saying s = { settings, tell, ctx, 0 };

    if (settings->tls_floor == SITE_TLS_MAY)
        return;
    for (; s.route < settings->route_count; s.route++)
        if (settings->routes[s.route].tls == ROUTE_LEVEL_NONE &&
            settings->routes[s.route].to != ROUTE_TO_DISCARD &&
            settings->routes[s.route].to != ROUTE_TO_ERROR)
            say(&s, ROUTE_NOTE, "tls", "route %s: tls = \"none\" goes below tls-floor = \"%s\"",
                settings->routes[s.route].name, floors[settings->tls_floor]);
    s.route = ROUTE_NONE;
    if (settings->relayhost[0] != '\0' && settings->tls_level == RELAYHOST_TLS_NONE)
        say(&s, ROUTE_NOTE, "tls-level",
            "relayhost: tls-level = \"none\" goes below tls-floor = \"%s\"",
            floors[settings->tls_floor]);
}

void route_check_policies(const struct settings *settings, route_check_fn *tell, void *ctx)
{
    struct saying s = { settings, tell, ctx, 0 };

    check_relayhost(settings, tell, ctx);
    check_floor(settings, tell, ctx);

    for (; s.route < settings->route_count; s.route++) {
        const struct route_settings *r = &settings->routes[s.route];
        if (r->to == ROUTE_TO_HOSTS)
            check_hosts(&s, r);
        else if (r->to == ROUTE_TO_MX && r->tls == ROUTE_LEVEL_NONE)
            say(&s, ROUTE_NOTE, "tls",
                "route %s: mail goes in clear text wherever no policy enforces TLS, to domains "
                "with "
                "MTA-STS in testing mode, too",
                r->name);
    }
}
