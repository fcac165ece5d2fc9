/*
 * relief - what lets a job go although the policy of its target is not met: an exception of the
 * administrator, "TLS-Required: No" in the message (RFC 8689 s.3), or that it is a report of ours
 * (RFC 8460 s.3).  Called by lane, attempt and explain.  Pure.  What it comes to is decided in
 * policy/decide; here is whether there is one.
 */
#ifndef WAXSEAL_QUEUE_DELIVER_RELIEF_H
#define WAXSEAL_QUEUE_DELIVER_RELIEF_H

#include "queue/deliver/job.h"
#include "queue/deliver/plan.h"
#include "queue/deliver/pool_key.h"
#include "queue/deliver/target.h"

/*
 * The relief of a job on the way to a target.  Of both kinds the one that allows more counts, and
 * the exception where they allow the same.
 */
struct job_relief relief_of(const struct job *job, const struct target *target, int64_t now_utc_ms);
/* That of the target alone, whatever the message. */
struct job_relief relief_of_target(const struct target *target, int64_t now_utc_ms);

/*
 * May the job go by a plan just now?  Where it need not meet the policy, even in clear, it does not
 * wait until that is known either.
 */
bool relief_plan_is_open(const struct job *job, const struct plan *plan, int64_t now_utc_ms);
/* The first that it may go by; NULL: none, and the first one says why. */
const struct plan *relief_open_plan(const struct job *job, const struct plans *plans,
                                    int64_t now_utc_ms);

/* Does mail go although nobody knows whether there are TLSA records (RFC 8689 s.4.2.2)? */
bool relief_without_tlsa(const struct sts_facts *facts);

/*
 * Would mail not go over a session that it may go over, were it not for the relief?  `facts` are
 * what is known before connecting.
 */
bool relief_is_needed(struct sts_facts facts, const struct pool_key *session);

#endif
