#include "lib/mail/next_hop.h"

#include <stdio.h>

#include "lib/base/network.h"
#include "lib/mail/address.h"
#include "lib/mail/domain.h"

#define RELAYHOST SPAN("relayhost")
#define ROUTE SPAN("route:")
#define SPEC SPAN("to:")

enum { PORT_TEXT_SIZE = 8 };

static bool route_name_is_valid(struct span name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!ascii_is_alnum(name.data[i]) && name.data[i] != '-')
            return false;
    return name.len > 0 && name.len < SETTINGS_LABEL_SIZE;
}

/* No byte of it could begin another part, or end a line of the log. */
static bool domain_is_fit(struct span domain)
{
    if (domain.len == 0 || domain.len > NEXT_HOP_DOMAIN_MAX)
        return false;
    if (domain.data[0] == '[')
        return domain.data[domain.len - 1] == ']' && span_is_printable(domain);
    return span_is_printable(domain) && span_find(domain, ':') == domain.len &&
           span_find(domain, '/') == domain.len;
}

static bool route_parse(struct span text, struct next_hop *out)
{
    size_t slash = span_find(text, '/');

    out->kind = slash < text.len ? NEXT_HOP_ROUTE_DOMAIN : NEXT_HOP_ROUTE;
    out->route = span_first(text, slash);
    out->target = span_from(text, slash + 1);
    return route_name_is_valid(out->route) && (slash == text.len || domain_is_fit(out->target));
}

bool next_hop_parse(struct span name, struct next_hop *out)
{
    *out = (struct next_hop){ .kind = NEXT_HOP_DOMAIN, .target = name };
    if (span_equal(name, RELAYHOST)) {
        *out = (struct next_hop){ .kind = NEXT_HOP_RELAYHOST };
        return true;
    }
    if (span_starts_with(name, ROUTE))
        return route_parse(span_from(name, ROUTE.len), out);
    if (span_starts_with(name, SPEC)) {
        out->kind = NEXT_HOP_SPEC;
        out->target = span_from(name, SPEC.len);
        return settings_relayhost_is_valid(out->target);
    }
    return domain_is_fit(name);
}

/* A domain or an address literal, as it is in mailboxes. */
static bool read_domain(struct span text, struct address *out)
{
    bool has_dot = text.len > 0 && text.data[text.len - 1] == '.';
    char mailbox[ADDRESS_MAX + 1];
    int len = snprintf(mailbox, sizeof(mailbox), "a@" SPAN_FMT,
                       SPAN_ARG(span_first(text, text.len - has_dot)));

    return len >= 0 && (size_t)len < sizeof(mailbox) &&
           address_parse_utf8(span_of(mailbox), out) == ADDRESS_FINE;
}

/* ":2525"; the one that is meant where there is none has none. */
static bool read_port(struct span text, char port[PORT_TEXT_SIZE])
{
    uint64_t number;

    port[0] = '\0';
    if (text.len == 0)
        return true;
    if (text.data[0] != ':' || !span_to_number(span_from(text, 1), UINT16_MAX, &number) ||
        number == 0)
        return false;
    if (number != PORT_SMTP)
        snprintf(port, PORT_TEXT_SIZE, ":%u", (unsigned)number);
    return true;
}

/* A form of `relayhost`, whose host and port are spelt in one way. */
static bool read_spec(struct span spec, char name[HOP_NAME_MAX + 1])
{
    bool has_brackets = spec.len > 0 && spec.data[0] == '[';
    size_t end = span_find(spec, has_brackets ? ']' : ':');
    struct span host = span_from(span_first(spec, end), has_brackets);
    char text[DOMAIN_MAX + 1], port[PORT_TEXT_SIZE];
    struct ip_address address;

    if ((has_brackets && end == spec.len) || !read_port(span_from(spec, end + has_brackets), port))
        return false;
    if (has_brackets && ip_address_parse(host, &address))
        ip_address_format(&address, text);
    else if (!domain_normalize(host, text))
        return false;
    int len = snprintf(name, HOP_NAME_MAX + 1, SPAN_FMT "%s%s%s%s", SPAN_ARG(SPEC),
                       has_brackets ? "[" : "", text, has_brackets ? "]" : "", port);
    return len >= 0 && len <= HOP_NAME_MAX;
}

/* All other forms: a domain is the end of each, or they have none. */
static bool read_with_domain(struct span text, char name[HOP_NAME_MAX + 1])
{
    size_t at = span_starts_with(text, ROUTE) ? span_find(text, '/') + 1 : 0; /* of its domain */
    struct address mailbox = { .domain = "" };

    if (span_equal(text, RELAYHOST) || at > text.len)
        at = text.len;
    else if (!read_domain(span_from(text, at), &mailbox))
        return false;
    int len = snprintf(name, HOP_NAME_MAX + 1, SPAN_FMT "%s", SPAN_ARG(span_first(text, at)),
                       mailbox.domain);
    return len >= 0 && len <= HOP_NAME_MAX;
}

bool next_hop_read(struct span text, char name[HOP_NAME_MAX + 1])
{
    bool is_read = span_starts_with(text, SPEC) ? read_spec(span_from(text, SPEC.len), name)
                                                : read_with_domain(text, name);
    struct next_hop hop;

    return is_read && next_hop_parse(span_of(name), &hop);
}

bool next_hop_format(const struct next_hop *hop, char name[HOP_NAME_MAX + 1])
{
    int len = -1;

    switch (hop->kind) {
    case NEXT_HOP_DOMAIN:
        len = snprintf(name, HOP_NAME_MAX + 1, SPAN_FMT, SPAN_ARG(hop->target));
        break;
    case NEXT_HOP_RELAYHOST:
        len = snprintf(name, HOP_NAME_MAX + 1, SPAN_FMT, SPAN_ARG(RELAYHOST));
        break;
    case NEXT_HOP_ROUTE:
        len = snprintf(name, HOP_NAME_MAX + 1, "route:" SPAN_FMT, SPAN_ARG(hop->route));
        break;
    case NEXT_HOP_ROUTE_DOMAIN:
        len = snprintf(name, HOP_NAME_MAX + 1, "route:" SPAN_FMT "/" SPAN_FMT, SPAN_ARG(hop->route),
                       SPAN_ARG(hop->target));
        break;
    case NEXT_HOP_SPEC:
        len = snprintf(name, HOP_NAME_MAX + 1, "to:" SPAN_FMT, SPAN_ARG(hop->target));
        break;
    }
    return len >= 0 && len <= HOP_NAME_MAX;
}
