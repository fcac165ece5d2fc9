/*
 * network - IP addresses, address and port, and CIDR networks, as plain values.  Pure.
 * IPv4 addresses are kept as IPv4, never as v4-mapped IPv6: parsing and conversion unmap them.
 */
#ifndef WAXSEAL_BASE_NETWORK_H
#define WAXSEAL_BASE_NETWORK_H

#include "lib/base/span.h"

#include <netinet/in.h>
#include <sys/socket.h>

/* LOCAL: not a host but a user of this machine, who came through a Unix socket. */
enum address_family { ADDRESS_NONE, ADDRESS_V4, ADDRESS_V6, ADDRESS_LOCAL };

struct ip_address {
    enum address_family family;
    uint8_t bytes[16]; /* in network order; the first 4 for IPv4, and for a user's number */
};

struct endpoint {
    struct ip_address address;
    uint16_t port;
};

struct network {
    struct ip_address address;
    unsigned bits;
};

enum { NETWORK_TEXT_SIZE = 64 };

/* The address that stands for a user of this machine; written "local:1000", never parsed. */
struct ip_address ip_address_of_user(uint32_t uid);
uint32_t ip_address_user(const struct ip_address *a);

/* "192.0.2.1" or "2001:db8::1", without brackets or zone. */
bool ip_address_parse(struct span text, struct ip_address *out);
void ip_address_format(const struct ip_address *a, char text[NETWORK_TEXT_SIZE]);
bool ip_address_equal(const struct ip_address *a, const struct ip_address *b);

/* "192.0.2.1:25" or "[2001:db8::1]:25"; `default_port` when none is written, 0: a port is required.
 */
bool endpoint_parse(struct span text, uint16_t default_port, struct endpoint *out);
void endpoint_format(const struct endpoint *e, char text[NETWORK_TEXT_SIZE]);
socklen_t endpoint_to_sockaddr(const struct endpoint *e, struct sockaddr_storage *out);
bool endpoint_from_sockaddr(const struct sockaddr *sa, struct endpoint *out);

/* "192.0.2.0/24", "2001:db8::/32", or an address alone; bits set behind the prefix are refused. */
bool network_parse(struct span text, struct network *out);
void network_format(const struct network *n, char text[NETWORK_TEXT_SIZE]);
bool network_contains(const struct network *n, const struct ip_address *a);

/*
 * True for addresses that no MX and no policy host on the internet may have: unspecified, loopback,
 * private, link-local, unique-local, multicast, broadcast, shared (RFC 6598), all else that IANA's
 * special-purpose registries call not globally reachable, what IANA has not handed out to hosts,
 * and v4-mapped, NAT64 and 6to4 forms of such (pitfalls.md section 7.9).  Documentation ranges are
 * let through: they lead nowhere.
 */
bool ip_address_is_internal(const struct ip_address *a);

bool ip_address_is_loopback(const struct ip_address *a);

#endif
