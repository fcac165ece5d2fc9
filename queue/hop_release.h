/*
 * hop_release - a next hop that failed is back: its mail is released, slice after slice, beside
 * everything else.  Called by workers.
 */
#ifndef WAXSEAL_QUEUE_HOP_RELEASE_H
#define WAXSEAL_QUEUE_HOP_RELEASE_H

#include "queue/dispatch.h"

/* Goes on by itself; what it does not reach before the process ends goes at its own time. */
void hop_release(struct dispatch *dispatch, struct committer *committer, struct span hop);

#endif
