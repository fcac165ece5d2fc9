#include "queue/deliver/attempt_private.h"

#include <stdio.h>

#include "lib/io/resolver_proof.h"
#include "queue/deliver/relief.h"
#include "queue/deliver/report.h"
#include "queue/deliver/verdict.h"

/* --- what the candidate's TLSA records decide (RFC 7672; docs/policy.md, "DANE") */

bool attempt_asks_tlsa(const struct plan *plan, const struct sts_facts *f)
{
    return f->mx_is_sure && plan->target.kind != TARGET_ADDRESS; /* DANE-20, DANE-22 */
}

struct sts_facts attempt_facts_now(const struct attempt *a)
{
    struct sts_facts f = attempt_facts(a->plan, a->candidate, a->job);

    f.tlsa = tlsa_set_worth(a->tlsa);
    return f;
}

const char *attempt_dane_trouble(const struct attempt *a)
{
    const char *no_dnssec = resolver_proof_trouble(attempt_worker(a)->proof);

    if (a->plan->target.tls != ROUTE_TLS_DANE)
        return "";
    return no_dnssec[0] != '\0' && a->plan->target.kind != TARGET_ADDRESS ? no_dnssec
                                                                          : a->tlsa_trouble;
}

void attempt_take_tlsa(struct attempt *a, const struct tlsa_set *tlsa, const char *trouble)
{
    tlsa_set_free(&a->tlsa);
    a->tlsa = tlsa_set_keep(tlsa);
    a->tlsa_failed = false;
    a->tlsa_trouble = job_keep(a->job, span_of(trouble));
    a->job->policy = tlsa_set_worth(tlsa) == TLSA_USABLE ? "dane" : plan_policy_words(a->plan);
}

struct tlsa_names attempt_tlsa_names(const struct attempt *a)
{
    const struct plan *plan = a->plan;

    return tlsa_names_of(plan->target.name, plan->route.expanded,
                         attempt_facts(plan, a->candidate, a->job).mx_is_sure);
}

/* --- what is told for reports */

void attempt_report(const struct attempt *a, const struct tlsa_set *tlsa,
                    const struct dialogue_facts *facts, const char *trouble)
{
    struct session_facts told = { .mx = attempt_mx(a),
                                  .tlsa = tlsa,
                                  .trouble = trouble,
                                  .decision = &a->decision,
                                  .session = facts };

    report_session(attempt_worker(a)->reports, a->plan, &told);
}

/* --- a lookup that failed */

static void report_failed(struct attempt *a)
{
    a->decision = (struct sts_decision){ .counted_under = POLICY_SOURCE_DANE,
                                         .result = TLS_RESULT_DNSSEC_INVALID,
                                         .reason = "TLSA records not known" };
    attempt_report(a, NULL, NULL, a->tlsa_trouble);
}

/* DANE-12: the host counts as one that cannot be reached. */
bool attempt_stops_without_tlsa(struct attempt *a, const struct host_answer *answer)
{
    struct outcome o = outcome_of_addresses(ADDRESSES_TEMPFAIL);
    struct sts_facts f = attempt_facts_now(a);
    char words[VERDICT_WORDS_SIZE];

    if (!answer->tlsa_failed)
        return false;
    report_failed(a);
    a->tlsa_failed = relief_without_tlsa(&f);
    if (a->tlsa_failed)
        return false;
    verdict_of_tlsa_failure(answer->reason, words);
    a->blames_hop = true;
    attempt_add_line(a, "DNS failure");
    attempt_settle(a, &o, span_of(words), false);
    return true;
}

/* --- sessions */

/* Any next hop's mail, or that of one whose own name the certificate bears alone (DANE-71)? */
static const char *domain_of_session(const struct attempt *a, const struct tls_session *session)
{
    return session->fits_base ? "" : a->plan->target.name;
}

void attempt_mark_session(struct attempt *a, const struct dialogue_facts *facts)
{
    struct sts_facts f = attempt_facts(a->plan, a->candidate, a->job);
    struct session *session = a->session;

    tlsa_set_free(&session->tlsa);
    session->tlsa = tlsa_set_keep(a->tlsa);
    /* Without records that should be known it is of no use for mail that needs them. */
    session->key.is_sure = attempt_asks_tlsa(a->plan, &f) && !a->tlsa_failed;
    session->key.worth = tlsa_set_worth(a->tlsa);
    session->key.for_reports = job_is_report(a->job);
    snprintf(session->key.domain, sizeof(session->key.domain), "%s",
             domain_of_session(a, &facts->session));
}
