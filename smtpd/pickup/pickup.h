/* pickup - the role of the drop folder: see README.md.  Called by the supervisor. */
#ifndef WAXSEAL_SMTPD_PICKUP_PICKUP_H
#define WAXSEAL_SMTPD_PICKUP_PICKUP_H

#include "lib/ipc/role.h"

int pickup_main(struct role *role);

#endif
