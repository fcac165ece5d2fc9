/*
 * history_sweep - removes from the history what is older than history-days: a pass every hour, in
 * slices with a pause between them.  Called by queue.
 */
#ifndef WAXSEAL_QUEUE_HISTORY_SWEEP_H
#define WAXSEAL_QUEUE_HISTORY_SWEEP_H

#include "queue/committer.h"

struct history_sweep;

struct history_sweep *history_sweep_new(struct loop *loop, struct committer *committer);
/* After the committer has ended: a slice may be with it. */
void history_sweep_free(struct history_sweep **sweep);

#endif
