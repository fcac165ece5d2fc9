/*
 * operator - answers what an operator asks of policies: `policy show`, `list`, `counts`, `export`,
 * and does what an operator wants: `policy refresh`, `drop`, `import`.  Called by the role's entry.
 */
#ifndef WAXSEAL_POLICY_OPERATOR_H
#define WAXSEAL_POLICY_OPERATOR_H

#include "policy/socketmap.h"

struct role_request;

/* Takes the request, and answers it now or when the fetch has ended. */
void operator_control(struct sts_cache *cache, struct domains *domains,
                      const struct socketmap *socketmap, struct role_request **request);

#endif
