/*
 * tally - the counts of all policy domains by UTC day, in LMDB.  Called by the tlsrpt role; owns
 * the report database.  What is added is gathered in memory and goes to disk with tally_write, once
 * a second at most: a crash may lose the counts of the last second (design.md section 6).
 */
#ifndef WAXSEAL_TLSRPT_TALLY_H
#define WAXSEAL_TLSRPT_TALLY_H

#include "lib/base/error.h"
#include "tlsrpt/counts.h"

enum { TALLY_DAYS_KEPT = 10 };

struct tally;

/*
 * Opens or makes the database in `folder`.  A damaged one is set aside beside it, with an alarm,
 * and a new one begun: reports are a service to others, and mail does not hang on them.  On failure
 * *out_exit_status says what the supervisor should do.
 */
struct error *tally_open(const char *folder, struct tally **out_tally,
                         int *out_exit_status) MUST_CHECK;
/* Throws away what was not written. */
void tally_close(struct tally **tally);

/* Counts a session as one of `day`. */
struct error *tally_add(struct tally *tally, uint32_t day,
                        const Ipc__SessionEvent *event) MUST_CHECK;

/* Has enough been gathered that it should be written without waiting? */
bool tally_is_full(const struct tally *tally);

/*
 * Writes what was gathered, in one transaction, and removes some of what is older than
 * TALLY_DAYS_KEPT before `today`.  When the disk is full the gathered counts are lost, with a
 * warning, and NULL is given; after any other failure the role must end and open it anew.
 */
struct error *tally_write(struct tally *tally, uint32_t today) MUST_CHECK;

/*
 * What has been counted for a domain and day, written or not; NULL inside for nothing.  Lent until
 * the next call.
 */
struct error *tally_look(struct tally *tally, uint32_t day, struct span domain,
                         const Tlsrpt__DayRecord **out_record) MUST_CHECK;

#endif
