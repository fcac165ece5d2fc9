/*
 * next_hop - the names by which queue, workers and commands call where mail goes:
 *
 *   example.net  [192.0.2.1]   a mail domain's MX, or an address literal: no route said otherwise
 *   relayhost                  the relayhost of the settings
 *   route:NAME                 a route whose mail all goes the same way
 *   route:NAME/example.net     a domain's MX, or a literal, under a route of its own
 *   to:SPEC                    an operator's choice, in a form of `relayhost`
 *
 * They are keys of the queue's database, so they are compared byte by byte: domains and hosts in
 * them are in the form of lib/mail/domain, and none of these forms can be taken for another.  Pure.
 */
#ifndef WAXSEAL_MAIL_NEXT_HOP_H
#define WAXSEAL_MAIL_NEXT_HOP_H

#include "lib/base/limits.h"
#include "lib/base/settings.h"
#include "lib/base/span.h"

enum next_hop_kind {
    NEXT_HOP_DOMAIN,
    NEXT_HOP_RELAYHOST,
    NEXT_HOP_ROUTE,
    NEXT_HOP_ROUTE_DOMAIN,
    NEXT_HOP_SPEC,
};

enum {
    NEXT_HOP_DOMAIN_MAX = DOMAIN_MAX + 2, /* a literal has brackets */
    /* "route:", a name, "/" and a domain */
    HOP_NAME_MAX = 6 + SETTINGS_LABEL_SIZE - 1 + 1 + NEXT_HOP_DOMAIN_MAX,
};

struct next_hop {
    enum next_hop_kind kind;
    struct span route;  /* its name, with both kinds of route */
    struct span target; /* the domain or literal; SPEC */
};

/* Takes a name apart, which lends the parts; false: it is none. */
bool next_hop_parse(struct span name, struct next_hop *out);

/* The name that somebody means who writes its domain or host in capitals, with a final dot or in
 * letters beyond ASCII, or the port that is meant without any; false: it is no next hop. */
bool next_hop_read(struct span text, char name[HOP_NAME_MAX + 1]);

/* The name of its parts; false: they are too long. */
bool next_hop_format(const struct next_hop *hop, char name[HOP_NAME_MAX + 1]);

#endif
