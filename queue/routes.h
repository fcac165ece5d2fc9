/*
 * routes - routes as the queue's records know them: which one a recipient's mail takes, and what
 * comes of mail that a route ends (discard, error) without any worker.  Called by the store's
 * operations and by dispatch.  Pure but for memory.
 */
#ifndef WAXSEAL_QUEUE_ROUTES_H
#define WAXSEAL_QUEUE_ROUTES_H

#include "lib/mail/envelope.h"
#include "queue/leases.h"
#include "queue/records.pb-c.h"
#include "queue/schedule.h"

/* What routes are chosen by; lent from the records. */
struct routing_facts routes_facts(const Ipc__Envelope *envelope,
                                  const Queue__RecipientRecord *recipient);
/* The same of a mailbox that is asked about within a transaction; `envelope` may be NULL. */
struct routing_facts routes_facts_of_ask(const Ipc__Envelope *envelope,
                                         const struct address *mailbox);
/* The same of an envelope that was just accepted. */
struct routing_facts routes_facts_of_new(const struct envelope *envelope,
                                         const struct address *forward_path);

/* Does this route end mail by itself?  NULL: there is no route. */
bool routes_end(const struct route_settings *route);

/* What comes of the lease's recipients by a route that ends them: as a worker would send it. */
Ipc__Outcome *routes_outcome(const struct route_settings *route, const struct lease *lease,
                             int64_t now_ms);

#endif
