/*
 * store_manage - what the queue itself does to mail that waits: moved to another hop, marked after
 * a worker's death, held, pulled in after a step of the clock; and hops put right.  Called by
 * dispatch, leases' owner and clock_steps.  What operators do stands in store_change.
 */
#ifndef WAXSEAL_QUEUE_STORE_MANAGE_H
#define WAXSEAL_QUEUE_STORE_MANAGE_H

#include "queue/committer.h"
#include "queue/store_rows.h"

/*
 * The clock was stepped back: due times beyond the longest wait are pulled in.  Walks over all
 * recipients in slices of SWEEP_SLICE, one transaction each: while `more` is set after `done`, add
 * it again.
 */
enum { SWEEP_SLICE = 500 };
struct sweep {
    struct operation operation;
    struct row_place next;  /* where to go on */
    struct row_place after; /* where the slice ended, taken over when it is committed */
    bool more;
    size_t changed; /* in this slice */
};
void sweep_prepare(struct sweep *sweep);
/* After a slice was committed. */
void sweep_advance(struct sweep *sweep);

/* Moves recipients whose route is another one now. */
struct move {
    struct operation operation;
    void *ctx;           /* the caller's */
    struct lease *lease; /* the caller's: keeps the rows from being leased meanwhile */
    size_t count;
    struct row_place places[];
};
void move_prepare(struct move *move);

/* Finds a hop's true wake time. */
struct correct {
    struct operation operation;
    char hop[HOP_NAME_MAX + 1];
};
void correct_prepare(struct correct *correct);

/* A worker died while it held these messages. */
enum { DEATHS_SUSPECT = 2, DEATHS_HELD = 3 };
struct deaths {
    struct operation operation;
    size_t count;
    size_t held_count; /* of ids, sorted to the front of `held`: those held now */
    uint64_t *held;    /* room for count */
    uint64_t ids[];
};
struct deaths *deaths_new(const uint64_t *ids, size_t count);
void deaths_free(struct deaths **deaths);

#endif
