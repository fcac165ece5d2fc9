/*
 * wishes - who wants reports: the TLSRPT records at _smtp._tls.<domain>, looked up at a domain's
 * first session of a day (RPT-4) and kept for their TTL.  Called by counting.  What was found goes
 * to tally, where the last valid record of a day stays.  Bounded: domains and bytes kept, lookups
 * at a time; whom there is no room for is asked about with its next session.
 */
#ifndef WAXSEAL_TLSRPT_WISHES_H
#define WAXSEAL_TLSRPT_WISHES_H

#include "lib/base/clock.h"
#include "lib/io/resolver.h"
#include "tlsrpt/tally.h"

enum {
    WISHES_MAX = 20000,              /* domains kept */
    WISHES_BYTES_MAX = 16 << 20,     /* of their records */
    WISHES_LOOKUPS_MAX = 64,         /* at a time */
    WISHES_LEAST_MS = 5 * MINUTE_MS, /* between two lookups, whatever the TTL says */
    WISHES_MOST_MS = 6 * HOUR_MS,
};

struct wishes;

struct wish {
    enum tally_wish state;
    struct span record;  /* with TALLY_WISH_SEEN; at most TALLY_RECORD_MAX */
    const char *trouble; /* why what was published is not taken, or not all of it; NULL: nothing */
};

/* A lookup has ended: wishes_known will give true, if there was any answer at all. */
typedef void wishes_known_fn(void *ctx, struct span domain);

/* Tally and resolver stay the caller's and outlive it. */
struct wishes *wishes_new(struct loop *loop, struct resolver *resolver, struct tally *tally,
                          wishes_known_fn *known, void *ctx);
void wishes_free(struct wishes **wishes);

/*
 * What is known of a domain just now; lent until the next call.  False: nothing; a lookup has
 * begun, or there is no room for it (*out_comes tells which).
 */
bool wishes_known(struct wishes *wishes, struct span domain, struct wish *out, bool *out_comes);

/* Notes in tally what the subject wishes, now or when it is known; once a day and change. */
void wishes_note(struct wishes *wishes, const struct subject *subject);

/*
 * Judges what DNS said, or one record that somebody else has looked up.  A record that is longer
 * than TALLY_RECORD_MAX is written anew in `room`, with those of its URIs that are used.  Pure.
 */
struct wish wish_of_answer(const struct dns_answer *answer, char room[TALLY_RECORD_MAX]);
struct wish wish_of_record(struct span record, char room[TALLY_RECORD_MAX]);

/* Do two records, each of a wish that was seen, name a destination in common?  Pure. */
bool wish_overlaps(struct span record, struct span other);

#endif
