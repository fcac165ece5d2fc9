/*
 * addresses - the addresses of one MX host: A and AAAA asked in parallel, then ordered and filtered
 * by lib/mail/route.  A family that is late does not hold up the other (rfc/dns.md DNS-75).
 * Called by host_lookup, the first half of which it is.
 */
#ifndef WAXSEAL_IO_ADDRESSES_H
#define WAXSEAL_IO_ADDRESSES_H

#include "lib/io/resolver.h"
#include "lib/mail/route.h"
#include "lib/mail/tlsa_walk.h"

struct address_query;

/* Whom to let through: networks of `mx-allow`, or everything for the administrator's own choice. */
struct address_filter {
    const struct network *allow;
    unsigned allow_count;
    const struct settings *listeners; /* whoever connects to one of these at `port` is ... */
    uint16_t port;                    /* ... back at this relay; NULL: nobody asks */
    enum route_families families;
};

struct addresses {
    enum address_verdict verdict;
    struct ip_address list[MX_ADDRESSES_MAX];
    unsigned count;  /* 0 unless the verdict is ADDRESSES_FOUND */
    char reason[80]; /* why they are not known */
    struct host_security security;
};

/* `found` is lent. */
typedef void addresses_done_fn(void *ctx, const struct addresses *found);

/* `done` is called exactly once, from the loop, unless cancelled; then the query frees itself. */
struct address_query *addresses_ask(struct loop *loop, struct resolver *resolver, const char *host,
                                    const struct address_filter *filter, addresses_done_fn *done,
                                    void *ctx);
void addresses_cancel(struct address_query **query);

/* The same filter for one address: of the envelope or the settings, or about to be connected to. */
enum address_verdict address_judge(const struct ip_address *address,
                                   const struct address_filter *filter);

#endif
