/*
 * store_history - decision records of recipients that are final, oldest dropped first beyond their
 * own quota.  Called by the store's operations.
 */
#ifndef WAXSEAL_QUEUE_STORE_HISTORY_H
#define WAXSEAL_QUEUE_STORE_HISTORY_H

#include "queue/records.pb-c.h"
#include "queue/store.h"

struct history_facts {
    uint64_t id;
    const Queue__MessageRecord *message;
    const Queue__RecipientRecord *recipient;
    Ipc__Result *result;     /* both lent; protobuf-c has no const */
    Ipc__Decision *decision; /* or NULL */
};
struct error *history_put(struct store_txn *txn, const struct history_facts *facts) MUST_CHECK;

#endif
