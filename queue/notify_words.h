/*
 * notify_words - the first part of a notification: what happened, per recipient or for all those of
 * whom the same is to be said, whose side has to act, and what the sender can do, in plain English.
 * Called by notify alone; pure.
 */
#ifndef WAXSEAL_QUEUE_NOTIFY_WORDS_H
#define WAXSEAL_QUEUE_NOTIFY_WORDS_H

#include "queue/notify.h"

bool notify_write_words(const struct notify_facts *facts, struct buf *out) MUST_CHECK;

#endif
