/*
 * own_address - does an address belong to this machine?  Asked of the kernel each time, for
 * addresses come and go.  Called by own_listener, by tlsrpt/post, for a stranger must not choose
 * one of them, and by `waxseal check`.
 */
#ifndef WAXSEAL_IO_OWN_ADDRESS_H
#define WAXSEAL_IO_OWN_ADDRESS_H

#include "lib/base/network.h"

/* One that cannot be connected to now is not known as ours. */
bool own_address(const struct ip_address *address);

#endif
