/*
 * tally - the counts of all policy domains, and of MX hosts, by UTC day, in LMDB.  Called by
 * the tlsrpt role, by counting (which feeds it) and by what sends reports.  What is added is
 * gathered in memory and goes to disk with tally_write, once a second at most: a crash may lose
 * the counts of the last second (design.md section 6).  Whoever reads sees all that was added.
 * Bounded: docs/reporting.md, "Counting".
 */
#ifndef WAXSEAL_TLSRPT_TALLY_H
#define WAXSEAL_TLSRPT_TALLY_H

#include "tlsrpt/counts.h"
#include "tlsrpt/database.h"
#include "tlsrpt/subject.h"

enum { TALLY_DAYS_KEPT = 10 };

struct tally;

/* The database stays the caller's and outlives it. */
struct tally *tally_new(struct database *database);
/* Throws away what was not written. */
void tally_free(struct tally **tally);

/* --- counting */

/* Counts a session (or so many of the same kind) for a subject; counts_is_valid(event). */
void tally_add(struct tally *tally, const struct subject *subject, const Ipc__SessionEvent *event,
               uint64_t sessions);

/* Whether the subject wants reports, as far as we know. */
enum tally_wish {
    TALLY_WISH_UNKNOWN, /* nobody could tell so far: DNS did not answer */
    TALLY_WISH_NONE,    /* no TLSRPT record, or none that is valid */
    TALLY_WISH_SEEN,
};

/*
 * Notes the TLSRPT record of a subject (RPT-4): the last valid one of the day stays, whatever
 * comes later.  `record` is the TXT record as published, with TALLY_WISH_SEEN alone.
 */
enum { TALLY_RECORD_MAX = 8 * 1024 };
void tally_note_wish(struct tally *tally, const struct subject *subject, enum tally_wish wish,
                     struct span record);

/* Has enough been gathered that it should be written without waiting? */
bool tally_is_full(const struct tally *tally);

/*
 * Writes what was gathered, in one transaction, and removes some of what is older than
 * TALLY_DAYS_KEPT before `today`.  When the disk is full the gathered counts are lost, with a
 * warning, and NULL is given; after any other failure the role must end and open it anew.
 */
struct error *tally_write(struct tally *tally, uint32_t today) MUST_CHECK;

/* --- reading; all of these write first what was gathered, and never stay within a transaction */

struct tally_sum {
    struct subject subject;
    uint64_t succeeded; /* sessions */
    uint64_t failed;
    uint64_t details; /* failures told apart */
    uint64_t folded;  /* those for which there was no room, counted by their result alone */
    enum tally_wish wish;
    struct span record; /* the TXT record that was seen; lent for the call */
};

/* What is known of one subject; *out_found is false when nothing was counted for it. */
typedef void tally_sum_fn(void *ctx, const struct tally_sum *sum);
struct error *tally_look(struct tally *tally, const struct subject *subject, tally_sum_fn *visit,
                         void *ctx, bool *out_found) MUST_CHECK;

/*
 * Visits subjects in the order of day, view (domains before hosts) and name, from `from` (itself
 * included) up to and without the day `before`, as long as `visit` gives true.
 */
typedef bool tally_walk_fn(void *ctx, const struct tally_sum *sum);
struct error *tally_walk(struct tally *tally, const struct subject *from, uint32_t before,
                         tally_walk_fn *visit, void *ctx) MUST_CHECK;

/*
 * The counts of one subject, policy by policy in the order in which they came to disk: each
 * policy with its totals (its `failures` are not filled), then its failures, those with most
 * sessions first where they are no more than a thousand.  As tlsrpt/report writes them.  Visitors
 * must not call tally.
 */
struct tally_reader {
    void (*policy)(void *ctx, const Tlsrpt__PolicyCount *policy);
    void (*failure)(void *ctx, const Ipc__SessionFailure *failure, uint64_t sessions);
};
struct error *tally_read(struct tally *tally, const struct subject *subject,
                         const struct tally_reader *reader, void *ctx) MUST_CHECK;

#endif
