/*
 * notify_original - the third part of a notification: the original, whole or its headers.  Called
 * by notify alone; pure.
 * Rules: RFC 3461 s.6.2, RFC 6522 s.4, RFC 8689 s.5, RFC 6533 s.4.5.
 */
#ifndef WAXSEAL_QUEUE_NOTIFY_ORIGINAL_H
#define WAXSEAL_QUEUE_NOTIFY_ORIGINAL_H

#include "queue/notify.h"

/* Its header section, its last whole line at the most. */
struct span notify_headers(struct span original);

/* With the fields that say what it is. */
bool notify_write_original(const struct notify_facts *facts, struct buf *out) MUST_CHECK;

#endif
