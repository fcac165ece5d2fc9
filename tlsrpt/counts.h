/*
 * counts - what the sessions of one policy domain and day came to: totals for each policy that was
 * applied, and failures told apart by all that a report says of them (RFC 8460 s.4.3,
 * rfc/tls-rpt.md RPT-26).  Called by tally.  Pure: a record is a plain protobuf message. Bounded:
 * at most COUNTS_POLICIES_MAX policies and COUNTS_DETAILS_MAX distinct failures a day; what comes
 * on top is counted under its result type alone.  Text from remote hosts is cut.
 */
#ifndef WAXSEAL_TLSRPT_COUNTS_H
#define WAXSEAL_TLSRPT_COUNTS_H

#include "lib/base/span.h"
#include "tlsrpt/records.pb-c.h"

enum {
    COUNTS_POLICIES_MAX = 8,
    COUNTS_DETAILS_MAX = 100,
    COUNTS_TEXT_MAX = 255, /* bytes of a name or reason kept */
    COUNTS_PATTERNS_MAX = 1024,
    COUNTS_FAILURES_MAX = 16, /* of one session */
};

Tlsrpt__DayRecord *counts_new(void);
void counts_free(Tlsrpt__DayRecord **day);

/* Is this what a peer may tell?  Everything in it is within bounds. */
bool counts_is_valid(const Ipc__SessionEvent *event);

/* Is this a record as we write them?  For what is read back from disk. */
bool counts_record_is_valid(const Tlsrpt__DayRecord *day);

/* Adds one session, or so many of the same kind. */
void counts_add(Tlsrpt__DayRecord *day, const Ipc__SessionEvent *event, uint64_t sessions);

#endif
