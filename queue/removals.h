/*
 * removals - whom an operator removed: remembered by the store's operations (store_change,
 * store_damage) inside their transaction, for the lines of the log that follow its commit.
 */
#ifndef WAXSEAL_QUEUE_REMOVALS_H
#define WAXSEAL_QUEUE_REMOVALS_H

#include "queue/records.pb-c.h"
#include "queue/store.h"

struct removal {
    uint64_t id;
    char *recipient;  /* owned; "" where it could not be read any more */
    int64_t delay_ms; /* since acceptance; -1: it is not known */
};

/* All zero is none. */
struct removals {
    struct removal *all;
    size_t count;
    size_t room;
};

/* What could not be read of it is NULL. */
void removals_add(struct removals *removals, const struct store_txn *txn, uint64_t id,
                  const Queue__MessageRecord *message, const Queue__RecipientRecord *recipient);
/* None of them happened, or all of it is over. */
void removals_clear(struct removals *removals);

#endif
