/*
 * report - what a session came to, told to tlsrpt (RFC 8460 s.4; rfc/tls-rpt.md section 3).  Called
 * by attempt.  Connect failures are not told (RPT-23), nor hosts without a policy domain, nor
 * fetches of policies, which the policy role tells.
 */
#ifndef WAXSEAL_QUEUE_DELIVER_REPORT_H
#define WAXSEAL_QUEUE_DELIVER_REPORT_H

#include "lib/ipc/tlsrpt_client.h"
#include "policy/decide.h"
#include "queue/deliver/dialogue.h"
#include "queue/deliver/plan.h"

struct session_facts {
    const char *mx;
    const struct tlsa_set *tlsa; /* the candidate's, or NULL; under DANE they are the policy */
    const char *trouble;         /* what stood in the way of them or of TLS, or "" */
    const struct sts_decision *decision;
    const struct dialogue_facts *session; /* NULL: the candidate was not connected to */
};

/* Tells of one session, or of a candidate that the policy excludes. */
void report_session(struct tlsrpt_client *reports, const struct plan *plan,
                    const struct session_facts *facts);

#endif
