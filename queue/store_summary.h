/*
 * store_summary - what waits at each next hop, as JSON for the operator.  Called by control.  Each
 * call is one short read transaction.
 */
#ifndef WAXSEAL_QUEUE_STORE_SUMMARY_H
#define WAXSEAL_QUEUE_STORE_SUMMARY_H

#include "lib/base/json.h"
#include "queue/records.pb-c.h"
#include "queue/store.h"

/*
 * Appends next hops behind *after to an array, in the order of their names, up to `most` or as many
 * as some milliseconds are good for, and leaves the last one's name there; *out_more: there are
 * more.  Rows have next_hop, state ("open", "resting", "suspended"), waiting, the rows by age in
 * minutes ("5", "10", ... "1280", "1280+", as qshape(1) has them, and "unknown"), failures,
 * rests_until, suspended_until and suspended_reason.
 */
struct error *store_summary(struct store *store, char after[HOP_NAME_MAX + 1], size_t most,
                            struct json *array, bool *out_more) MUST_CHECK;

/* Members "hop_state", "rests_until", "suspended_until" and "suspended_reason"; `hop` NULL: there
 * is nothing to know. */
void add_hop_state(struct json *object, const Queue__HopRecord *hop, int64_t now_ms);

/* The members of add_hop_state, and "suspended_by", of one hop; nothing need wait there. */
struct error *store_add_hop(struct store *store, struct span name, struct json *object) MUST_CHECK;

/* The hops that operators suspended, with until, reason and by whom; the first `most` of them, and
 * how many more there are. */
struct error *store_add_suspensions(struct store *store, size_t most, struct json *array,
                                    int64_t *out_more) MUST_CHECK;

#endif
