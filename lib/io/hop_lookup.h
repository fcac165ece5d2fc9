/*
 * hop_lookup - does a next hop that the settings name lead anywhere?  Its MX records, where those
 * count, then the addresses of its hosts, best first, until one has some.  Called by `waxseal
 * check`; what is asked is what a delivery asks (lib/mail/route, lib/io/addresses), policies and
 * TLSA records apart.
 */
#ifndef WAXSEAL_IO_HOP_LOOKUP_H
#define WAXSEAL_IO_HOP_LOOKUP_H

#include "lib/io/addresses.h"

struct hop_lookup;

struct hop_question {
    struct span name; /* lent for the call */
    bool by_mx;
    enum route_families families;
    const char *own_name; /* lent until the end; an MX that bears it is this relay */
};

struct hop_answer {
    enum route_verdict route;
    enum address_verdict addresses; /* with ROUTE_FOUND: of the hosts together */
    bool in_doubt;                  /* DNS did not tell the addresses of a host before that one */
    bool is_implicit;               /* the hosts are the name itself, not those of MX records */
    const struct addresses *found;  /* with ADDRESSES_FOUND: those of the best host that has any */
};

/* `answer` is lent. */
typedef void hop_lookup_done_fn(void *ctx, const struct hop_answer *answer);

/* `done` is called exactly once, from the loop, unless cancelled; then the lookup frees itself. */
struct hop_lookup *hop_lookup_start(struct loop *loop, struct resolver *resolver,
                                    const struct hop_question *question, hop_lookup_done_fn *done,
                                    void *ctx);
void hop_lookup_cancel(struct hop_lookup **lookup); /* NULL: nothing to do */

#endif
