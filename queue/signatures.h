/*
 * signatures - what the role sign gave as a message's signatures: is it that and nothing else, and
 * who signed?  Called by queue/signing for each answer; the role may be in a stranger's hand, and
 * what it says stands in front of a message.  Pure.
 * Rules: RFC 6376 s.3.5.
 */
#ifndef WAXSEAL_QUEUE_SIGNATURES_H
#define WAXSEAL_QUEUE_SIGNATURES_H

#include "lib/base/buf.h"

enum {
    SIGNATURES_MAX = 48 * 1024,     /* octets of all fields of a message */
    SIGNATURES_NAMES_MAX = 2 * 1024 /* who made them; further ones are left out */
};

/*
 * Are these whole DKIM-Signature fields, one or more, in lines of printable ASCII that end with
 * CRLF?  Then appends who signed: "example.net:2026a", with commas between several.
 */
bool signatures_read(struct span fields, struct buf *signed_by) MUST_CHECK;

#endif
