/*
 * control_changes - the operator's requests that change what waits, one recipient or a million:
 * hold, release, retry, bounce, remove, reroute; and "queue count", which only says how many that
 * would be.  A change walks over the rows a slice at a time, each slice a short transaction, so
 * deliveries go on beside it and memory does not depend on how many there are.  It ends between two
 * slices when its asker went away: what was changed stays so.  Called by control.
 */
#ifndef WAXSEAL_QUEUE_CONTROL_CHANGES_H
#define WAXSEAL_QUEUE_CONTROL_CHANGES_H

#include "queue/control.h"
#include "queue/store_change.h"

/*
 * Of all the changes that are asked for one is under way; the others wait for it.  What is with a
 * worker is taken back if nothing of it was begun; else it is left, and counted as "delivering".
 */
void control_change(struct control *control, struct role_request *request, enum change_kind kind);
void control_count(struct control *control, struct role_request *request);

/* The role ends: nothing is answered any more.  After the committer has ended. */
void control_changes_end(struct control *control);

#endif
