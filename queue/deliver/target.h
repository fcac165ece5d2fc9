/*
 * target - where a next hop leads, read from its name (lib/mail/next_hop) and the settings: a mail
 * domain, an address literal, the relayhost, the hosts of a route, or an operator's choice.  Called
 * by lane.  Pure.
 */
#ifndef WAXSEAL_QUEUE_DELIVER_TARGET_H
#define WAXSEAL_QUEUE_DELIVER_TARGET_H

#include "lib/base/settings.h"
#include "lib/mail/domain.h"
#include "policy/decide.h"

enum { TARGETS_MAX = SETTINGS_ROUTE_HOSTS_MAX };

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
    bool is_chosen;    /* by the administrator, by name: no address filter, and our own trouble */
    bool implicit_tls; /* the session begins with TLS (RFC 8314 s.3) */
    enum route_tls tls;
    bool is_floor;                      /* that is what tls-floor asks of all mail */
    unsigned priority;                  /* among the hosts of a route: the least first */
    unsigned weight;                    /* its share among those of the same priority */
    const struct route_settings *route; /* lent from the settings; NULL: none */
    /* for its domain, in force or not; lent from the settings; NULL: none */
    const struct exception_settings *exception;
};

enum target_verdict {
    TARGETS_FOUND,
    TARGETS_NONSENSE, /* no mail can ever go there */
    TARGETS_UNKNOWN,  /* the settings know nothing of it, or not any more: they are changing */
};

/* All that a next hop's name means: at least one when found, more than one only of a route. */
enum target_verdict targets_of_hop(const struct settings *settings, struct span hop,
                                   struct target out[TARGETS_MAX], unsigned *out_count);

/* A next hop that is a mail domain or an address literal in brackets. */
bool target_of_domain(struct span next_hop, struct target *out);

/* "[host]:port", "[address]:port", "name" or "name:port". */
bool target_of_relayhost(struct span relayhost, enum relayhost_tls level, struct target *out);

/*
 * The order in which a message tries them: by priority, and within one by chance, in proportion to
 * the weights.  The same seed gives the same order.
 */
void target_order(const struct target *targets, unsigned count, uint64_t seed,
                  unsigned order[TARGETS_MAX]);

/* Is this session's certificate, or its key, one of those that the route lists? */
bool target_lists(const struct target *target, const struct tls_session *session);

/* Has it a policy domain (RFC 8461 s.3.4: the smarthost's, when its MX is looked up)? */
bool target_has_policy(const struct target *target);

/* Whose word it is that mail goes there: "route NAME", "relayhost", or "" for DNS alone. */
enum { TARGET_CHOOSER_SIZE = SETTINGS_LABEL_SIZE + 16 };
void target_chooser(const struct target *target, char text[TARGET_CHOOSER_SIZE]);

#endif
