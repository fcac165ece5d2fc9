/*
 * report - what a session came to, told to tlsrpt (RFC 8460 s.4; rfc/tls-rpt.md section 3).  Called
 * by attempt.  Connect failures are not told (RPT-23), nor hosts without a policy domain.
 */
#ifndef WAXSEAL_QUEUE_DELIVER_REPORT_H
#define WAXSEAL_QUEUE_DELIVER_REPORT_H

#include "lib/ipc/tlsrpt_client.h"
#include "policy/decide.h"
#include "queue/deliver/dialogue.h"
#include "queue/deliver/plan.h"

/*
 * Tells of one session, or of a candidate that the policy excludes (`facts` NULL).  The first
 * report under a plan also says what the fetch of its policy came to.  `tlsa`: the candidate's
 * records, or NULL; under DANE they are the policy, and their base domain is its domain.
 */
void report_session(struct tlsrpt_client *reports, struct plan *plan, const char *mx,
                    const struct tlsa_set *tlsa, const struct sts_decision *decision,
                    const struct dialogue_facts *facts);

#endif
