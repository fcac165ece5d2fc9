/*
 * auth - role entry: who is this client?  Holds the users file, tells smtpd yes or no.  Called by
 * the role table only.
 */
#ifndef WAXSEAL_SMTPD_AUTH_AUTH_H
#define WAXSEAL_SMTPD_AUTH_AUTH_H

#include "lib/ipc/role.h"

int auth_main(struct role *role);

#endif
