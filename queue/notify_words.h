/*
 * notify_words - the first part of a notification: per recipient what happened, whose side has to
 * act, and what the sender can do, in plain English.  Called by notify alone; pure.
 */
#ifndef WAXSEAL_QUEUE_NOTIFY_WORDS_H
#define WAXSEAL_QUEUE_NOTIFY_WORDS_H

#include "queue/notify.h"

bool notify_write_words(const struct notify_facts *facts, struct buf *out) MUST_CHECK;

/* Shared with notify: bytes from outside as printable ASCII on one line, at most `most` of them. */
bool notify_clean(struct buf *out, struct span text, size_t most) MUST_CHECK;
/* The same for an address of a message with SMTPUTF8: well-formed UTF-8 stays. */
bool notify_clean_utf8(struct buf *out, struct span text, size_t most) MUST_CHECK;
/* The MX host that the result is about; empty when none was reached. */
struct span notify_host(const struct notify_recipient *recipient);

#endif
