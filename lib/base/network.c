#include "lib/base/network.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum { V4_BITS = 32, V6_BITS = 128, V4_MAPPED_BITS = 96 };

static const uint8_t v4_mapped_prefix[12] = { [10] = 0xff, [11] = 0xff };

static size_t address_size(const struct ip_address *a)
{
    return a->family == ADDRESS_V4 ? 4 : 16;
}

static struct ip_address address_of_v4(const uint8_t bytes[4])
{
    struct ip_address a = { .family = ADDRESS_V4 };

    memcpy(a.bytes, bytes, 4);
    return a;
}

/* An address of 16 bytes; ::ffff:192.0.2.1 becomes 192.0.2.1. */
static struct ip_address address_of_v6(const uint8_t bytes[16])
{
    struct ip_address a = { .family = ADDRESS_V6 };

    if (memcmp(bytes, v4_mapped_prefix, sizeof(v4_mapped_prefix)) == 0)
        return address_of_v4(bytes + sizeof(v4_mapped_prefix));
    memcpy(a.bytes, bytes, 16);
    return a;
}

struct ip_address ip_address_of_user(uint32_t uid)
{
    struct ip_address a = { .family = ADDRESS_LOCAL };
    uint32_t number = htonl(uid);

    memcpy(a.bytes, &number, sizeof(number));
    return a;
}

uint32_t ip_address_user(const struct ip_address *a)
{
    uint32_t number;

    memcpy(&number, a->bytes, sizeof(number));
    return ntohl(number);
}

bool ip_address_parse(struct span text, struct ip_address *out)
{
    char string[INET6_ADDRSTRLEN];
    uint8_t bytes[16];

    if (!span_to_string(text, string, sizeof(string)))
        return false;
    if (inet_pton(AF_INET, string, bytes) == 1) {
        *out = address_of_v4(bytes);
        return true;
    }
    if (inet_pton(AF_INET6, string, bytes) == 1) {
        *out = address_of_v6(bytes);
        return true;
    }
    return false;
}

void ip_address_format(const struct ip_address *a, char text[NETWORK_TEXT_SIZE])
{
    int family = a->family == ADDRESS_V4 ? AF_INET : AF_INET6;

    text[0] = '\0';
    if (a->family == ADDRESS_LOCAL)
        snprintf(text, NETWORK_TEXT_SIZE, "local:%u", ip_address_user(a));
    else if (a->family != ADDRESS_NONE)
        inet_ntop(family, a->bytes, text, NETWORK_TEXT_SIZE);
}

bool ip_address_equal(const struct ip_address *a, const struct ip_address *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, address_size(a)) == 0;
}

static bool port_parse(struct span text, uint16_t *out)
{
    uint64_t port;

    if (!span_to_number(text, UINT16_MAX, &port) || port == 0)
        return false;
    *out = (uint16_t)port;
    return true;
}

/* What stands behind the address: nothing, or ":25". */
static bool port_part_parse(struct span part, uint16_t default_port, uint16_t *out)
{
    if (part.len == 0 && default_port != 0) {
        *out = default_port;
        return true;
    }
    return part.len > 0 && part.data[0] == ':' && port_parse(span_from(part, 1), out);
}

bool endpoint_parse(struct span text, uint16_t default_port, struct endpoint *out)
{
    struct span address = text;
    struct span port = SPAN("");
    struct endpoint e;

    if (text.len > 0 && text.data[0] == '[') {
        size_t end = span_find(text, ']');
        if (end == text.len)
            return false;
        address = span_from(span_first(text, end), 1);
        port = span_from(text, end + 1);
        if (span_find(address, ':') == address.len)
            return false; /* brackets belong to IPv6 */
    } else if (default_port == 0 || !ip_address_parse(text, &e.address)) {
        size_t colon = span_find(text, ':');
        address = span_first(text, colon);
        port = span_from(text, colon);
    }
    if (!ip_address_parse(address, &e.address) || !port_part_parse(port, default_port, &e.port))
        return false;
    *out = e;
    return true;
}

void endpoint_format(const struct endpoint *e, char text[NETWORK_TEXT_SIZE])
{
    char address[NETWORK_TEXT_SIZE];

    if (e->address.family == ADDRESS_LOCAL) { /* has no port */
        ip_address_format(&e->address, text);
        return;
    }
    ip_address_format(&e->address, address);
    snprintf(text, NETWORK_TEXT_SIZE, e->address.family == ADDRESS_V6 ? "[%.48s]:%u" : "%.48s:%u",
             address, e->port);
}

socklen_t endpoint_to_sockaddr(const struct endpoint *e, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof(*out));
    if (e->address.family == ADDRESS_V4) {
        struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(e->port) };
        memcpy(&sin.sin_addr, e->address.bytes, 4);
        memcpy(out, &sin, sizeof(sin));
        return sizeof(sin);
    }
    struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6, .sin6_port = htons(e->port) };
    memcpy(&sin6.sin6_addr, e->address.bytes, 16);
    memcpy(out, &sin6, sizeof(sin6));
    return sizeof(sin6);
}

bool endpoint_from_sockaddr(const struct sockaddr *sa, struct endpoint *out)
{
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in sin;
        memcpy(&sin, sa, sizeof(sin));
        *out =
            (struct endpoint){ address_of_v4((const uint8_t *)&sin.sin_addr), ntohs(sin.sin_port) };
        return true;
    }
    if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 sin6;
        memcpy(&sin6, sa, sizeof(sin6));
        *out = (struct endpoint){ address_of_v6(sin6.sin6_addr.s6_addr), ntohs(sin6.sin6_port) };
        return true;
    }
    return false;
}

/* True when all bits of `bytes` from `bits` on are zero. */
static bool rest_is_zero(const uint8_t *bytes, size_t size, unsigned bits)
{
    for (size_t i = bits / 8; i < size; i++) {
        unsigned kept = i == bits / 8 ? bits % 8 : 0;
        if (bytes[i] & (0xffU >> kept))
            return false;
    }
    return true;
}

/* The prefix length written behind the slash, counted in the family the address is kept in. */
static bool prefix_parse(struct span text, bool written_as_v6, enum address_family family,
                         unsigned *out)
{
    uint64_t bits;

    if (!span_to_number(text, written_as_v6 ? V6_BITS : V4_BITS, &bits))
        return false;
    if (written_as_v6 && family == ADDRESS_V4) {
        if (bits < V4_MAPPED_BITS)
            return false;
        bits -= V4_MAPPED_BITS;
    }
    *out = (unsigned)bits;
    return true;
}

bool network_parse(struct span text, struct network *out)
{
    size_t slash = span_find(text, '/');
    struct span address = span_first(text, slash);
    bool written_as_v6 = span_find(address, ':') < address.len;
    struct network n;

    if (!ip_address_parse(address, &n.address))
        return false;
    n.bits = n.address.family == ADDRESS_V4 ? V4_BITS : V6_BITS;
    if (slash < text.len &&
        !prefix_parse(span_from(text, slash + 1), written_as_v6, n.address.family, &n.bits))
        return false;
    if (!rest_is_zero(n.address.bytes, address_size(&n.address), n.bits))
        return false;
    *out = n;
    return true;
}

void network_format(const struct network *n, char text[NETWORK_TEXT_SIZE])
{
    char address[NETWORK_TEXT_SIZE];

    ip_address_format(&n->address, address);
    snprintf(text, NETWORK_TEXT_SIZE, "%.48s/%u", address, n->bits);
}

bool network_contains(const struct network *n, const struct ip_address *a)
{
    unsigned whole = n->bits / 8;
    unsigned part = n->bits % 8;

    if (n->address.family != a->family || a->family == ADDRESS_NONE)
        return false;
    if (memcmp(n->address.bytes, a->bytes, whole) != 0)
        return false;
    return part == 0 || (n->address.bytes[whole] ^ a->bytes[whole]) >> (8 - part) == 0;
}

struct prefix {
    uint8_t bytes[12];
    unsigned bits;
};

/*
 * What the IANA registries of special-purpose addresses (RFC 6890) call not globally reachable, and
 * multicast.  The ranges for documentation are left out: they lead nowhere, into no network of ours
 * either.
 */
static const struct prefix internal_v4[] = {
    { { 0 }, 8 },            /* "this" network, RFC 791 */
    { { 10 }, 8 },           /* private, RFC 1918 */
    { { 100, 64 }, 10 },     /* shared, RFC 6598 */
    { { 127 }, 8 },          /* loopback */
    { { 169, 254 }, 16 },    /* link-local, RFC 3927 */
    { { 172, 16 }, 12 },     /* private */
    { { 192, 0, 0 }, 24 },   /* protocol assignments, RFC 6890 */
    { { 192, 88, 99 }, 24 }, /* 6to4 relays, RFC 7526 */
    { { 192, 168 }, 16 },    /* private */
    { { 198, 18 }, 15 },     /* benchmarks, RFC 2544 */
    { { 224 }, 4 },          /* multicast */
    { { 240 }, 4 },          /* reserved, with the broadcast address */
};

/*
 * All addresses of hosts on the internet are from here (RFC 4291 s.2.4, IANA); what stands outside
 * is loopback, link-local, unique-local (RFC 4193), site-local (RFC 3879), multicast, discard-only
 * (RFC 6666), local NAT64 (RFC 8215), translated (RFC 2765), segment routing (RFC 9602), or
 * nothing.
 */
static const struct prefix global_v6 = { { 0x20 }, 3 };

static const struct prefix internal_v6[] = {
    { { 0x20, 0x01, 0x00 }, 23 }, /* protocol assignments with Teredo, RFC 2928 */
};

/* IPv6 addresses that lead to an IPv4 address, and where they keep it. */
static const struct carrier {
    struct prefix prefix;
    size_t at;
} carriers[] = {
    { { { [10] = 0xff, [11] = 0xff }, 96 }, 12 }, /* v4-mapped, RFC 4291 s.2.5.5.2 */
    { { { 0x00, 0x64, 0xff, 0x9b }, 96 }, 12 },   /* NAT64, RFC 6052 s.2.1 */
    { { { 0x20, 0x02 }, 16 }, 2 },                /* 6to4, RFC 3056 s.2 */
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool has_prefix(const struct ip_address *a, const struct prefix *p)
{
    struct network n = { .address.family = a->family, .bits = p->bits };

    memcpy(n.address.bytes, p->bytes, sizeof(p->bytes));
    return network_contains(&n, a);
}

static bool has_one_of(const struct ip_address *a, const struct prefix *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (has_prefix(a, &list[i]))
            return true;
    return false;
}

bool ip_address_is_internal(const struct ip_address *a)
{
    if (a->family == ADDRESS_V4)
        return has_one_of(a, internal_v4, COUNT(internal_v4));
    if (a->family != ADDRESS_V6)
        return true;
    for (size_t i = 0; i < COUNT(carriers); i++) {
        if (has_prefix(a, &carriers[i].prefix)) {
            struct ip_address carried = address_of_v4(a->bytes + carriers[i].at);
            return ip_address_is_internal(&carried);
        }
    }
    return !has_prefix(a, &global_v6) || has_one_of(a, internal_v6, COUNT(internal_v6));
}

bool ip_address_is_loopback(const struct ip_address *a)
{
    static const uint8_t loopback_v6[16] = { [15] = 1 };

    if (a->family == ADDRESS_V4)
        return a->bytes[0] == 127;
    return a->family == ADDRESS_V6 && memcmp(a->bytes, loopback_v6, 16) == 0;
}
