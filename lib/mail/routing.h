/*
 * routing - where a recipient's mail goes: the first route of the settings of which all conditions
 * hold; else the relayhost; else the MX of the recipient's domain.  Called by the queue when it
 * accepts and at each lease, by smtpd at RCPT, by workers to find the route of a hop name, and by
 * the commands.  Pure.
 */
#ifndef WAXSEAL_MAIL_ROUTING_H
#define WAXSEAL_MAIL_ROUTING_H

#include "lib/mail/next_hop.h"

struct routing_facts {
    struct span domain;        /* of the forward-path, or its literal */
    struct span sender_domain; /* of the reverse-path; empty for the null one */
    struct span listener;      /* what it is called (listener_settings_label) */
    struct span user;          /* who logged in; "local:1000": a user of this machine */
    struct span override;      /* the hop name that an operator chose; empty: none */
};

/* `route` is lent from the settings; NULL: none says anything about this mail. */
struct routing {
    char hop[HOP_NAME_MAX + 1];
    const struct route_settings *route;
};

/* Where it goes.  An override counts as long as its route, or the relayhost, is there. */
void routing_choose(const struct settings *settings, const struct routing_facts *facts,
                    struct routing *out);

/* Where mail for a domain goes that is of no sender, listener or user that a route asks for. */
void routing_of_most(const struct settings *settings, struct span domain, struct routing *out);

/*
 * Visits the routes, in front of the one that routing_choose finds, by which mail of the same
 * sender to the same domain would go if it came in by a certain listener, or from a certain user.
 * Begins with *at = 0; NULL behind the last.
 */
const struct route_settings *routing_next_other(const struct settings *settings,
                                                const struct routing_facts *facts, unsigned *at);

/* The route of that name; NULL: there is none any more. */
const struct route_settings *routing_route(const struct settings *settings, struct span name);

/* The route that a hop name is of; NULL: of none, or it is not there any more. */
const struct route_settings *routing_of_hop(const struct settings *settings, struct span hop);

/* The enhanced status and the words of an error route. */
void routing_error(const struct route_settings *route, struct span *out_status,
                   struct span *out_words);

#endif
