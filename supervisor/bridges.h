/*
 * bridges - container bridges among the networks that may relay: what comes in through a published
 * port may bear the bridge's own address, and then everybody is in that network.
 * Called by `waxseal check`.
 */
#ifndef WAXSEAL_SUPERVISOR_BRIDGES_H
#define WAXSEAL_SUPERVISOR_BRIDGES_H

#include "lib/base/settings.h"

/* Is an interface of this name one that container or virtual machine software makes? */
bool bridge_is_name(const char *interface);

/* Called for each bridge of this machine whose own address may relay at a listener. */
typedef void bridges_fn(void *ctx, unsigned listener, const char *interface,
                        const struct ip_address *address);
void bridges_visit(const struct settings *settings, bridges_fn *visit, void *ctx);

#endif
