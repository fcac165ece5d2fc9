/*
 * sign - the role that holds the DKIM keys and signs header blocks for the queue; it does nothing
 * else (design.md section 2).  Called by the supervisor's role table.
 */
#ifndef WAXSEAL_QUEUE_SIGN_SIGN_H
#define WAXSEAL_QUEUE_SIGN_SIGN_H

#include "lib/ipc/role.h"

int sign_main(struct role *role);

#endif
