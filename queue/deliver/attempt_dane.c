#include "queue/deliver/attempt_private.h"

#include <stdio.h>

#include "lib/base/clock.h"
#include "queue/deliver/verdict.h"

/* --- routes with tls = "dane": no mail but by TLSA records (rfc/dane-smtp.md DANE-53) */

static bool plan_wants_dane(const struct plan *plan)
{
    return plan->target.tls == ROUTE_TLS_DANE && plan->target.kind != TARGET_ADDRESS;
}

static bool wants_dane(const struct attempt *a)
{
    return plan_wants_dane(a->plan);
}

struct sts_facts attempt_facts_of_session(const struct plan *plan, unsigned candidate,
                                          const struct job *job)
{
    struct sts_facts f = attempt_facts(plan, candidate, job);

    if (plan_wants_dane(plan) && f.mx_is_sure)
        f.tlsa = TLSA_USABLE;
    return f;
}

struct sts_facts attempt_facts_now(const struct attempt *a)
{
    struct sts_facts f = attempt_facts(a->plan, a->candidate, a->job);

    if (wants_dane(a) && a->tlsa.count > 0 &&
        f.mx_is_sure) /* DANE-24: else anybody chose the host */
        f.tlsa = TLSA_USABLE;
    return f;
}

const char *attempt_dane_trouble(const struct attempt *a)
{
    if (!wants_dane(a))
        return "";
    return a->tlsa_trouble ? a->tlsa_trouble
                           : "the MX records of the next hop are not secured by DNSSEC";
}

/* DANE-12: the host counts as one that cannot be reached. */
static void not_known(struct attempt *a, const char *reason)
{
    struct outcome o = outcome_of_addresses(ADDRESSES_TEMPFAIL);
    char words[VERDICT_WORDS_SIZE];

    snprintf(words, sizeof(words), "the TLSA records of %s are not known: %s", attempt_mx(a),
             reason);
    a->blames_hop = true;
    attempt_add_line(a, "DNS failure");
    attempt_settle(a, &o, span_of(words), false);
}

static void on_tlsa(void *ctx, const struct dns_answer *answer)
{
    struct attempt *a = ctx;

    a->tlsa_lookup = NULL;
    if (answer->outcome == DNS_TEMPFAIL) {
        not_known(a, answer->reason);
        attempt_walk(a);
        return;
    }
    a->tlsa_trouble = tlsa_set_take(&a->tlsa, answer);
    a->tlsa_life_ms = (int64_t)answer->ttl * SECOND_MS;
    a->tlsa.next_hop = a->plan->target.kind == TARGET_DOMAIN ? a->plan->target.name : NULL;
    if (attempt_facts_now(a).tlsa == TLSA_USABLE)
        a->job->policy = "dane";
    if (!attempt_consider(a))
        attempt_walk(a);
}

bool attempt_ask_tlsa(struct attempt *a)
{
    char name[TLSA_NAME_SIZE];

    tlsa_set_clear(&a->tlsa);
    a->tlsa_trouble = "it has no name to look them up for";
    if (!wants_dane(a) || !tlsa_name(attempt_mx(a), a->plan->target.port, name))
        return false;
    a->tlsa_lookup = resolver_ask(attempt_worker(a)->resolver, span_of(name), DNS_TLSA, on_tlsa, a);
    return true;
}
