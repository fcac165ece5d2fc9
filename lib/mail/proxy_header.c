#include "lib/mail/proxy_header.h"

#include <string.h>

/* --- version 1: a line of text --------------------------------------------------------------- */

/* Decimal, as short as it can be written. */
static bool port_parse(struct span text, uint16_t *out)
{
    uint64_t port;

    if (!span_to_number(text, UINT16_MAX, &port) || (text.len > 1 && text.data[0] == '0'))
        return false;
    *out = (uint16_t)port;
    return true;
}

static bool address_is_of(struct span text, bool is_v6, struct ip_address *out)
{
    bool has_colon = span_find(text, ':') < text.len;

    return has_colon == is_v6 && ip_address_parse(text, out);
}

/* "TCP4 192.0.2.1 192.0.2.2 56324 25": exactly one blank between the words. */
static enum proxy_progress words_parse(struct span words, bool is_v6, struct proxy_header *out)
{
    struct span client, server, client_port, server_port;

    if (!span_cut(&words, ' ', &client) || !address_is_of(client, is_v6, &out->client.address))
        return PROXY_BROKEN;
    if (!span_cut(&words, ' ', &server) || !address_is_of(server, is_v6, &out->server.address))
        return PROXY_BROKEN;
    if (!span_cut(&words, ' ', &client_port) || !port_parse(client_port, &out->client.port))
        return PROXY_BROKEN;
    if (!span_cut(&words, ' ', &server_port) || !port_parse(server_port, &out->server.port))
        return PROXY_BROKEN;
    if (words.data)
        return PROXY_BROKEN;
    out->is_proxied = true;
    return PROXY_WHOLE;
}

/* The line without its CRLF, behind "PROXY ". */
static enum proxy_progress line_parse(struct span line, struct proxy_header *out)
{
    if (span_starts_with(line, SPAN("TCP4 ")))
        return words_parse(span_from(line, 5), false, out);
    if (span_starts_with(line, SPAN("TCP6 ")))
        return words_parse(span_from(line, 5), true, out);
    if (span_equal(line, SPAN("UNKNOWN")) || span_starts_with(line, SPAN("UNKNOWN ")))
        return PROXY_WHOLE; /* what stands behind it is not looked at */
    return PROXY_BROKEN;
}

static enum proxy_progress text_parse(struct span bytes, struct proxy_header *out)
{
    size_t end = span_find(bytes, '\n');

    if (end >= PROXY_LINE_MAX)
        return bytes.len >= PROXY_LINE_MAX ? PROXY_BROKEN : PROXY_MORE;
    if (end == bytes.len)
        return PROXY_MORE;
    if (bytes.data[end - 1] != '\r')
        return PROXY_BROKEN;
    out->length = end + 1;
    return line_parse(span_from(span_first(bytes, end - 1), sizeof("PROXY ") - 1), out);
}

/* --- version 2: binary ----------------------------------------------------------------------- */

enum {
    FIXED_PART = 16,
    VERSION_LOCAL = 0x20,
    VERSION_PROXY = 0x21,
    UNSPECIFIED = 0x00,
    TCP_V4 = 0x11,
    TCP_V6 = 0x21,
    UNIX_STREAM = 0x31,
};

static bool endpoint_take(const char *address, const char *port, bool is_v6, struct endpoint *out)
{
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
    struct sockaddr_in v4 = { .sin_family = AF_INET };

    if (is_v6) { /* an IPv4 address inside it comes out as IPv4 */
        memcpy(&v6.sin6_addr, address, sizeof(v6.sin6_addr));
        memcpy(&v6.sin6_port, port, sizeof(v6.sin6_port));
        return endpoint_from_sockaddr((const struct sockaddr *)&v6, out);
    }
    memcpy(&v4.sin_addr, address, sizeof(v4.sin_addr));
    memcpy(&v4.sin_port, port, sizeof(v4.sin_port));
    return endpoint_from_sockaddr((const struct sockaddr *)&v4, out);
}

/* Both addresses, then both ports; type-length-values may follow and are skipped. */
static enum proxy_progress block_parse(struct span block, bool is_v6, struct proxy_header *out)
{
    size_t size = is_v6 ? 16 : 4;
    const char *ports = block.data + 2 * size;

    if (block.len < 2 * size + 4)
        return PROXY_BROKEN;
    out->is_proxied = endpoint_take(block.data, ports, is_v6, &out->client) &&
                      endpoint_take(block.data + size, ports + 2, is_v6, &out->server);
    return out->is_proxied ? PROXY_WHOLE : PROXY_BROKEN;
}

static enum proxy_progress addresses_parse(unsigned char family, struct span block,
                                           struct proxy_header *out)
{
    switch (family) {
    case UNSPECIFIED:
    case UNIX_STREAM:
        return PROXY_WHOLE;
    case TCP_V4:
        return block_parse(block, false, out);
    case TCP_V6:
        return block_parse(block, true, out);
    default: /* UDP carries no SMTP */
        return PROXY_BROKEN;
    }
}

static enum proxy_progress binary_parse(struct span bytes, struct proxy_header *out)
{
    const unsigned char *fixed = (const unsigned char *)bytes.data;

    if (bytes.len < FIXED_PART)
        return PROXY_MORE;
    if (fixed[12] != VERSION_LOCAL && fixed[12] != VERSION_PROXY)
        return PROXY_BROKEN;
    out->length = FIXED_PART + ((size_t)fixed[14] << 8) + fixed[15];
    if (bytes.len < out->length)
        return PROXY_MORE;
    if (fixed[12] == VERSION_LOCAL)
        return PROXY_WHOLE;
    return addresses_parse(fixed[13], span_from(span_first(bytes, out->length), FIXED_PART), out);
}

/* --- which of them --------------------------------------------------------------------------- */

static bool agrees(struct span bytes, struct span start)
{
    return bytes.len < start.len ? span_starts_with(start, bytes) : span_starts_with(bytes, start);
}

enum proxy_progress proxy_header_parse(struct span bytes, struct proxy_header *out_header)
{
    const struct span signature = SPAN("\r\n\r\n\0\r\nQUIT\n");
    const struct span word = SPAN("PROXY ");

    memset(out_header, 0, sizeof(*out_header));
    if (agrees(bytes, signature))
        return binary_parse(bytes, out_header);
    if (agrees(bytes, word))
        return text_parse(bytes, out_header);
    return PROXY_BROKEN;
}
