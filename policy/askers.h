/*
 * askers - the channels of those who ask for policies: the delivery workers.  Called by the role's
 * entry.  What they ask is checked here; a worker is taken for hostile (design.md section 2).
 */
#ifndef WAXSEAL_POLICY_ASKERS_H
#define WAXSEAL_POLICY_ASKERS_H

#include "policy/domains.h"

struct askers;

struct askers *askers_new(struct loop *loop, struct domains *domains);
/* Before the domains are freed. */
void askers_free(struct askers **askers);

/* A worker's channel; takes the descriptor.  It ends with the worker. */
void askers_attach(struct askers *askers, int fd);

#endif
