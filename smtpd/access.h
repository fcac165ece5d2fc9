/*
 * access - may this client hand us mail for this forward-path?  Called by smtpd/commands for every
 * RCPT.  Pure.  Rules: RFC 5321 s.3.6.2, s.4.5.1, s.7.9; rfc/smtp-server.md SRV-27, SRV-31; nobody
 * relays who may not (design.md promise 4).  Only the final domain counts: "%", "!" and source
 * routes are never looked at (pitfalls.md section 7.14).
 */
#ifndef WAXSEAL_SMTPD_ACCESS_H
#define WAXSEAL_SMTPD_ACCESS_H

#include "lib/base/network.h"
#include "lib/base/settings.h"
#include "lib/mail/address.h"

enum access_verdict {
    ACCESS_RELAY,      /* goes on to the forward-path */
    ACCESS_POSTMASTER, /* our own postmaster: goes to the mailbox that the settings name */
    ACCESS_OWN,        /* in a domain of ours: goes on when there is such a mailbox */
    ACCESS_DENIED,
};

/* What is known when a forward-path is judged. */
struct access_facts {
    const struct listener_settings *listener;
    struct span hostname; /* our own name */
    struct ip_address client;
    struct span user;     /* who logged in; empty: nobody */
    bool has_certificate; /* has shown one that may relay here */
    const struct address *forward_path;
    const struct client_rules *recipient_rules;
};

struct access_judgement {
    enum access_verdict verdict;
    const char *reason; /* the rule, in words for the reply */
};

/* The first rule that applies decides. */
struct access_judgement access_judge(const struct access_facts *facts);

/*
 * Is it nobody who may relay here, so that only mail for our own domains is taken from it?  Nobody
 * vouches for the reverse-paths it says: notifications to them would reach the innocent.  Of the
 * facts, all but the forward-path count.
 */
bool access_is_stranger(const struct access_facts *facts);

/* May this client use that reverse-path?  The null one always: notifications need it. */
struct access_judgement access_judge_sender(const struct client_rules *sender_rules,
                                            struct span user, const struct ip_address *client,
                                            const struct address *reverse_path);

/*
 * Does the rule about a client allow all authors that a header block names?  Bare names are at
 * `origin`; what is no address is nobody's own.  No From field at all names nobody.
 */
bool access_authors_are_allowed(const struct client_rule *rule, struct span origin,
                                struct span block);

#endif
