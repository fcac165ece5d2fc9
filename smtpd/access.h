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
    ACCESS_DENIED,
};

/* `is_user`: it has authenticated; `relay_from` is the listener's, `hostname` our own name. */
enum access_verdict access_judge(const struct ip_address *client, bool is_user,
                                 const struct network_list *relay_from, struct span hostname,
                                 const struct address *forward_path);

#endif
