/*
 * store_trace - a message's whole life, as JSON for the operator: how it came, and for each
 * recipient every attempt with its decision, what operators did, what the sender was told, and the
 * end; as far as the history goes back.  Called by control.  One short read transaction.
 */
#ifndef WAXSEAL_QUEUE_STORE_TRACE_H
#define WAXSEAL_QUEUE_STORE_TRACE_H

#include "lib/base/json.h"
#include "queue/store.h"

/* NULL when nothing is known of such a message. */
struct leases;
struct error *store_trace(struct store *store, const struct leases *leases, uint64_t id,
                          struct json **out_object) MUST_CHECK;

#endif
