/*
 * own_address - does an address belong to this machine?  Asked of the kernel each time, for
 * addresses come and go.  Called by queue/deliver, for mail to one of them would come back to us,
 * and by `waxseal check`.
 */
#ifndef WAXSEAL_IO_OWN_ADDRESS_H
#define WAXSEAL_IO_OWN_ADDRESS_H

#include "lib/base/network.h"

bool own_address(const struct ip_address *address);

#endif
