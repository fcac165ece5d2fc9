/*
 * strangers - addresses under which anybody may come, among the networks that relay: those of
 * proxies, which other listeners name, and in a container that of its default gateway, which is
 * what clients of a published port bear.  Relaying for them by address alone is an open relay.
 * Called by `waxseal check` and when the relay starts or reloads.
 */
#ifndef WAXSEAL_SUPERVISOR_STRANGERS_H
#define WAXSEAL_SUPERVISOR_STRANGERS_H

#include "lib/base/settings.h"

enum { GATEWAYS_MAX = 8 };

/* What is known of this host. */
struct strangers_facts {
    bool in_container;
    struct ip_address gateways[GATEWAYS_MAX]; /* of the default routes */
    unsigned gateway_count;
};

/* The routes as /proc/net/route and /proc/net/ipv6_route have them; what is no route is no fault.
 */
void strangers_take_routes(struct strangers_facts *facts, struct span ipv4, struct span ipv6);

/* Called with each entry of relay-from that is too much, or (is_fault false) perhaps. */
typedef void strangers_fn(void *ctx, unsigned listener, bool is_fault, const char *sentence);
void strangers_judge(const struct settings *settings, const struct strangers_facts *facts,
                     strangers_fn *visit, void *ctx);

/* The same with the facts of this host. */
void strangers_visit(const struct settings *settings, strangers_fn *visit, void *ctx);

#endif
