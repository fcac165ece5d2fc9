/*
 * store_held - why messages are held, and since when.  Called by the store's operations only,
 * inside their transaction; their recipients' rows are theirs to hold (store_rows.h).
 */
#ifndef WAXSEAL_QUEUE_STORE_HELD_H
#define WAXSEAL_QUEUE_STORE_HELD_H

#include "queue/records.pb-c.h"
#include "queue/store.h"

struct held_facts {
    struct span reason;
    uint32_t by;     /* the operator's uid + 1; 0: the relay did it itself */
    bool is_damaged; /* some of the message cannot be read */
};

/* Keeps what an earlier hold says of damage; where damage or the relay's own hold comes to an
 * operator's, or a hold to damage, the reason says both, and that it is the operator's stays. */
struct error *held_put(struct store_txn *txn, uint64_t id,
                       const struct held_facts *facts) MUST_CHECK;
/*
 * Of a message that was held elsewhere, as its record there says; NULL: there is none that can be
 * read.  All of the message was read, so that nothing of it is damaged here.
 */
struct error *held_restore(struct store_txn *txn, uint64_t id,
                           const Queue__HeldRecord *before) MUST_CHECK;
/* Is it held for nothing but damage?  Then what can be read whole after all is held no more. */
bool held_is_damage_alone(const Queue__HeldRecord *record);
/* NULL when it is not held, or the record cannot be read. */
struct error *held_get(struct store_txn *txn, uint64_t id,
                       Queue__HeldRecord **out_record) MUST_CHECK;
/* Does nothing when it is not held. */
struct error *held_remove(struct store_txn *txn, uint64_t id) MUST_CHECK;

#endif
