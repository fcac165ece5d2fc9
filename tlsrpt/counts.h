/*
 * counts - what may be told of a session, and the form in which it is counted: equal things in
 * equal bytes, and nothing longer than is kept.  Called by tally and ledger.  Pure.
 * Rules: RFC 8460 s.4.3 and s.4.4; rfc/tls-rpt.md RPT-26, RPT-40.
 */
#ifndef WAXSEAL_TLSRPT_COUNTS_H
#define WAXSEAL_TLSRPT_COUNTS_H

#include "lib/base/buf.h"
#include "lib/base/limits.h"
#include "tlsrpt/records.pb-c.h"

enum {
    COUNTS_TEXT_MAX = 255, /* bytes of a name or reason kept */
    COUNTS_PATTERNS_MAX = 1024,
    COUNTS_FAILURES_MAX = 16, /* of one session */
    COUNTS_DIGEST_SIZE = 16,
};

/* Is this what a peer may tell?  Everything in it is within bounds. */
bool counts_is_valid(const Ipc__SessionEvent *event);

/* Are these records as we write them?  For what is read back from disk. */
bool counts_policy_is_valid(const Tlsrpt__PolicyCount *policy);
bool counts_failure_is_valid(const Tlsrpt__FailureCount *count);

/*
 * An event packed in the form in which it is counted, under a subject of the name `domain`: its
 * remote hosts' words cut, its policy domain in lower case, or empty where that is `domain`.
 */
void counts_pack(const Ipc__SessionEvent *event, struct span domain, struct buf *out);

/* Of an event in that form: what tells its policy from others, and a failure from others. */
struct counts_digest {
    unsigned char bytes[COUNTS_DIGEST_SIZE];
};
struct counts_digest counts_policy_digest(const Ipc__SessionEvent *event);
struct counts_digest counts_failure_digest(const Ipc__SessionFailure *failure);

#endif
