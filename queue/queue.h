/*
 * queue - the role that owns the queue's database: "accepted means kept".  It serves the smtpd
 * instances (streams), the delivery workers (workers) and the operator (control).  The only process
 * that opens the database; it touches no network.  Called by the supervisor's main, in a process of
 * its own, with its working folder in state-dir/queue.
 */
#ifndef WAXSEAL_QUEUE_QUEUE_H
#define WAXSEAL_QUEUE_QUEUE_H

#include "lib/ipc/role.h"

/* Runs the role; gives its exit status. */
int queue_main(struct role *role);

#endif
