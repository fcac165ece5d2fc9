#include "queue/deliver/attempt_private.h"

#include "lib/base/clock.h"
#include "queue/deliver/level.h"
#include "queue/deliver/relief.h"
#include "queue/deliver/verdict.h"

#include <stdio.h>

struct job_candidate *attempt_line(struct attempt *a)
{
    return &a->job->candidates[a->line];
}

static void line_tlsa(struct attempt *a, struct job_candidate *line)
{
    if (!a->tlsa)
        return;
    line->tlsa_base = job_keep(a->job, span_of(a->tlsa->base));
    line->tlsa = tlsa_set_worth(a->tlsa) == TLSA_USABLE ? "usable" : "unusable";
}

struct job_candidate *attempt_add_line(struct attempt *a, const char *verdict)
{
    struct job_candidate *line = job_add_candidate(a->job, attempt_mx(a));

    if (a->plans->count > 1)
        line->next_hop = job_keep(a->job, span_of(a->plan->target.name));

    a->line = a->job->candidate_count - 1;
    line->verdict = verdict;
    line_tlsa(a, line);
    return line;
}

void attempt_line_address(struct attempt *a, const struct ip_address *address)
{
    char text[NETWORK_TEXT_SIZE];

    ip_address_format(address, text);
    attempt_line(a)->address = job_keep(a->job, span_of(text));
}

static void line_certificate(struct attempt *a, struct job_candidate *line,
                             const struct tls_session *tls)
{
    if (tls->cert == CERT_NONE)
        return;
    line->subject = job_keep(a->job, span_of(tls->subject));
    line->names = job_keep(a->job, span_of(tls->names));
    line->issuer = job_keep(a->job, span_of(tls->issuer));
    line->certificate_expires_utc_ms = tls->not_after_utc_ms;
    line->key_sha256 = job_keep(a->job, span_of(tls->key_sha256));
    line->tlsa_record = job_keep(a->job, span_of(tls->tlsa));
    line->verify_result = job_keep(a->job, span_of(level_verify_word(tls)));
}

void attempt_line_session(struct attempt *a)
{
    const struct session *session = a->session;
    const struct dialogue_facts *facts = dialogue_facts(session->dialogue);
    struct job_candidate *line = attempt_line(a);

    line->address = job_keep(a->job, span_of(session->address));
    line->tls = session->tls;
    line->level_wanted = level_wanted(&a->decision);
    line->level = session->level;
    line->auth = facts->auth;
    if (facts->tls != SESSION_TLS_ON)
        return;
    line->tls_version = job_keep(a->job, span_of(facts->session.version));
    line->resumed = facts->session.resumed;
    line->group = job_keep(a->job, span_of(facts->session.group));
    line->cipher = job_keep(a->job, span_of(facts->session.cipher));
    line_certificate(a, line, &facts->session);
}

/* --- settling */

void attempt_settle(struct attempt *a, const struct outcome *outcome, struct span words,
                    bool remote)
{
    job_settle(a->job, RECIPIENT_OPEN, outcome, words, remote);
}

/* Do the TLSA records ask for what is not met, rather than another policy? */
static bool is_of_tlsa(const struct attempt *a)
{
    return a->tlsa && (a->decision.by_tlsa || !a->decision.must_verify);
}

/* Whether DNSSEC makes the host's name one that REQUIRETLS takes may be known later. */
static struct outcome outcome_of_unmet(const struct attempt *a)
{
    bool is_in_doubt = a->plan->route.in_doubt && !a->decision.mx_is_valid;

    if (job_requires_tls(a->job) && (!is_in_doubt || a->job->last_attempt))
        return outcome_of_unprotected();
    return outcome_of_policy(a->job->last_attempt);
}

void attempt_settle_policy(struct attempt *a, const char *detail)
{
    bool is_unprotected = job_requires_tls(a->job);
    struct outcome o = outcome_of_unmet(a);
    char words[VERDICT_WORDS_SIZE];

    a->blames_hop = true;
    if (is_unprotected)
        verdict_of_unprotected(attempt_mx(a), a->decision.reason, detail, words);
    else if (a->decision.by_route)
        verdict_of_level(&a->plan->target, attempt_mx(a), a->decision.reason, detail, words);
    else if (is_of_tlsa(a))
        verdict_of_tlsa(a->tlsa->base, attempt_mx(a), a->decision.reason, detail, words);
    else
        verdict_of_policy(a->plan, attempt_mx(a), a->decision.reason, detail, words);
    attempt_line(a)->verdict = a->decision.reason;
    attempt_line(a)->reply = job_keep(a->job, span_of(words));
    attempt_settle(a, &o, span_of(words), false);
}

/* The record is one for all recipients, whose results need not be the same. */
static bool all_fared(const struct job *job, enum outcome_kind kind)
{
    for (unsigned i = 0; i < job->envelope.recipient_count; i++)
        if (job->results[i].is_given && job->results[i].kind != kind)
            return false;
    return true;
}

static const char *line_verdict(struct attempt *a, enum stage stage, enum outcome_kind kind)
{
    const char *verdict = verdict_of_end(stage, kind);
    char words[VERDICT_WORDS_SIZE];

    if (all_fared(a->job, kind))
        return verdict;
    snprintf(words, sizeof(words), "%s for some recipients", verdict);
    return job_keep(a->job, span_of(words));
}

/* The first host of the route of which DNS, or the role policy, cannot tell now; NULL: none. */
static const struct plan *unknown_plan(const struct attempt *a)
{
    for (unsigned i = 0; i < a->plans->count; i++) {
        const struct plan *plan = &a->plans->items[i];
        if (plan->route.verdict == ROUTE_TEMPFAIL ||
            (plan->route.verdict == ROUTE_FOUND &&
             !relief_plan_is_open(a->job, plan, clock_utc_ms())))
            return plan;
    }
    return NULL;
}

void attempt_settle_unknown(struct attempt *a)
{
    const struct plan *plan = unknown_plan(a);
    char words[DOMAIN_MAX + sizeof(plan->route.reason) + 60];
    struct outcome o = { .kind = OUTCOME_DEFERRED, .elsewhere = true, .status = "4.4.3" };
    bool has_route = plan && plan->route.verdict == ROUTE_FOUND;

    if (!plan)
        return;
    snprintf(words, sizeof(words), "%s: %s", plan->target.name,
             has_route ? "its MTA-STS policy is not known yet" : plan->route.reason);
    for (unsigned i = 0; i < a->job->envelope.recipient_count; i++) {
        const struct job_result *result = &a->job->results[i];
        if (result->state == RECIPIENT_OPEN && result->is_given && result->kind == OUTCOME_FAILED)
            job_settle_one(a->job, i, &o, span_of(words), false);
    }
}

void attempt_line_result(struct attempt *a, enum stage stage)
{
    const struct job_result *best = &a->job->results[0];

    for (unsigned i = 1; i < a->job->envelope.recipient_count; i++)
        if (a->job->results[i].is_given && a->job->results[i].kind < best->kind)
            best = &a->job->results[i];
    if (!best->is_given)
        return;
    attempt_line(a)->verdict = line_verdict(a, stage, best->kind);
    attempt_line(a)->reply = best->reply;
}
