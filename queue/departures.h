/*
 * departures - what becomes of the leases that a worker had when it went: a dead one's messages are
 * marked, for one of them may have killed it (design.md section 2); one that was told to end has
 * not died of its mail.  Called by workers, before the worker is freed; no lease has a holder
 * afterwards.  Leases whose outcome is on its way to disk end when it is there.
 */
#ifndef WAXSEAL_QUEUE_DEPARTURES_H
#define WAXSEAL_QUEUE_DEPARTURES_H

#include "queue/committer.h"
#include "queue/dispatch.h"

/* `leases` is the worker's list, by `of_worker`; it is empty afterwards. */

/* It died: its messages are marked, those that three workers died of are held, the others are due
 * when that is committed. */
void departure_bury(struct dispatch *dispatch, struct committer *committer, struct list *leases);
/* It was told to end: what it still held is due as before. */
void departure_take_back(struct dispatch *dispatch, struct list *leases);
/* The process ends, and the leases with it. */
void departure_let_go(struct list *leases);

#endif
