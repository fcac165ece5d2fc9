/*
 * control_hops - the operator's requests about a next hop: it is suspended, and resumed; and which
 * one mail is rerouted to.  Called by control and control_changes.  A name is read as people write
 * it (next_hop_read), and a suspension of a name that no mail could wait under is refused.
 */
#ifndef WAXSEAL_QUEUE_CONTROL_HOPS_H
#define WAXSEAL_QUEUE_CONTROL_HOPS_H

#include "queue/control.h"

void control_suspend(struct control *control, struct role_request *request);
void control_resume(struct control *control, struct role_request *request);

/* What keeps mail waiting at a next hop now: the hop, as store_add_hop has it, and "delivery" ("on"
 * or "hold", as in the settings). */
void control_hop(struct control *control, struct role_request *request);

/* The hop that mail is to be rerouted to: "route:NAME", "to:SPEC" or "relayhost". */
struct error *control_hop_to_go_to(const struct settings *settings, struct span to,
                                   char name[HOP_NAME_MAX + 1]) MUST_CHECK;

#endif
