/*
 * notice - what a user is told whose message was taken into the drop folder and then refused by the
 * relay's rules.  Called by smtpd/pickup.  Pure.  To the queue it is mail like any other, with the
 * null reverse-path, so that it never leads to another (RFC 5321 s.6.1).
 */
#ifndef WAXSEAL_SMTPD_PICKUP_NOTICE_H
#define WAXSEAL_SMTPD_PICKUP_NOTICE_H

#include "lib/base/buf.h"

enum { NOTICE_MAX = 512 * 1024 };

struct notice_facts {
    const char *hostname;
    struct span sender;   /* "<ada@example.net>" */
    struct span refusals; /* lines with LF */
    bool partly;          /* the other recipients will get it */
    int64_t now_utc_ms;
};

/* Envelope and content; false when there is nobody to tell. */
bool notice_write(const struct notice_facts *facts, struct buf *commands,
                  struct buf *content) MUST_CHECK;

#endif
