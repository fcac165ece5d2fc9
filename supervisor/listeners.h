/* listeners - the sockets on which clients connect: bound by the supervisor, served by smtpd. */
#ifndef WAXSEAL_SUPERVISOR_LISTENERS_H
#define WAXSEAL_SUPERVISOR_LISTENERS_H

#include "lib/base/error.h"
#include "lib/base/network.h"

/*
 * A listening socket at `address`: another descriptor of `have`, or a new one when that is -1.
 * *out_fd is -1 without an error where IPv6 loopback is asked for and this machine has no IPv6.
 */
struct error *listener_open(const struct endpoint *address, int have, int *out_fd) MUST_CHECK;

#endif
