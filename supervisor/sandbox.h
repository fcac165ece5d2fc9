/*
 * sandbox - takes from a role what it does not need, in two steps: in the child before it executes
 * itself, and at the start of the role.  Called by process.c, roles.c and
 * the commands that open a stopped relay's queue.
 */
#ifndef WAXSEAL_SUPERVISOR_SANDBOX_H
#define WAXSEAL_SUPERVISOR_SANDBOX_H

#include "lib/base/error.h"

#include <stdbool.h>
#include <sys/types.h>

/* Whom the roles run as; `drop` only when the supervisor runs as root. */
struct sandbox_user {
    bool drop;
    uid_t uid;
    gid_t gid;
};

/* Finds the user to drop to; the one we are unless we are root. */
struct error *sandbox_find_user(const char *name, struct sandbox_user *out_user) MUST_CHECK;

/* Gives up root for that user, for good; nothing when we are not root.  Gives an errno, or 0. */
int sandbox_drop(const struct sandbox_user *user);

/* Descriptors as many as the system lets us have; called once by the supervisor. */
void sandbox_raise_limits(void);

/*
 * In the child, between fork and exec: keeps descriptors 0 to 2 and `channel`, which becomes
 * SANDBOX_CHANNEL_FD, gives up the user, all groups and the right to get privileges back, and sets
 * limits.  The working directory becomes `folder` in the directory `state_dir`, or / when it is
 * NULL.  Returns an errno, 0 for success; allocates nothing.
 */
enum { SANDBOX_CHANNEL_FD = 3 };
int sandbox_enter(const struct sandbox_user *user, int state_dir, const char *folder, int channel);

/* In the role: names the process, no core files, no ptrace by equals. */
void sandbox_confine(const char *title);

#endif
