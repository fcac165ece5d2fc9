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

/*
 * Appends up to `most` next hops behind *after to an array, in the order of their names, and leaves
 * the last one's name there; *out_more: there are more.  Rows have next_hop, waiting, the rows by
 * age in minutes ("5", "10", ... "1280", "1280+", as qshape(1) has them, and "unknown"), failures,
 * rests_until.
 */
struct error *store_summary(struct store *store, char after[HOP_NAME_MAX + 1], size_t most,
                            struct json *array, bool *out_more) MUST_CHECK;

/* How much there is: members of an object.  Takes the same time whatever there is. */
struct error *store_add_counts(struct store *store, struct json *object) MUST_CHECK;

#endif
