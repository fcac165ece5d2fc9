/*
 * explain - answers "deliver explain": what would happen to mail for an address now, next hop by
 * next hop and host by host (design.md section 5).  Called by the role's entry.  Looks and
 * contacts, sends nothing and changes nothing but what a look at DNS and policy changes.  Bounded:
 * so many at a time, so many hosts each, so long.
 */
#ifndef WAXSEAL_QUEUE_DELIVER_EXPLAIN_H
#define WAXSEAL_QUEUE_DELIVER_EXPLAIN_H

#include "queue/deliver/worker.h"

struct role_request;

/* Those under way; for as long as the process lives. */
struct explains;
struct explains *explains_new(struct worker *worker);

/*
 * Takes a request with the arguments `address` (a mailbox or a domain), `sender` (whose mail it is;
 * "<>": the null reverse-path; none: this relay's own) and `offline` ("yes": no host is contacted),
 * and answers it now or later.
 */
void explain_control(struct explains *explains, struct role_request **request);

#endif
