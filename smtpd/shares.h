/*
 * shares - what one client, user and sender may have: the limits of the settings, those of the
 * listener before those of all, and what is left of the rates (smtpd/rates).  Called by
 * smtpd/session, smtpd/commands and smtpd/entrance.  Pure but for the table of rates.
 */
#ifndef WAXSEAL_SMTPD_SHARES_H
#define WAXSEAL_SMTPD_SHARES_H

#include "lib/base/settings.h"
#include "smtpd/rates.h"

/* A limit of a listener, or where it sets none that of all. */
uint64_t shares_message_bytes(const struct settings *all, const struct listener_settings *own);
unsigned shares_recipients(const struct settings *all, const struct listener_settings *own);
unsigned shares_connections(const struct settings *all, const struct listener_settings *own);

/* Who asks for one message or recipient more. */
struct share_facts {
    const struct settings *settings;
    const struct listener_settings *listener;
    const struct ip_address *client;
    struct span user;   /* empty: nobody has logged in */
    struct span sender; /* the reverse-path; empty: the null one, which has no share of its own */
    int64_t now_ms;
};

/* Takes one; false: nothing is taken, and *out_spent says whose share is used up. */
bool shares_take_message(struct rates *rates, const struct share_facts *facts,
                         enum rate *out_spent);
bool shares_take_recipient(struct rates *rates, const struct share_facts *facts,
                           enum rate *out_spent);

#endif
