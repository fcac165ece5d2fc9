#include "queue/deliver/relief.h"

#include <string.h>

static enum policy_relief kind_of(const struct exception_settings *exception)
{
    return exception->allow == EXCEPTION_CLEAR ? RELIEF_FULL : RELIEF_UNVERIFIED;
}

struct job_relief relief_of_target(const struct target *target, int64_t now_utc_ms)
{
    const struct exception_settings *exception = target->exception;

    if (exception && exception_is_in_force(exception, now_utc_ms))
        return (struct job_relief){ .kind = kind_of(exception), .exception = exception };
    return (struct job_relief){ .kind = RELIEF_NONE };
}

struct job_relief relief_of(const struct job *job, const struct target *target, int64_t now_utc_ms)
{
    struct job_relief relief = relief_of_target(target, now_utc_ms);

    if (job_is_report(job)) /* RFC 8460 s.3; no exception has a part in it */
        return (struct job_relief){ .kind = RELIEF_FULL };
    if (job_requires_tls(job))
        return (struct job_relief){ .kind = RELIEF_NONE };
    if (job_says_tls_required_no(job) && relief.kind != RELIEF_FULL)
        relief = (struct job_relief){ .kind = RELIEF_FULL };
    return relief;
}

bool relief_plan_is_open(const struct job *job, const struct plan *plan, int64_t now_utc_ms)
{
    bool skips_policy =
        job_may_skip_policy(job) || relief_of(job, &plan->target, now_utc_ms).kind == RELIEF_FULL;

    return plan_is_open(plan, skips_policy);
}

const struct plan *relief_open_plan(const struct job *job, const struct plans *plans,
                                    int64_t now_utc_ms)
{
    for (unsigned i = 0; i < plans->count; i++)
        if (relief_plan_is_open(job, &plans->items[i], now_utc_ms))
            return &plans->items[i];
    return NULL;
}

bool relief_is_needed(struct sts_facts facts, const struct pool_key *session)
{
    struct sts_decision without;
    struct pool_key needs;

    if (facts.relief == RELIEF_NONE)
        return false;
    facts.relief = RELIEF_NONE;
    without = sts_decide_candidate(facts);
    needs = pool_key_needed(&without, session->mx, session->remote.port, session->trust_generation);
    needs.is_sure = session->is_sure;
    needs.for_reports = session->for_reports;
    strcpy(needs.domain, session->domain);
    strcpy(needs.chooser, session->chooser);
    return !without.deliver || !pool_key_serves(session, &needs);
}

bool relief_without_tlsa(const struct sts_facts *facts)
{
    return facts->relief == RELIEF_FULL && !facts->require_tls && facts->route != ROUTE_TLS_DANE;
}
