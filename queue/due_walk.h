/*
 * due_walk - reads the order in which mail waits: the next group of rows of a hop that are due and
 * with nobody.  Called by dispatch, within one read transaction.  Classes in turn, buckets in turn
 * within a class, times in order within a bucket.
 */
#ifndef WAXSEAL_QUEUE_DUE_WALK_H
#define WAXSEAL_QUEUE_DUE_WALK_H

#include "lib/io/kv.h"
#include "queue/dispatch_hops.h"
#include "queue/leases.h"

struct due_walk {
    struct kv_cursor *cursor; /* over TABLE_DUE */
    const struct leases *leases;
    int64_t now_ms;
    int64_t next_ms; /* the earliest row seen that is not due yet; INT64_MAX: none */
};

/* Recipients of one message that are due together. */
struct due_group {
    struct due first; /* its hop is lent from the walked hop */
    unsigned count;
    uint32_t numbers[RECIPIENTS_PER_JOB_MAX];
};

/* Gives false when nothing of these classes is due and free.  The hop's turn moves on. */
struct error *due_walk_next(struct due_walk *walk, struct hop *hop, struct due_group *out,
                            bool *out_found) MUST_CHECK;
/* The first group at or behind `from`, whatever its class but DUE_SUSPECT; `from` moves behind it,
 * and nothing of the hop's turns. */
struct error *due_walk_from(struct due_walk *walk, const struct hop *hop, struct due *from,
                            struct due_group *out, bool *out_found) MUST_CHECK;
/* The same of one class: for what goes though the hop rests; for what must be tried alone. */
struct error *due_walk_lenient(struct due_walk *walk, struct hop *hop, struct due_group *out,
                               bool *out_found) MUST_CHECK;
struct error *due_walk_suspect(struct due_walk *walk, struct hop *hop, struct due_group *out,
                               bool *out_found) MUST_CHECK;

#endif
