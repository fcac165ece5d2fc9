#include "lib/mail/xclient.h"

#include "lib/mail/command.h"
#include "lib/mail/domain.h"
#include "lib/mail/xtext.h"

#include <string.h>

const char xclient_attributes[] = "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT";

enum { VALUE_MAX = ADDRESS_MAX };

static bool is_unavailable(struct span value)
{
    return span_equal_nocase(value, SPAN("[UNAVAILABLE]")) ||
           span_equal_nocase(value, SPAN("[TEMPUNAVAIL]"));
}

static bool take_name(struct span value, struct xclient *out)
{
    return domain_is_host(value) && span_to_string(value, out->name, sizeof(out->name));
}

/* "192.0.2.1", "IPV6:2001:db8::1" */
static bool parse_address(struct span value, struct ip_address *out)
{
    static const struct span v6 = { "IPV6:", 5 };
    bool is_v6 = span_starts_with_nocase(value, v6);

    return ip_address_parse(is_v6 ? span_from(value, v6.len) : value, out) &&
           (is_v6 || out->family == ADDRESS_V4);
}

static bool take_addr(struct span value, struct xclient *out)
{
    return parse_address(value, &out->address);
}

static bool parse_port(struct span value, uint16_t *out)
{
    uint64_t number;

    if (!span_to_number(value, UINT16_MAX, &number))
        return false;
    *out = (uint16_t)number;
    return true;
}

static bool take_port(struct span value, struct xclient *out)
{
    return parse_port(value, &out->port);
}

static bool take_proto(struct span value, struct xclient *out)
{
    out->is_smtp = span_equal_nocase(value, SPAN("SMTP"));
    return out->is_smtp || span_equal_nocase(value, SPAN("ESMTP"));
}

static bool take_helo(struct span value, struct xclient *out)
{
    return command_parse_hello(value, out->helo) == COMMAND_FINE;
}

static bool take_login(struct span value, struct xclient *out)
{
    return value.len > 0 && span_to_string(value, out->login, sizeof(out->login));
}

static bool take_destaddr(struct span value, struct xclient *out)
{
    struct ip_address address;

    (void)out;
    return parse_address(value, &address);
}

static bool take_destport(struct span value, struct xclient *out)
{
    uint16_t port;

    (void)out;
    return parse_port(value, &port);
}

static const struct attribute {
    struct span name;
    bool (*take)(struct span value, struct xclient *out);
} attributes[XCLIENT_ATTRIBUTES] = {
    [XCLIENT_NAME] = { { "NAME", 4 }, take_name },
    [XCLIENT_ADDR] = { { "ADDR", 4 }, take_addr },
    [XCLIENT_PORT] = { { "PORT", 4 }, take_port },
    [XCLIENT_PROTO] = { { "PROTO", 5 }, take_proto },
    [XCLIENT_HELO] = { { "HELO", 4 }, take_helo },
    [XCLIENT_LOGIN] = { { "LOGIN", 5 }, take_login },
    [XCLIENT_DESTADDR] = { { "DESTADDR", 8 }, take_destaddr },
    [XCLIENT_DESTPORT] = { { "DESTPORT", 8 }, take_destport },
};

static int attribute_of(struct span name)
{
    for (int i = 0; i < XCLIENT_ATTRIBUTES; i++)
        if (span_equal_nocase(name, attributes[i].name))
            return i;
    return -1;
}

/* "ATTRIBUTE=xtext" */
static bool take_word(struct span word, struct xclient *out)
{
    struct span name = span_first(word, span_find(word, '='));
    struct span coded = span_from(word, name.len + 1);
    int i = attribute_of(name);
    char room[VALUE_MAX];
    size_t len;

    if (i < 0 || (out->given & 1U << i) || coded.len > VALUE_MAX || coded.len == 0 ||
        !xtext_decode(coded, room, &len))
        return false;
    out->given |= 1U << i;
    if (is_unavailable((struct span){ room, len }))
        return i != XCLIENT_PROTO;
    return attributes[i].take((struct span){ room, len }, out);
}

bool xclient_parse(struct span argument, struct xclient *out)
{
    struct xclient said = { .given = 0 };
    struct span word;

    *out = said;
    while (span_cut(&argument, ' ', &word))
        if (word.len > 0 && !take_word(word, &said))
            return false;
    if (said.given == 0)
        return false;
    *out = said;
    return true;
}

static bool has(const struct xclient *x, enum xclient_attribute attribute)
{
    return (x->given & 1U << attribute) != 0;
}

void xclient_merge(struct xclient *into, const struct xclient *said)
{
    into->given |= said->given;
    if (has(said, XCLIENT_NAME))
        memcpy(into->name, said->name, sizeof(into->name));
    if (has(said, XCLIENT_ADDR))
        into->address = said->address;
    if (has(said, XCLIENT_PORT))
        into->port = said->port;
    if (has(said, XCLIENT_PROTO))
        into->is_smtp = said->is_smtp;
    if (has(said, XCLIENT_HELO))
        memcpy(into->helo, said->helo, sizeof(into->helo));
    if (has(said, XCLIENT_LOGIN))
        memcpy(into->login, said->login, sizeof(into->login));
}
