/*
 * store_held - why messages are held, and since when.  Called by the store's operations only,
 * inside their transaction; their recipients' rows are theirs to hold (store_rows.h).
 */
#ifndef WAXSEAL_QUEUE_STORE_HELD_H
#define WAXSEAL_QUEUE_STORE_HELD_H

#include "queue/store.h"

struct held_facts {
    struct span reason;
    uint32_t by;     /* the operator's uid + 1; 0: the relay did it itself */
    bool is_damaged; /* some of the message cannot be read */
};

/* Keeps what an earlier hold says of damage. */
struct error *held_put(struct store_txn *txn, uint64_t id,
                       const struct held_facts *facts) MUST_CHECK;
/* Does nothing when it is not held. */
struct error *held_remove(struct store_txn *txn, uint64_t id) MUST_CHECK;

#endif
