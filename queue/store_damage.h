/*
 * store_damage - sets aside what cannot be read: recipients of a message of which some record or
 * chunk fails its checksum are held, so that nobody tries them again and the rest of the queue goes
 * on.  Nothing is thrown away but rows of `due`.  Called by dispatch_jobs and workers.
 */
#ifndef WAXSEAL_QUEUE_STORE_DAMAGE_H
#define WAXSEAL_QUEUE_STORE_DAMAGE_H

#include "queue/committer.h"
#include "queue/records.h"
#include "queue/removals.h"
#include "queue/store_rows.h"

struct damaged_place {
    uint32_t number;
    bool is_delivered; /* so it must not be sent again, whatever becomes of the rest */
};

struct damage {
    struct operation operation;
    void *ctx;           /* the caller's */
    struct lease *lease; /* the caller's: keeps the rows from being leased meanwhile */
    bool hop_failed;     /* the caller's */
    uint64_t id;
    bool is_over;               /* nothing of it waits any more, so that nothing is held */
    const char *why;            /* lives on */
    char hop[HOP_NAME_MAX + 1]; /* where the rows wait; "": it is not known */
    size_t count;
    struct damaged_place places[];
};

/* With room for `count` places, which the caller fills in; it frees the damage. */
struct damage *damage_new(uint64_t id, struct span hop, const char *why, size_t count);

/*
 * Removes a recipient that cannot be read, and its message with the last one; of a message that
 * cannot be read all: an operator says so.  Adds whom it removed, here and to the history.
 */
struct history_act;
struct error *damaged_remove(struct store_txn *txn, struct row_place at,
                             const struct history_act *act, struct removals *removals) MUST_CHECK;

/* The log's line, once it is committed. */
void damage_log(const struct damage *damage);

#endif
