/*
 * store_read - what the store holds, as JSON for the operator.  Called by control.  Each call is
 * one short read transaction.  Bytes from outside are encoded by lib/base/json.
 */
#ifndef WAXSEAL_QUEUE_STORE_READ_H
#define WAXSEAL_QUEUE_STORE_READ_H

#include "lib/base/json.h"
#include "queue/store.h"
#include "queue/store_rows.h"

/*
 * Appends up to `most` waiting recipients from *place on to an array, and moves *place behind them;
 * *out_more: there are more.  Rows have id, sender, recipient, next_hop, attempts, next_try,
 * last_reply, size, age, state.
 */
struct error *store_list(struct store *store, struct row_place *place, size_t most,
                         struct json *array, bool *out_more) MUST_CHECK;

/* A message with all its recipients, those that are final included; NULL when nothing is known. */
struct error *store_show(struct store *store, uint64_t id, struct json **out_object) MUST_CHECK;

#endif
