#include "queue/deliver/target.h"

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

/* ":2525" or nothing. */
static bool take_port(struct span text, struct target *t)
{
    uint64_t port;

    t->port = PORT_SMTP;
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
    struct target t = { .tls = ROUTE_TLS_MAY };

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
    struct target t = { .tls = route_tls_of(level), .is_relayhost = true };

    if (!take_text(relayhost, &t))
        return false;
    *out = t;
    return true;
}

bool target_has_policy(const struct target *target)
{
    return target->kind == TARGET_DOMAIN;
}
