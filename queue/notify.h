/*
 * notify - builds delivery status notifications: what a sender is told about recipients that will
 * not get the message, or have not got it for long, and about those, if asked for, of whom nothing
 * more will be heard; and the copies for the postmaster.  Called by store_notify; pure: writes text
 * from facts.  Its parts: notify_words, notify_status, notify_original; notify_due says whether
 * anybody is told at all.  Rules: RFC 3464, RFC 6522, RFC 6533, RFC 3461 s.5.2 and s.6;
 * rfc/bounces-dsn.md.
 */
#ifndef WAXSEAL_QUEUE_NOTIFY_H
#define WAXSEAL_QUEUE_NOTIFY_H

#include "lib/base/buf.h"
#include "queue/records.pb-c.h"

enum {
    NOTIFY_HEADERS_MAX = 16 * 1024, /* of the original's headers */
    NOTIFY_WHOLE_MAX = 50 * 1024,   /* the original is returned whole up to this size */
    NOTIFY_TEXT_MAX = 16 * 1024 * 1024,
    NOTIFY_RECIPIENTS_MAX = 1000, /* of one notification: more do not fit the text for sure */
    NOTIFY_NAME_SIZE = 256,
};

/* Who speaks, and how much. */
struct notify_settings {
    char hostname[NOTIFY_NAME_SIZE];
    char postmaster[NOTIFY_NAME_SIZE]; /* "" or an address */
    unsigned notices_per_sender;       /* in an hour; 0: any number */
    unsigned postmaster_copies;        /* bits of enum notify_class */
    bool hashes_relaxed;               /* of their bodies, for DKIM signatures: ... */
    bool hashes_simple;                /* ... the canonical forms that are hashed */
};

/* What became of a recipient (RFC 3464 s.2.3.3). */
enum notify_action {
    ACTION_FAILED,
    ACTION_DELAYED,
    ACTION_RELAYED,
    ACTION_DELIVERED,
    ACTION_EXPANDED
};

/* What a postmaster may want copies of; as in the setting postmaster-copies, in its order. */
enum notify_class {
    CLASS_POLICY = 1,         /* a failure or delay for a reason of policy, theirs or a domain's */
    CLASS_RESOURCE = 2,       /* ... for want of room, or trouble within a mail system */
    CLASS_PROTOCOL = 4,       /* ... for what was said in the dialogue */
    CLASS_BOUNCE = 8,         /* any failure that a sender is told of */
    CLASS_DOUBLE_BOUNCE = 16, /* a failure of which there is nobody to tell */
    CLASS_DELAY = 32,         /* any delay that a sender is told of */
};

struct notify_recipient {
    const Queue__RecipientRecord *record;
    const Ipc__Result *result;
    const Ipc__Decision *decision; /* NULL: none was handed over */
    enum notify_action action;
    bool expired;     /* failed, having been tried until the end of the queue lifetime */
    int64_t until_ms; /* delayed: it is tried until then */
};

struct notify_facts {
    const struct notify_settings *settings;
    uint64_t id; /* of the notification */
    uint64_t original_id;
    const Queue__MessageRecord *message;
    const struct notify_recipient *recipients;
    size_t count;
    int64_t now_ms;
    struct span to;       /* whom it goes to */
    bool for_postmaster;  /* who is not the sender ... */
    bool is_copy;         /* ... and gets the headers of what the sender was told of */
    int64_t silent_until; /* not 0: the sender is told of nothing more until then */
    struct span original; /* the beginning of the original, NOTIFY_WHOLE_MAX at most */
    bool original_is_whole;
};

/* How many of the recipients are told of with that action. */
size_t notify_count(const struct notify_facts *facts, enum notify_action action);

/* Appends the whole notification, with CRLF line ends; false: it did not fit. */
bool notify_write(const struct notify_facts *facts, struct buf *out) MUST_CHECK;

/* For its parts: bytes from outside as printable ASCII on one line, at most `most` of them. */
bool notify_clean(struct buf *out, struct span text, size_t most) MUST_CHECK;
/* The same for an address of a message with SMTPUTF8, and for an operator's words: well-formed
 * UTF-8 stays. */
bool notify_clean_utf8(struct buf *out, struct span text, size_t most) MUST_CHECK;
/* In ASCII: a character beyond it as "\x{E9}" (RFC 6533 s.3); `most` bytes of that. */
bool notify_clean_coded(struct buf *out, struct span text, size_t most) MUST_CHECK;
/* The MX host that the result is about; empty when none was reached. */
struct span notify_host(const struct notify_recipient *recipient);

#endif
