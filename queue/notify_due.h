/*
 * notify_due - is anybody told, and who?  Called by store_notify.  Pure.
 * Rules: RFC 5321 s.6.1, RFC 3461 s.4.1 and s.5.2 (the table in rfc/bounces-dsn.md section 2),
 * RFC 3834 s.2.
 */
#ifndef WAXSEAL_QUEUE_NOTIFY_DUE_H
#define WAXSEAL_QUEUE_NOTIFY_DUE_H

#include "queue/notify.h"

enum notify_audience {
    AUDIENCE_SENDER,
    AUDIENCE_NOBODY, /* the null sender, or a notification of ours: it would answer one */
    AUDIENCE_LOG,    /* a TLS report's end is for the log: reports are optional (RFC 8460 s.5.5) */
    AUDIENCE_STRANGER, /* who may be anybody: notifications would reach the innocent */
};
enum notify_audience notify_audience(const Queue__MessageRecord *message);

/* Does the sender want to hear of that? */
bool notify_is_wanted(const Queue__RecipientRecord *recipient, enum notify_action action);

/* Delays of a machine's or a list's mail are told only to who asked for that (RFC 3834 s.2). */
bool notify_is_automatic(struct span header);
bool notify_asked_of_delay(const Queue__RecipientRecord *recipient);

#endif
