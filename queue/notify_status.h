/*
 * notify_status - the second part of a notification, for programs: the fields of RFC 3464 s.2.
 * Called by notify alone; pure.
 */
#ifndef WAXSEAL_QUEUE_NOTIFY_STATUS_H
#define WAXSEAL_QUEUE_NOTIFY_STATUS_H

#include "queue/notify.h"

bool notify_write_status(const struct notify_facts *facts, struct buf *out) MUST_CHECK;

#endif
