#include "queue/deliver/attempt_private.h"

#include <string.h>

#include "queue/deliver/report.h"
#include "queue/deliver/verdict.h"

/* --- a candidate before it is connected to: may it be used, and where is it? */

struct sts_facts attempt_facts(const struct plan *plan, unsigned candidate, const struct job *job)
{
    struct sts_facts f = plan_facts(plan, candidate);

    f.require_tls = job_requires_tls(job);
    return f;
}

static bool is_unmet(struct attempt *a)
{
    a->decision = sts_decide_candidate(attempt_facts_now(a));
    if (a->decision.deliver)
        return false;
    attempt_add_line(a, a->decision.reason);
    attempt_settle_policy(a, attempt_dane_trouble(a));
    if (a->decision.report)
        report_session(attempt_worker(a)->reports, a->plan, attempt_mx(a), &a->decision, NULL);
    return true;
}

/* Is the candidate at hand one that was not put off? */
static bool is_first_round(const struct attempt *a)
{
    return a->next <= a->plan->route.count;
}

/* What our own settings leave out is not the domain's fault. */
static struct outcome excuse_families(const struct attempt *a, struct outcome outcome)
{
    const struct target *target = &a->plan->target;
    struct target own = *target;

    own.is_chosen =
        target->is_chosen || (target->route && target->route->families != FAMILIES_BOTH);
    return target_excuse(&own, outcome);
}

static void no_address(struct attempt *a, enum address_verdict verdict, const char *reason)
{
    struct outcome o = excuse_families(a, outcome_of_addresses(verdict));
    char words[VERDICT_WORDS_SIZE];

    a->blames_hop = true;
    if (verdict == ADDRESSES_OWN) /* worse ones would send it back to us (RFC 5321 s.5.1) */
        a->next = is_first_round(a) ? a->plan->route.count : a->order_count;
    verdict_of_addresses(verdict, attempt_mx(a), reason, words);
    attempt_add_line(a, verdict_of_no_address(verdict));
    attempt_settle(a, &o, span_of(words), false);
}

/*
 * What could not be connected to lately goes behind the rest: addresses behind those of their host,
 * hosts with no other address behind the other hosts.
 */
static void order_addresses(struct attempt *a)
{
    struct worker *worker = attempt_worker(a);
    unsigned well = unreachable_order(worker->unreachable, a->addresses, a->address_count,
                                      a->plan->target.port, loop_now(worker->loop));

    if (well > 0 || !is_first_round(a) || a->next == a->order_count)
        return;
    a->order[a->order_count++] = a->candidate;
    a->address_count = 0;
}

static void on_addresses(void *ctx, enum address_verdict verdict, const struct ip_address *list,
                         unsigned count, const char *reason)
{
    struct attempt *a = ctx;

    a->lookup = NULL;
    if (verdict == ADDRESSES_FOUND) {
        memcpy(a->addresses, list, count * sizeof(*list));
        a->address_count = count;
        order_addresses(a);
    } else {
        no_address(a, verdict, reason);
    }
    attempt_walk(a);
}

/* The address stands in the route itself. */
static void take_fixed_address(struct attempt *a, const struct address_filter *filter)
{
    enum address_verdict verdict = address_judge(&a->plan->target.address, filter);

    if (verdict == ADDRESSES_FOUND)
        a->addresses[a->address_count++] = a->plan->target.address;
    else
        no_address(a, verdict, "");
}

bool attempt_consider(struct attempt *a)
{
    struct worker *worker = attempt_worker(a);
    struct address_filter filter = worker_filter(worker, &a->plan->target);

    if (is_unmet(a))
        return false;
    if (a->plan->target.kind == TARGET_ADDRESS) {
        take_fixed_address(a, &filter);
        return false;
    }
    a->lookup =
        addresses_ask(worker->loop, worker->resolver, attempt_mx(a), &filter, on_addresses, a);
    return true;
}

bool attempt_open_candidate(struct attempt *a)
{
    a->candidate = a->order[a->next++];
    return attempt_ask_tlsa(a) || attempt_consider(a);
}
