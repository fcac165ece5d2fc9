/*
 * store_read - what the store holds, as JSON for the operator.  Called by control.  Each call is
 * one short read transaction.  Bytes from outside are encoded by lib/base/json.
 */
#ifndef WAXSEAL_QUEUE_STORE_READ_H
#define WAXSEAL_QUEUE_STORE_READ_H

#include "lib/base/json.h"
#include "queue/store.h"
#include "queue/waiting.h"

/*
 * Appends a step's matches to an array.  Rows have id, sender, recipient, next_hop, attempts,
 * next_try, last_reply, size, age, state.
 */
struct error *store_list(struct store *store, struct waiting_walk *walk,
                         struct json *array) MUST_CHECK;

/* A message with all its recipients, those that are final included; NULL when nothing is known. */
struct leases;
struct error *store_show(struct store *store, const struct leases *leases, uint64_t id,
                         struct json **out_object) MUST_CHECK;

/* Members of one that waits: where to, when next, its state, and that of its hop. */
void store_add_waiting(struct reading *r, struct json *object,
                       const Queue__RecipientRecord *recipient, enum waiting_state state);
/* Who it was, left out of a removed one that could not be read; false: the row tells nothing. */
bool store_add_final(struct json *row, const Queue__HistoryRecord *record);
/* "delivered", "failed", or "removed". */
const char *store_final_state(const Queue__HistoryRecord *record);

/* How much there is: members of an object.  Takes the same time whatever there is. */
struct error *store_add_counts(struct store *store, struct json *object) MUST_CHECK;

#endif
