/*
 * dispatch_jobs - makes a job of due rows of a hop: reads what it is about, and leases the rows.
 * Rows that cannot be a job are leased to nobody: those that have another route now are moved,
 * damaged ones are set aside.  Called by dispatch alone, within one read transaction.
 */
#ifndef WAXSEAL_QUEUE_DISPATCH_JOBS_H
#define WAXSEAL_QUEUE_DISPATCH_JOBS_H

#include "queue/dispatch.h"
#include "queue/due_walk.h"

/* What jobs are made from in one run of dispatch; all of it is lent. */
struct job_loader {
    struct dispatch *dispatch; /* where moved rows come back to */
    const struct dispatch_parts *parts;
    struct kv_txn *txn;
    struct arena *arena; /* reset for each job */
    const struct schedule *schedule;
    int64_t now_ms;
};

/* The facts are lent until the next job; false: it cannot be one, and its rows are leased. */
bool job_load(struct job_loader *loader, struct hop *hop, const struct due_group *group,
              struct job_facts *out_facts);
/* A new lease on the rows, which has no holder yet. */
struct lease *job_lease(const struct job_loader *loader, struct hop *hop,
                        const struct due_group *group);

#endif
