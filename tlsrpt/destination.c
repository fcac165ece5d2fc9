#include "tlsrpt/destination.h"

#include "lib/mail/address.h"
#include "lib/mail/domain.h"

#include <stdio.h>
#include <string.h>

enum {
    HTTPS_PORT = 443,
    ADDRESSES_BYTES_MAX = (RUA_MAX + 1) * (ADDRESS_MAX + 1), /* of one mailto, decoded */
};

/* ---- the list ------------------------------------------------------------------------------- */

static unsigned count_of_host(const struct destinations *list, const char *host)
{
    unsigned count = 0;

    for (unsigned i = 0; i < list->count; i++)
        count += strcmp(list->items[i].host, host) == 0;
    return count;
}

static bool has_text(const struct destinations *list, const char *text)
{
    for (unsigned i = 0; i < list->count; i++)
        if (strcmp(list->items[i].text, text) == 0)
            return true;
    return false;
}

static enum destination_fault add(struct destinations *list, const struct destination *one)
{
    if (has_text(list, one->text))
        return DESTINATION_REPEATED;
    if (list->count == RUA_MAX)
        return DESTINATION_TOO_MANY;
    if (count_of_host(list, one->host) >= RUA_PER_HOST_MAX)
        return DESTINATION_CROWDED;
    list->items[list->count++] = *one;
    return DESTINATION_FINE;
}

/* ---- mailto --------------------------------------------------------------------------------- */

/* The octet that stands at the front of `s`, and how many bytes it takes; 0: a broken "%xx". */
static size_t decode_octet(struct span s, char *out)
{
    int high, low;

    *out = s.data[0];
    if (s.data[0] != '%')
        return 1;
    if (s.len < 3)
        return 0;
    high = ascii_hex_value(s.data[1]);
    low = ascii_hex_value(s.data[2]);
    if (high < 0 || low < 0)
        return 0;
    *out = (char)(16 * high + low);
    return 3;
}

/* RFC 3986 s.2.1; nothing that ends a line, and no octet beyond ASCII, comes out. */
static enum destination_fault decode(struct span s, char *room, size_t size, size_t *out_len)
{
    size_t len = 0;

    while (s.len > 0) {
        size_t taken = decode_octet(s, &room[len]);
        if (taken == 0)
            return DESTINATION_SYNTAX;
        if (room[len] < ' ' || room[len] > '~')
            return DESTINATION_BYTES;
        if (++len == size)
            return DESTINATION_TOO_LONG;
        s = span_from(s, taken);
    }
    *out_len = len;
    return DESTINATION_FINE;
}

/* Where the first address of a list ends: at a comma that stands in no quoted local-part. */
static size_t address_end(struct span list)
{
    bool quoted = false;

    for (size_t i = 0; i < list.len; i++) {
        if (list.data[i] == '\\')
            i++;
        else if (list.data[i] == '"')
            quoted = !quoted;
        else if (list.data[i] == ',' && !quoted)
            return i;
    }
    return list.len;
}

/* The address as a URI that is read as the same address again (RFC 6068 s.2). */
static void write_mailto(const char *address, char text[DESTINATION_TEXT_SIZE])
{
    size_t len = (size_t)snprintf(text, DESTINATION_TEXT_SIZE, "mailto:");

    for (const char *p = address; *p; p++)
        if (ascii_is_alnum(*p) || strchr("@-._~$'*+=^`{|}", *p))
            text[len++] = *p;
        else
            len += (size_t)snprintf(text + len, 4, "%%%02X", (unsigned char)*p);
    text[len] = '\0';
}

static enum destination_fault add_address(struct destinations *list, struct span text)
{
    struct destination one = { .kind = DESTINATION_MAIL };
    struct address address;

    if (address_parse(text, &address) != ADDRESS_FINE || address.domain[0] == '\0')
        return DESTINATION_ADDRESS;
    if (address.is_literal)
        return DESTINATION_HOST;
    if (address.local_len + 1 + strlen(address.domain) > ADDRESS_MAX)
        return DESTINATION_TOO_LONG;
    memcpy(one.address, address.text, address.local_len + 1);
    strcpy(one.address + address.local_len + 1, address.domain);
    strcpy(one.host, address.domain);
    write_mailto(one.address, one.text);
    return add(list, &one);
}

/* RFC 6068 s.2: addresses, then header fields, of which none is ever used (RPT-18). */
static enum destination_fault add_mailto(struct destinations *list, struct span rest)
{
    struct span encoded = span_first(rest, span_find(rest, '?'));
    enum destination_fault worst = DESTINATION_FINE;
    char room[ADDRESSES_BYTES_MAX];
    size_t len = 0;
    struct span addresses;

    worst = decode(encoded, room, sizeof(room), &len);
    if (worst != DESTINATION_FINE)
        return worst;
    addresses = (struct span){ room, len };
    do {
        size_t end = address_end(addresses);
        enum destination_fault fault = add_address(list, span_trim(span_first(addresses, end)));
        worst = fault > worst ? fault : worst;
        addresses = span_from(addresses, end + 1);
    } while (addresses.len > 0);
    return worst;
}

/* ---- https ---------------------------------------------------------------------------------- */

/* "10.0.0.1", "0x7f.1" and "2130706433" are addresses to some: names end in letters (RFC 1123). */
static bool is_named_host(const char *host)
{
    const char *last = strrchr(host, '.');
    const char *label = last ? last + 1 : host;

    if (!last || !domain_is_host(span_of(host)))
        return false;
    return !ascii_is_digit(label[0]);
}

static bool take_port(struct span text, uint16_t *out)
{
    uint64_t port;

    if (text.len == 0) { /* RFC 3986 s.3.2.3: "host:" is "host" */
        *out = HTTPS_PORT;
        return true;
    }
    if (!span_to_number(text, UINT16_MAX, &port) || port == 0)
        return false;
    *out = (uint16_t)port;
    return true;
}

/* host [":" port]; a user in front of "@" makes it no host. */
static enum destination_fault take_authority(struct span authority, struct destination *out)
{
    size_t colon = span_find(authority, ':');
    struct span host = span_first(authority, colon);

    if (host.len > DOMAIN_MAX)
        return DESTINATION_TOO_LONG;
    if (!span_is_printable(host) || !domain_normalize(host, out->host) ||
        !is_named_host(out->host) || !take_port(span_from(authority, colon + 1), &out->port))
        return DESTINATION_HOST;
    return DESTINATION_FINE;
}

/* RFC 3986 s.3.3, s.3.4: what is none of these bytes must have been percent-encoded. */
static bool path_is_valid(struct span path)
{
    static const char allowed[] = "-._~!$&'()*+,;=:@/?%";

    for (size_t i = 0; i < path.len; i++)
        if (!ascii_is_alnum(path.data[i]) && !memchr(allowed, path.data[i], sizeof(allowed) - 1))
            return false;
    return true;
}

/* path and query, without the fragment (RFC 9110 s.7.1). */
static enum destination_fault take_path(struct span rest, struct destination *out)
{
    struct span path = span_first(rest, span_find(rest, '#'));
    bool has_slash = path.len > 0 && path.data[0] == '/';

    if (path.len + 1 > DESTINATION_PATH_MAX)
        return DESTINATION_TOO_LONG;
    if (!path_is_valid(path))
        return DESTINATION_SYNTAX;
    snprintf(out->path, sizeof(out->path), "%s" SPAN_FMT, has_slash ? "" : "/", SPAN_ARG(path));
    return DESTINATION_FINE;
}

static size_t authority_length(struct span s)
{
    size_t len = span_find(s, '/');
    size_t query = span_find(s, '?');
    size_t fragment = span_find(s, '#');

    len = query < len ? query : len;
    return fragment < len ? fragment : len;
}

static enum destination_fault add_https(struct destinations *list, struct span rest)
{
    struct destination one = { .kind = DESTINATION_HTTPS };
    enum destination_fault fault;
    size_t len;

    if (!span_starts_with(rest, SPAN("//")))
        return DESTINATION_SYNTAX;
    rest = span_from(rest, 2);
    len = authority_length(rest);
    fault = take_authority(span_first(rest, len), &one);
    if (fault == DESTINATION_FINE)
        fault = take_path(span_from(rest, len), &one);
    if (fault != DESTINATION_FINE)
        return fault;
    if (one.port == HTTPS_PORT)
        snprintf(one.text, sizeof(one.text), "https://%s%s", one.host, one.path);
    else
        snprintf(one.text, sizeof(one.text), "https://%s:%u%s", one.host, one.port, one.path);
    return add(list, &one);
}

/* ---- the whole ------------------------------------------------------------------------------ */

enum destination_fault destinations_add(struct destinations *list, struct span uri)
{
    size_t colon = span_find(uri, ':');
    struct span scheme = span_first(uri, colon);
    struct span rest = span_from(uri, colon + 1);

    if (!span_is_printable(uri))
        return DESTINATION_BYTES;
    if (span_equal_nocase(scheme, SPAN("mailto")))
        return add_mailto(list, rest);
    if (span_equal_nocase(scheme, SPAN("https")))
        return add_https(list, rest);
    return DESTINATION_SCHEME;
}

const char *destination_fault_text(enum destination_fault fault)
{
    static const char *const texts[] = {
        [DESTINATION_FINE] = "is fine",
        [DESTINATION_REPEATED] = "is named twice",
        [DESTINATION_SCHEME] = "is neither mailto: nor https:",
        [DESTINATION_SYNTAX] = "is not written as a URI of its kind",
        [DESTINATION_ADDRESS] = "names no mailbox that mail can go to",
        [DESTINATION_BYTES] = "holds control characters, or bytes beyond ASCII",
        [DESTINATION_HOST] = "names no host: a name is wanted, no IP address and no user",
        [DESTINATION_TOO_LONG] = "is too long",
        [DESTINATION_CROWDED] = "is one too many of its host: two are used",
        [DESTINATION_TOO_MANY] = "is one too many: ten are used of a record",
    };

    return texts[fault];
}
