#include "lib/mail/address.h"

#include "lib/base/utf8.h"
#include "lib/mail/domain.h"

#include <stdio.h>
#include <string.h>

/* RFC 5322 s.3.2.3, RFC 6532 s.3.2; what is not ASCII is well-formed here. */
static bool is_atext(char c)
{
    return ascii_is_alnum(c) || (unsigned char)c >= 0x80 ||
           (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* Bytes of the dot-string at the front of `text`; 0 for none. */
static size_t dot_string(struct span text)
{
    size_t i = 0;
    bool dot = true; /* none may stand first, last, or behind another */

    while (i < text.len && (is_atext(text.data[i]) || (text.data[i] == '.' && !dot)))
        dot = text.data[i++] == '.';
    return dot ? 0 : i;
}

/* Bytes of the quoted-string at the front of `text`; 0 for none. */
static size_t quoted_string(struct span text)
{
    for (size_t i = 1; i < text.len; i++) {
        if (text.data[i] == '"')
            return i + 1;
        if (text.data[i] == '\\')
            i++;
    }
    return 0;
}

static size_t local_part(struct span text)
{
    if (text.len > 0 && text.data[0] == '"')
        return quoted_string(text);
    return dot_string(text);
}

/*
 * Strips the "@a,@b:" of a source route (RFC 5321 s.4.1.1.3, Appendix C); whom it names is checked
 * for form and then forgotten.
 */
static bool strip_route(struct span *text)
{
    char host_name[DOMAIN_MAX + 1];
    struct span route, host;
    size_t colon;

    if (text->len == 0 || text->data[0] != '@')
        return true;
    colon = span_find(*text, ':');
    if (colon == text->len)
        return false;
    route = span_first(*text, colon);
    while (span_cut(&route, ',', &host))
        if (host.len < 2 || host.data[0] != '@' || !domain_normalize(span_from(host, 1), host_name))
            return false;
    *text = span_from(*text, colon + 1);
    return true;
}

/* RFC 5321 s.4.1.3; other kinds of literals are not known to us. */
static bool parse_literal(struct span domain, struct address *out)
{
    static const struct span v6 = { "IPv6:", 5 };
    struct span inner = { domain.data + 1, domain.len - 2 };
    bool is_v6 = span_starts_with_nocase(inner, v6);
    char text[NETWORK_TEXT_SIZE];

    if (!ip_address_parse(is_v6 ? span_from(inner, v6.len) : inner, &out->literal))
        return false;
    if (!is_v6 && out->literal.family != ADDRESS_V4)
        return false;
    ip_address_format(&out->literal, text);
    snprintf(out->domain, sizeof(out->domain), "[%s%s]",
             out->literal.family == ADDRESS_V6 ? v6.data : "", text);
    out->is_literal = true;
    return true;
}

static bool parse_domain(struct span domain, struct address *out)
{
    if (domain.len > 2 && domain.data[0] == '[' && domain.data[domain.len - 1] == ']')
        return parse_literal(domain, out);
    if (span_is_ascii(domain) && !domain_is_host(domain))
        return false;
    return domain_normalize(domain, out->domain);
}

/* U+0080 to U+009F, which terminals may obey. */
static bool is_upper_control(struct span character)
{
    return character.len == 2 && (unsigned char)character.data[0] == 0xc2 &&
           (unsigned char)character.data[1] < 0xa0;
}

/* What no mailbox may hold, before its form is looked at. */
static bool has_bad_bytes(struct span text)
{
    while (text.len > 0) {
        size_t len = utf8_character(text);
        unsigned char first = (unsigned char)text.data[0];
        if (len == 0 || first < 0x20 || first == 0x7f || is_upper_control(span_first(text, len)))
            return true;
        text = span_from(text, len);
    }
    return false;
}

static enum address_fault parse_mailbox(struct span text, struct address *out)
{
    size_t local = local_part(text);

    if (local == 0)
        return ADDRESS_SYNTAX;
    if (text.len > ADDRESS_MAX) /* binds the local-part too: VERP and SRS go beyond 64 octets */
        return ADDRESS_TOO_LONG;
    if (local == text.len) /* RFC 5321 s.4.5.1: <postmaster> alone needs no domain */
        return span_equal_nocase(text, SPAN("postmaster")) ? ADDRESS_FINE : ADDRESS_SYNTAX;
    if (text.data[local] != '@' || local + 1 == text.len)
        return ADDRESS_SYNTAX;
    return parse_domain(span_from(text, local + 1), out) ? ADDRESS_FINE : ADDRESS_BAD_DOMAIN;
}

enum address_fault address_parse_utf8(struct span text, struct address *out)
{
    struct address parsed = { .is_literal = false };
    enum address_fault fault;

    *out = parsed;
    if (has_bad_bytes(text) || !strip_route(&text))
        return ADDRESS_SYNTAX;
    fault = parse_mailbox(text, &parsed);
    if (fault != ADDRESS_FINE)
        return fault;
    memcpy(parsed.text, text.data, text.len);
    parsed.local_len = local_part(text);
    *out = parsed;
    return ADDRESS_FINE;
}

enum address_fault address_parse(struct span text, struct address *out)
{
    *out = (struct address){ .is_literal = false };
    if (has_bad_bytes(text))
        return ADDRESS_SYNTAX;
    return span_is_ascii(text) ? address_parse_utf8(text, out) : ADDRESS_NON_ASCII;
}

enum address_fault address_parse_reverse(struct span text, struct address *out)
{
    enum address_fault fault;

    if (text.len == 0) {
        *out = (struct address){ .is_literal = false };
        return ADDRESS_FINE;
    }
    fault = address_parse_utf8(text, out);
    if (fault == ADDRESS_FINE && out->domain[0] == '\0') {
        *out = (struct address){ .is_literal = false };
        return ADDRESS_SYNTAX;
    }
    return fault;
}

bool address_is_ascii(const struct address *address)
{
    return span_is_ascii(span_of(address->text));
}

bool address_to_ascii(const struct address *address, char room[ADDRESS_ASCII_SIZE])
{
    struct span local = span_first(span_of(address->text), address->local_len);

    room[0] = '\0';
    if (!span_is_ascii(local))
        return false;
    if (address_is_ascii(address))
        return span_to_string(span_of(address->text), room, ADDRESS_ASCII_SIZE);
    snprintf(room, ADDRESS_ASCII_SIZE, SPAN_FMT "@%s", SPAN_ARG(local), address->domain);
    return true;
}
