/*
 * route_check - what `waxseal check` says of routes beyond their form: names that nobody has,
 * routes that no mail reaches, next hops that do not resolve or are ourselves, and, without
 * failing, each route that weakens what the policy of a recipient's domain would ask.  Called by
 * the command alone: at run time mail waits for a next hop that does not resolve.
 */
#ifndef WAXSEAL_SUPERVISOR_ROUTE_CHECK_H
#define WAXSEAL_SUPERVISOR_ROUTE_CHECK_H

#include "lib/base/error.h"
#include "lib/base/settings.h"
#include "smtpd/auth/users.h"

#include <limits.h>

enum route_finding { ROUTE_FAULT, ROUTE_WARNING, ROUTE_NOTE };

/* `member` of the entry of `routes` is what it is about; of ROUTE_NONE: the setting itself. */
#define ROUTE_NONE UINT_MAX
typedef void route_check_fn(void *ctx, enum route_finding finding, unsigned route,
                            const char *member, const char *sentence);

/* `users`: those of users-file; NULL: who can log in is not known.  Pure. */
void route_check_names(const struct settings *settings, const struct users *users,
                       route_check_fn *say, void *ctx);
/* Hosts that the route's own `families` leave out.  Pure. */
void route_check_families(const struct settings *settings, route_check_fn *say, void *ctx);
void route_check_policies(const struct settings *settings, route_check_fn *say, void *ctx);

/* Hosts in brackets that are listeners of these settings.  Asks the kernel for a wildcard's. */
void route_check_loops(const struct settings *settings, route_check_fn *say, void *ctx);

/*
 * Looks all next hops up, some at a time and for some seconds at most: each name once, told of at
 * each route that uses it.
 */
void route_check_lookups(const struct settings *settings, struct span resolv_conf,
                         route_check_fn *say, void *ctx);

/* Are the source addresses of routes ours just now?  Asks the kernel. */
void route_check_sources(const struct settings *settings, route_check_fn *say, void *ctx);

/* The host or domain that a next hop's DNS is asked for; false: it is an address. */
bool route_check_name_of(struct span spec, struct span *out_name, bool *out_by_mx);

#endif
