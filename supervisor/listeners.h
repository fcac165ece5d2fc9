/*
 * listeners - the sockets on which clients connect: bound by the supervisor, served by smtpd; and
 * those on which other mail systems ask for policies, served by policy, and tell of their sessions,
 * served by tlsrpt.
 * Called by supervisor/handover.
 */
#ifndef WAXSEAL_SUPERVISOR_LISTENERS_H
#define WAXSEAL_SUPERVISOR_LISTENERS_H

#include "lib/base/error.h"
#include "lib/base/settings.h"

/* All sockets under one set of settings, which are lent.  A plain value, all of it its owner's. */
struct listeners {
    const struct settings *settings;
    int fds[SETTINGS_SOCKETS_MAX]; /* by their numbers (lib/base/settings.h); -1: there is none */
};

void listeners_init(struct listeners *listeners, const struct settings *settings);
void listeners_close(struct listeners *listeners);

/*
 * Opens those at addresses of the network.  A socket that `old` (or NULL) has already is another
 * descriptor of the same.  IPv6 loopback is passed over where this machine has no IPv6, and so is
 * the default of `socketmap` where it cannot be had: nobody has asked for it.
 */
struct error *listeners_open(struct listeners *listeners, const struct listeners *old) MUST_CHECK;

/* Opens the Unix sockets, of listeners, of local submission and the like; their folders must be
 * there. */
struct error *listeners_open_unix(struct listeners *listeners,
                                  const struct listeners *old) MUST_CHECK;

#endif
