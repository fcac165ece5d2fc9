/*
 * deliver - role entry: one delivery worker.  Takes jobs from the queue, carries them to remote
 * hosts, says what came of them, and keeps each outcome until the queue has acknowledged it.
 * Touches DNS and remote MX hosts, never the disk (design.md section 2).
 */
#ifndef WAXSEAL_QUEUE_DELIVER_DELIVER_H
#define WAXSEAL_QUEUE_DELIVER_DELIVER_H

struct role;

/* Serves until the role ends; gives the exit status. */
int deliver_main(struct role *role);

#endif
