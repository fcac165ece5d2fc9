/*
 * target - where a next hop leads, read from its name: a mail domain, an address literal, or one of
 * the forms of `relayhost`.  Called by lane.  Pure.
 */
#ifndef WAXSEAL_QUEUE_DELIVER_TARGET_H
#define WAXSEAL_QUEUE_DELIVER_TARGET_H

#include "lib/base/settings.h"
#include "lib/mail/domain.h"
#include "policy/decide.h"

enum { PORT_SMTP = 25 };

enum target_kind {
    TARGET_DOMAIN,  /* its MX hosts; it is the policy domain */
    TARGET_HOST,    /* this host, without an MX lookup: "[host]:port" */
    TARGET_ADDRESS, /* this address: "[192.0.2.1]:port", or an address literal */
};

struct target {
    enum target_kind kind;
    char name[DOMAIN_MAX + 1]; /* domain or host; an address as text */
    struct ip_address address; /* with TARGET_ADDRESS */
    uint16_t port;
    bool is_relayhost; /* the administrator's choice: no address filter */
    enum route_tls tls;
};

/* A next hop that is a mail domain or an address literal in brackets. */
bool target_of_domain(struct span next_hop, struct target *out);

/* "[host]:port", "[address]:port", "name" or "name:port". */
bool target_of_relayhost(struct span relayhost, enum relayhost_tls level, struct target *out);

/* Has it a policy domain (RFC 8461 s.3.4: the smarthost's, when its MX is looked up)? */
bool target_has_policy(const struct target *target);

#endif
