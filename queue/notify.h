/*
 * notify - builds delivery status notifications: what a sender is told about recipients that will
 * not get the message, and about those, if asked for, of whom nothing more will be heard.  Called
 * by store_settle; pure: writes text from facts. Rules: RFC 3464, RFC 6522, RFC 6533, RFC 3461
 * s.5.2 and s.6; rfc/bounces-dsn.md.
 */
#ifndef WAXSEAL_QUEUE_NOTIFY_H
#define WAXSEAL_QUEUE_NOTIFY_H

#include "lib/base/buf.h"
#include "queue/records.pb-c.h"

enum {
    NOTIFY_HEADERS_MAX = 16 * 1024, /* of the original's headers */
    NOTIFY_WHOLE_MAX = 50 * 1024,   /* the original is returned whole up to this size */
    NOTIFY_TEXT_MAX = 16 * 1024 * 1024,
    NOTIFY_NAME_SIZE = 256,
};

/* Who speaks. */
struct notify_identity {
    char hostname[NOTIFY_NAME_SIZE];
    char postmaster[NOTIFY_NAME_SIZE]; /* "" or an address */
};

struct notify_recipient {
    const Queue__RecipientRecord *record;
    const Ipc__Result *result;
    const Ipc__Decision *decision; /* NULL: none was handed over */
    bool expired;                  /* tried until the end of the queue lifetime */
    bool relayed;                  /* taken by a host that will report nothing itself */
};

struct notify_facts {
    const struct notify_identity *identity;
    uint64_t id; /* of the notification */
    uint64_t original_id;
    const Queue__MessageRecord *message;
    const struct notify_recipient *recipients;
    size_t count;
    int64_t now_ms;
    struct span original; /* the beginning of the original, NOTIFY_WHOLE_MAX at most */
    bool original_is_whole;
};

/* May the sender be told that this recipient failed? (RFC 5321 s.6.1, RFC 3461 s.4.1) */
bool notify_is_due(const Queue__MessageRecord *message, const Queue__RecipientRecord *recipient);

/* Delivered to a host without DSN: does the sender want to hear of that? (RFC 3461 s.5.2.2) */
bool notify_relay_is_due(const Queue__MessageRecord *message,
                         const Queue__RecipientRecord *recipient);
/* How many of the recipients have not got the message. */
size_t notify_failures(const struct notify_facts *facts);

/* Appends the whole notification, with CRLF line ends; false: it did not fit. */
bool notify_write(const struct notify_facts *facts, struct buf *out) MUST_CHECK;

#endif
