/*
 * notify_original - the third part of a notification: the original, whole or its headers; and how
 * any part is written so that each host takes it.  Called by notify alone; pure.
 * Rules: RFC 3461 s.6.2, RFC 6522 s.4, RFC 8689 s.5, RFC 6533 s.4.5, RFC 2045 s.6.7.
 */
#ifndef WAXSEAL_QUEUE_NOTIFY_ORIGINAL_H
#define WAXSEAL_QUEUE_NOTIFY_ORIGINAL_H

#include "queue/notify.h"

/* Its header section, its last whole line at the most. */
struct span notify_headers(struct span original);

/* With the fields that say what it is. */
bool notify_write_original(const struct notify_facts *facts, struct buf *out) MUST_CHECK;

/* The last field of a part's header, its empty line, and the body. */
bool notify_write_body(struct buf *out, struct span body) MUST_CHECK;

#endif
