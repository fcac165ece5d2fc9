/*
 * waiting - walks over the recipients that wait, with their messages, as far as a filter matches.
 * Called by control for lists, counts, and the rows that a command is about.  A walk is one short
 * read transaction: it ends after so many matches or some milliseconds, whichever comes first, and
 * says where to go on, so that a million rows cost many small steps and no memory.
 */
#ifndef WAXSEAL_QUEUE_WAITING_H
#define WAXSEAL_QUEUE_WAITING_H

#include "queue/filter.h"
#include "queue/leases.h"
#include "queue/reading.h"
#include "queue/store_rows.h"

/* One recipient, lent for the call. */
struct waiting {
    struct row_place at;
    const Queue__RecipientRecord *recipient; /* NULL: damaged, or its message's record is */
    const Queue__MessageRecord *message;
    const Queue__HeldRecord *held; /* of the message; NULL: this recipient is not held */
    enum waiting_state state;
};

struct waiting_walk {
    const struct filter *filter;
    const struct leases *leases; /* who is with a worker; NULL: nobody */
    struct row_place place;      /* where to begin; behind it: where to go on */
    size_t most;                 /* matches */
    bool more;
};

/* Those without a record come with filters that name nothing but an id and that state. */
typedef void waiting_fn(void *ctx, struct reading *r, const struct waiting *waiting);
struct error *waiting_walk(struct store *store, struct waiting_walk *walk, waiting_fn *each,
                           void *ctx) MUST_CHECK;

/* `is_damaged`: as reading_is_damaged says. */
enum waiting_state waiting_state_of(const Queue__RecipientRecord *recipient, bool is_damaged,
                                    bool is_delivering);

#endif
