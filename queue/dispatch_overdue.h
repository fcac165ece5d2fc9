/*
 * dispatch_overdue - a next hop that fails is tried with one message at a time, so that it costs no
 * worker's time.  What that attempt found holds for the others that are due there: those whose life
 * is over end with its words, and of those that wait too long their senders hear.  All others wait
 * as they did.  Called by dispatch alone.  Owns the hop's `overdue`.
 */
#ifndef WAXSEAL_QUEUE_DISPATCH_OVERDUE_H
#define WAXSEAL_QUEUE_DISPATCH_OVERDUE_H

#include "queue/dispatch_jobs.h"

struct overdue; /* what the attempt found, and how far the hop's rows were looked at */

/* An attempt of this outcome failed; NULL: it tells nothing of others. */
struct overdue *overdue_new(const Ipc__Outcome *outcome);
void overdue_free(struct overdue **overdue);

struct overdue_visit {
    struct job_loader *jobs;
    struct due_walk *walk;
    dispatch_settle_fn *settle;
    void *ctx;
    unsigned given;
};
/* Looks at a few hundred rows of the hop; frees its `overdue` when it has seen all. */
struct error *overdue_visit(struct overdue_visit *visit, struct hop *hop) MUST_CHECK;

#endif
