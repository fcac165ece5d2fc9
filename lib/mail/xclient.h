/*
 * xclient - what a trusted host says with XCLIENT about the client it speaks for, a command of
 * Postfix's (rfc/smtp-server.md SRV-130, SRV-131).  Called by smtpd/commands.  Pure, no memory.
 * Strict: attributes once each, values as xtext and of their form.  DESTADDR and DESTPORT are
 * checked and not kept: nothing here depends on where the client had connected.
 */
#ifndef WAXSEAL_MAIL_XCLIENT_H
#define WAXSEAL_MAIL_XCLIENT_H

#include "lib/base/limits.h"
#include "lib/base/network.h"
#include "lib/base/span.h"

enum xclient_attribute {
    XCLIENT_NAME,
    XCLIENT_ADDR,
    XCLIENT_PORT,
    XCLIENT_PROTO,
    XCLIENT_HELO,
    XCLIENT_LOGIN,
    XCLIENT_DESTADDR,
    XCLIENT_DESTPORT,
    XCLIENT_ATTRIBUTES,
};

/* What is not given, and what is [UNAVAILABLE], is empty; `given` tells them apart. */
struct xclient {
    unsigned given;            /* a bit each, 1 << attribute */
    char name[DOMAIN_MAX + 1]; /* by DNS */
    struct ip_address address;
    uint16_t port;
    bool is_smtp; /* PROTO: HELO was said, not EHLO */
    char helo[DOMAIN_MAX + 1];
    char login[ADDRESS_MAX + 1];
};

/* "NAME ADDR ...": all that is understood, for EHLO. */
extern const char xclient_attributes[];

/* The argument of the command; false: not of this form, and *out says nothing. */
bool xclient_parse(struct span argument, struct xclient *out);

/* Several commands may be said: what the last one gives replaces what is there. */
void xclient_merge(struct xclient *into, const struct xclient *said);

#endif
