#include "queue/deliver/target.h"

#include <stdio.h>
#include <string.h>

#include "lib/mail/routing.h"

static bool take_address(struct span text, struct target *t)
{
    if (!ip_address_parse(text, &t->address))
        return false;
    t->kind = TARGET_ADDRESS;
    return span_to_string(text, t->name, sizeof(t->name));
}

/* What stands between brackets: an address, or a host that is not looked up as a domain. */
static bool take_bracketed(struct span text, struct target *t)
{
    if (span_starts_with_nocase(text, SPAN("IPv6:"))) /* RFC 5321 s.4.1.3 */
        return take_address(span_from(text, 5), t);
    if (take_address(text, t))
        return true;
    t->kind = TARGET_HOST;
    return domain_normalize(text, t->name);
}

/* ":2525", or nothing for what it is otherwise. */
static bool take_port(struct span text, struct target *t)
{
    uint64_t port;

    if (text.len == 0)
        return true;
    if (text.data[0] != ':' || !span_to_number(span_from(text, 1), UINT16_MAX, &port) || port == 0)
        return false;
    t->port = (uint16_t)port;
    return true;
}

static bool take_text(struct span text, struct target *t)
{
    size_t close;

    if (text.len == 0 || text.data[0] != '[') {
        size_t colon = span_find(text, ':');
        t->kind = TARGET_DOMAIN;
        return domain_normalize(span_first(text, colon), t->name) &&
               take_port(span_from(text, colon), t);
    }
    close = span_find(text, ']');
    return close < text.len && take_bracketed((struct span){ text.data + 1, close - 1 }, t) &&
           take_port(span_from(text, close + 1), t);
}

bool target_of_domain(struct span next_hop, struct target *out)
{
    struct target t = { .port = PORT_SMTP };

    if (!take_text(next_hop, &t) || t.kind == TARGET_HOST || t.port != PORT_SMTP)
        return false;
    *out = t;
    return true;
}

static enum route_tls route_tls_of(enum relayhost_tls level)
{
    switch (level) {
    case RELAYHOST_TLS_NONE:
        return ROUTE_TLS_NONE;
    case RELAYHOST_TLS_ENCRYPT:
        return ROUTE_TLS_ENCRYPT;
    case RELAYHOST_TLS_MAY:
        break;
    }
    return ROUTE_TLS_MAY;
}

bool target_of_relayhost(struct span relayhost, enum relayhost_tls level, struct target *out)
{
    struct target t = { .port = PORT_SMTP, .tls = route_tls_of(level), .is_chosen = true };

    if (!take_text(relayhost, &t))
        return false;
    *out = t;
    return true;
}

/* --- routes */

static enum route_tls route_tls_at(enum route_level level)
{
    switch (level) {
    case ROUTE_LEVEL_NONE:
        return ROUTE_TLS_NONE;
    case ROUTE_LEVEL_ENCRYPT:
        return ROUTE_TLS_ENCRYPT;
    case ROUTE_LEVEL_VERIFY:
        return ROUTE_TLS_VERIFY;
    case ROUTE_LEVEL_DANE:
        return ROUTE_TLS_DANE;
    case ROUTE_LEVEL_FINGERPRINT:
        return ROUTE_TLS_FINGERPRINT;
    case ROUTE_LEVEL_MAY:
        break;
    }
    return ROUTE_TLS_MAY;
}

/* A password never goes in clear, and implicit TLS is TLS. */
static bool needs_tls(const struct route_settings *route)
{
    return route->implicit_tls == SWITCH_ON || route->credentials[0] != '\0';
}

static struct target target_of_route(const struct route_settings *route)
{
    struct target t = { .route = route,
                        .tls = route_tls_at(route->tls),
                        .implicit_tls = route->implicit_tls == SWITCH_ON };

    if (needs_tls(route) && (t.tls == ROUTE_TLS_NONE || t.tls == ROUTE_TLS_MAY))
        t.tls = ROUTE_TLS_ENCRYPT;
    t.port = settings_port_of(SPAN(""), route);
    return t;
}

static enum target_verdict take_hosts(const struct route_settings *route,
                                      struct target out[TARGETS_MAX], unsigned *out_count)
{
    for (unsigned i = 0; i < route->host_count; i++) {
        out[i] = target_of_route(route);
        out[i].is_chosen = true;
        out[i].priority = route->hosts[i].priority;
        out[i].weight = route->hosts[i].weight;
        if (!take_text(span_of(route->hosts[i].spec), &out[i]))
            return TARGETS_UNKNOWN; /* the settings were checked: not to be seen */
    }
    *out_count = route->host_count;
    return route->host_count > 0 ? TARGETS_FOUND : TARGETS_UNKNOWN;
}

/* The domain's own MX, as the route has it. */
static enum target_verdict take_domain(const struct route_settings *route, struct span domain,
                                       struct target *out, unsigned *out_count)
{
    struct target plain;

    if (!target_of_domain(domain, &plain))
        return TARGETS_NONSENSE;
    *out = target_of_route(route);
    out->kind = plain.kind;
    out->address = plain.address;
    strcpy(out->name, plain.name);
    *out_count = 1;
    return TARGETS_FOUND;
}

/* "none" is somebody's word; "may" is what they say who say nothing. */
static enum route_tls raised(enum route_tls tls, enum site_tls floor)
{
    if (tls == ROUTE_TLS_MAY && floor == SITE_TLS_ENCRYPT)
        return ROUTE_TLS_ENCRYPT;
    if ((tls == ROUTE_TLS_MAY || tls == ROUTE_TLS_ENCRYPT) && floor == SITE_TLS_VERIFY)
        return ROUTE_TLS_VERIFY;
    return tls;
}

static void raise_to_floor(struct target *target, enum site_tls floor)
{
    enum route_tls tls = raised(target->tls, floor);

    target->is_floor = tls != target->tls;
    target->tls = tls;
}

static enum target_verdict find_targets(const struct settings *settings, struct span hop,
                                        struct target out[TARGETS_MAX], unsigned *out_count)
{
    const struct route_settings *route = routing_of_hop(settings, hop);
    struct next_hop parts;

    *out_count = 1;
    if (!next_hop_parse(hop, &parts))
        return TARGETS_NONSENSE;
    if (parts.kind == NEXT_HOP_DOMAIN)
        return target_of_domain(hop, out) ? TARGETS_FOUND : TARGETS_NONSENSE;
    if (parts.kind == NEXT_HOP_RELAYHOST)
        return target_of_relayhost(span_of(settings->relayhost), settings->tls_level, out)
                   ? TARGETS_FOUND
                   : TARGETS_UNKNOWN;
    if (parts.kind == NEXT_HOP_SPEC)
        return target_of_relayhost(parts.target, RELAYHOST_TLS_MAY, out) ? TARGETS_FOUND
                                                                         : TARGETS_NONSENSE;
    if (route && parts.kind == NEXT_HOP_ROUTE_DOMAIN && route->to == ROUTE_TO_MX)
        return take_domain(route, parts.target, out, out_count);
    if (route && parts.kind == NEXT_HOP_ROUTE && route->to == ROUTE_TO_HOSTS)
        return take_hosts(route, out, out_count);
    return TARGETS_UNKNOWN;
}

enum target_verdict targets_of_hop(const struct settings *settings, struct span hop,
                                   struct target out[TARGETS_MAX], unsigned *out_count)
{
    enum target_verdict verdict = find_targets(settings, hop, out, out_count);

    for (unsigned i = 0; verdict == TARGETS_FOUND && i < *out_count; i++) {
        out[i].exception = settings_exception(settings, span_of(out[i].name));
        raise_to_floor(&out[i], settings->tls_floor);
    }
    return verdict;
}

/* --- the order of several */

/* A number below `bound` that the seed determines (splitmix64). */
static uint64_t draw(uint64_t *seed, uint64_t bound)
{
    uint64_t z = (*seed += 0x9e3779b97f4a7c15U);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return (z ^ (z >> 31)) % bound;
}

static uint64_t share_of(const struct target *target)
{
    return target->weight > 0 ? target->weight : 1;
}

/* One of those not taken yet that have the least priority, by chance. */
static unsigned draw_target(const struct target *targets, unsigned count, const bool *taken,
                            uint64_t *seed)
{
    const struct target *least = NULL;
    uint64_t sum = 0, at;
    unsigned i;

    for (i = 0; i < count; i++)
        if (!taken[i] && (!least || targets[i].priority < least->priority))
            least = &targets[i];
    ensure(least);
    for (i = 0; i < count; i++)
        if (!taken[i] && targets[i].priority == least->priority)
            sum += share_of(&targets[i]);
    at = draw(seed, sum);
    for (i = 0; i < count; i++) {
        if (taken[i] || targets[i].priority != least->priority)
            continue;
        if (at < share_of(&targets[i]))
            break;
        at -= share_of(&targets[i]);
    }
    return i;
}

void target_order(const struct target *targets, unsigned count, uint64_t seed,
                  unsigned order[TARGETS_MAX])
{
    bool taken[TARGETS_MAX] = { false };

    for (unsigned n = 0; n < count; n++) {
        order[n] = draw_target(targets, count, taken, &seed);
        taken[order[n]] = true;
    }
}

static bool lists(const struct name_list *list, const char *kind, const char *digest)
{
    char text[TLS_DIGEST_SIZE + 16];

    snprintf(text, sizeof(text), "%s:%s", kind, digest);
    return digest[0] != '\0' && name_list_contains(list, span_of(text));
}

bool target_lists(const struct target *target, const struct tls_session *session)
{
    const struct name_list *list = target->route ? &target->route->tls_fingerprints : NULL;

    return list && (lists(list, "sha256", session->certificate_sha256) ||
                    lists(list, "key-sha256", session->key_sha256));
}

void target_chooser(const struct target *target, char text[TARGET_CHOOSER_SIZE])
{
    snprintf(text, TARGET_CHOOSER_SIZE, "%s%s",
             target->route       ? "route "
             : target->is_chosen ? "relayhost"
                                 : "",
             target->route ? target->route->name : "");
}

bool target_has_policy(const struct target *target)
{
    return target->kind == TARGET_DOMAIN;
}
