/*
 * smtpd - the role that clients talk to: listeners, admission, and a session for every client.
 * Started by the supervisor.  Touches clients' bytes and TLS server keys; never the disk, the
 * internet or another store (design.md section 2).
 */
#ifndef WAXSEAL_SMTPD_SMTPD_H
#define WAXSEAL_SMTPD_SMTPD_H

#include "lib/ipc/role.h"

/* The memory that its processes share (smtpd/counters, smtpd/rates). */
enum { SMTPD_SHARED_SIZE = 5 * 1024 * 1024 };

/* The role's entry; gives its exit status. */
int smtpd_main(struct role *role);

#endif
