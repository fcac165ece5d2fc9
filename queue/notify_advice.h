/*
 * notify_advice - what went wrong in plain words, whose side has to act, what the sender can do,
 * and of which class it is for the postmaster; by cause and enhanced status (RFC 3463), one table.
 * Called by notify_words and store_notify.  Pure.
 */
#ifndef WAXSEAL_QUEUE_NOTIFY_ADVICE_H
#define WAXSEAL_QUEUE_NOTIFY_ADVICE_H

#include "queue/notify.h"

struct advice {
    const char *what;
    const char *side; /* whose it is: a whole sentence */
    const char *todo;
    unsigned classes; /* bits of enum notify_class: policy, resource, protocol */
};

/* For a failure or a delay. */
const struct advice *advice_of(const struct notify_recipient *recipient);

/* All classes of what became of a recipient whose sender is told. */
unsigned advice_classes(const struct notify_recipient *recipient);

#endif
