/*
 * counted - sessions counted as the tlsrpt role does it, in a report database of their own, and
 * read back as one record.
 */
#ifndef WAXSEAL_TESTS_SUPPORT_COUNTED_H
#define WAXSEAL_TESTS_SUPPORT_COUNTED_H

#include "tlsrpt/tally.h"

struct counted {
    char folder[64];
    struct database *database;
    struct tally *tally;
};

/* In a new folder under /var/tmp; ends the process when that fails. */
void counted_open(struct counted *c);
/* Closes it and opens it again, as the role does after its end. */
void counted_reopen(struct counted *c);
/* Removes the folder, too. */
void counted_close(struct counted *c);

/* Adds so many sessions to the domain that the event names. */
void counted_add(struct counted *c, uint32_t day, const Ipc__SessionEvent *event,
                 uint64_t sessions);

/* All that was counted for a subject; no policies: nothing.  Freed with day_record__free_unpacked.
 */
Tlsrpt__DayRecord *counted_read(struct counted *c, const struct subject *subject);
void counted_free(Tlsrpt__DayRecord **day);

#endif
