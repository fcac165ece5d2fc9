/*
 * route - from DNS answers to the ordered MX candidates of a next hop (RFC 5321 s.5.1, RFC 7505,
 * rfc/smtp-client.md section 1).  Pure: randomness comes in as numbers.
 */
#ifndef WAXSEAL_MAIL_ROUTE_H
#define WAXSEAL_MAIL_ROUTE_H

#include "lib/mail/dns_message.h"

struct mx_candidate {
    char name[DOMAIN_MAX + 1];
    uint16_t preference;
    bool implicit; /* the domain itself, for want of MX records */
};

enum route_verdict {
    ROUTE_FOUND,
    ROUTE_NO_DOMAIN, /* NXDOMAIN: 5.1.2 */
    ROUTE_NULL_MX,   /* 5.1.10 (RFC 7505) */
    ROUTE_LOOP,      /* only ourselves: 5.4.6 */
    ROUTE_NO_HOST,   /* MX records, none of them usable as a name: 5.4.4 */
    ROUTE_TEMPFAIL,  /* 4.4.3 */
};

struct route {
    enum route_verdict verdict;
    struct mx_candidate candidates[MX_NAMES_MAX]; /* best first */
    unsigned count;
    unsigned left_out;             /* further names, no better than these */
    bool secure;                   /* the MX answer was, also when it said that there is none */
    bool in_doubt;                 /* nobody can say whether it was (dns_answer) */
    char expanded[DOMAIN_MAX + 1]; /* where the domain is an alias: the end of it; else "" */
    char reason[128];              /* for people */
};

/*
 * `own_names`: our host names; a candidate that bears one cuts itself and all of equal or worse
 * preference (loop guard).  `shuffle` is called with n and gives a number below n (random_below).
 */
void route_from_mx(const struct dns_answer *mx, struct span domain, const char *const *own_names,
                   unsigned own_name_count, uint64_t (*shuffle)(uint64_t bound), struct route *out);

enum address_verdict {
    ADDRESSES_FOUND,
    ADDRESSES_NONE,    /* both families: no such name or no data */
    ADDRESSES_REFUSED, /* all were internal (pitfalls.md section 7.9) */
    ADDRESSES_OWN,     /* one is ours: mail to this candidate, or to a worse one, would loop */
    ADDRESSES_TEMPFAIL,
};

/*
 * The addresses of one candidate, ordered and filtered: at most MX_ADDRESSES_MAX, half of each
 * family where both exist, interleaved, IPv6 first.  `allow`: networks that pass the filter.
 */
enum address_verdict route_addresses(const struct dns_answer *a, const struct dns_answer *aaaa,
                                     const struct network *allow, unsigned allow_count,
                                     struct ip_address out[MX_ADDRESSES_MAX], unsigned *out_count);

/* The same filter for one address: internal ones only where `allow` has them. */
bool route_lets_through(const struct ip_address *address, const struct network *allow,
                        unsigned allow_count);

#endif
