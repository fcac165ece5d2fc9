#include "queue/deliver/attempt_private.h"

#include <string.h>

#include "lib/base/clock.h"
#include "queue/deliver/relief.h"
#include "queue/deliver/verdict.h"

/* --- a candidate before it is connected to: may it be used, and where is it? */

struct sts_facts attempt_facts(const struct plan *plan, unsigned candidate, const struct job *job)
{
    struct sts_facts f = plan_facts(plan, candidate);

    f.require_tls = job_requires_tls(job);
    f.relief = relief_of(job, &plan->target, clock_utc_ms()).kind;
    if (job_is_report(job) && f.route != ROUTE_TLS_DANE)
        f.mx_is_sure = false; /* TLSA records, which would not bind, are not asked for */
    return f;
}

static void refuse(struct attempt *a)
{
    attempt_add_line(a, a->decision.reason);
    attempt_settle_policy(a, attempt_dane_trouble(a));
    if (a->decision.report)
        attempt_report(a, a->tlsa, NULL, attempt_dane_trouble(a));
}

static bool is_unmet(struct attempt *a)
{
    a->decision = sts_decide_candidate(attempt_facts_now(a));
    if (a->decision.deliver)
        return false;
    refuse(a);
    return true;
}

/* Not even TLSA records, of which nothing is known yet, could make it one to be used. */
static bool is_unmet_anyway(struct attempt *a)
{
    struct sts_facts f = attempt_facts_now(a);

    if (!attempt_asks_tlsa(a->plan, &f))
        return is_unmet(a);
    f.tlsa = TLSA_USABLE;
    return !sts_decide_candidate(f).deliver && is_unmet(a);
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
    verdict_of_addresses(verdict, &a->plan->target, attempt_mx(a), reason, words);
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

static void take_addresses(struct attempt *a, const struct addresses *found)
{
    memcpy(a->addresses, found->list, found->count * sizeof(found->list[0]));
    a->address_count = found->count;
    order_addresses(a);
}

static void on_host(void *ctx, const struct host_answer *answer)
{
    struct attempt *a = ctx;
    const struct addresses *found = answer->addresses;

    a->lookup = NULL;
    attempt_take_tlsa(a, answer->tlsa, answer->reason);
    if (found->verdict != ADDRESSES_FOUND)
        no_address(a, found->verdict, found->reason);
    else if (!attempt_stops_without_tlsa(a, answer) && !is_unmet(a))
        take_addresses(a, found);
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

static void look_up(struct attempt *a, const struct address_filter *filter)
{
    struct worker *worker = attempt_worker(a);
    struct sts_facts f = attempt_facts_now(a);
    struct host_question question = { .host = attempt_mx(a),
                                      .port = a->plan->target.port,
                                      .name_is_sure = attempt_asks_tlsa(a->plan, &f),
                                      .name_in_doubt = a->plan->route.in_doubt,
                                      .filter = filter };

    a->lookup = host_lookup_start(worker->loop, worker->resolver, &question, on_host, a);
}

/* Why no TLSA records are asked for, where none are. */
static const char *unasked_words(const struct attempt *a)
{
    if (a->plan->target.kind == TARGET_ADDRESS)
        return "it has no name to look them up for";
    return resolver_has_dnssec(attempt_worker(a)->resolver)
               ? "the MX records of the next hop are not secured by DNSSEC"
               : host_lookup_off;
}

bool attempt_open_candidate(struct attempt *a)
{
    struct address_filter filter = worker_filter(attempt_worker(a), &a->plan->target);
    bool is_address = a->plan->target.kind == TARGET_ADDRESS;

    a->candidate = a->order[a->next++];
    attempt_take_tlsa(a, NULL, unasked_words(a));
    if (is_unmet_anyway(a))
        return false;
    if (is_address)
        take_fixed_address(a, &filter);
    else
        look_up(a, &filter);
    return !is_address;
}
