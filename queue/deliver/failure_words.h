/*
 * failure_words - why a session failed, in words that the receiving side's postmaster can act on:
 * the name of the error, then what was seen (failure-reason-code of RFC 8460 s.4.4).  Called by
 * report.  Pure.  Rules: rfc/tls-rpt.md RPT-30, RPT-31; no additional-information, which is a URI.
 */
#ifndef WAXSEAL_QUEUE_DELIVER_FAILURE_WORDS_H
#define WAXSEAL_QUEUE_DELIVER_FAILURE_WORDS_H

#include "lib/ipc/policy.pb-c.h"
#include "lib/mail/tlsa.h"
#include "policy/decide.h"
#include "queue/deliver/dialogue.h"

enum { FAILURE_WORDS_SIZE = 256 };

struct failure {
    const char *mx;
    const struct sts_decision *decision;
    const struct dialogue_facts *facts; /* NULL: it was not connected to */
    const Ipc__Policy *policy;          /* of MTA-STS, where that is what was applied; or NULL */
    const struct tlsa_set *tlsa;        /* the same of DANE */
    const char *trouble;                /* what stood in the way of TLSA records or of TLS, or "" */
};

void failure_words(const struct failure *failure, char words[FAILURE_WORDS_SIZE]);

#endif
