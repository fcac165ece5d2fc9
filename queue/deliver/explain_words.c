#include "queue/deliver/explain_words.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/ipc/channel.h"

enum { WHAT_SIZE = 2048, WHO_SIZE = DOMAIN_MAX + 80, PATTERNS_SHOWN = 5, PATTERN_SHOWN_MAX = 100 };

/* --- who --------------------------------------------------------------------------------------*/

static const char ours[] = "the administrator of this relay";

/* Whoever publishes the domain's records and policy. */
static const char *owner_of(const struct target *target, char who[WHO_SIZE])
{
    if (target->is_chosen)
        return ours;
    snprintf(who, WHO_SIZE, "the postmaster of %s", target->name);
    return who;
}

/* Whoever can mend that a host is this relay itself. */
static const char *owner_of_loop(const struct target *target)
{
    return target->is_chosen ? ours
                             : "the administrator of this relay, or whoever publishes the MX";
}

/* Whoever runs the host. */
static const char *keeper_of(const struct explain_facts *f, char who[WHO_SIZE])
{
    if (f->plan->target.is_chosen)
        snprintf(who, WHO_SIZE, "the administrator of %s, or of this relay, which names it",
                 explain_mx(f));
    else
        snprintf(who, WHO_SIZE, "the administrator of %s", explain_mx(f));
    return who;
}

/* --- the next hop ---------------------------------------------------------------------------- */

static void say_route(const struct plan *plan, explain_problem_fn *say, void *ctx)
{
    char what[WHAT_SIZE], who[WHO_SIZE];

    snprintf(what, sizeof(what), "no host takes mail for %s: %s", plan->target.name,
             plan->route.reason);
    if (plan->route.verdict == ROUTE_TEMPFAIL)
        say(ctx, what, "whoever runs its name servers, or ours, if they fail for others, too");
    else if (plan->route.verdict == ROUTE_NULL_MX)
        say(ctx, what, "nobody: it is meant so (RFC 7505)");
    else
        say(ctx, what, owner_of(&plan->target, who));
}

static void say_policy(const struct plan *plan, explain_problem_fn *say, void *ctx)
{
    struct span reason = span_of_bytes(plan->answer->fetch_reason);
    char what[WHAT_SIZE], who[WHO_SIZE];

    if (plan->answer->state == IPC__POLICY_STATE__POLICY_NOT_ASKED) {
        say(ctx, "the role policy does not answer, so mail waits", ours);
        return;
    }
    if (reason.len == 0)
        return;
    snprintf(what, sizeof(what), "%s: %.*s",
             plan->answer->state == IPC__POLICY_STATE__POLICY_NOT_KNOWN
                 ? "it is not known whether there is an MTA-STS policy, so new mail waits"
             : plan_policy(plan) ? "its MTA-STS policy is not renewed, the cached one is in force"
                                 : "its MTA-STS policy cannot be had, so nothing binds",
             (int)span_first(reason, 400).len, reason.data);
    say(ctx, what, owner_of(&plan->target, who));
}

void explain_hop_problems(const struct plan *plan, explain_problem_fn *say, void *ctx)
{
    if (plan->route.verdict != ROUTE_FOUND)
        say_route(plan, say, ctx);
    if (plan->answer)
        say_policy(plan, say, ctx);
}

/* --- patterns -------------------------------------------------------------------------------- */

static unsigned count_labels(struct span name)
{
    struct span label;
    unsigned count = 0;

    while (span_cut(&name, '.', &label))
        count++;
    return count;
}

/* What stands in front of ".suffix"; false: `host` does not end so. */
static bool take_front(struct span host, struct span suffix, struct span *out_front)
{
    size_t front = host.len - suffix.len;

    if (host.len <= suffix.len + 1 || host.data[front - 1] != '.' ||
        !span_equal_nocase(span_from(host, front), suffix))
        return false;
    *out_front = span_first(host, front - 1);
    return true;
}

/* Does this pattern look as if it was meant for the host?  Then why it does not fit. */
static bool near_miss(struct span pattern, struct span host, char words[EXPLAIN_MISMATCH_SIZE])
{
    bool is_wildcard = span_starts_with(pattern, SPAN("*."));
    struct span suffix = is_wildcard ? span_from(pattern, 2) : pattern;
    struct span front;

    if (is_wildcard && span_equal_nocase(suffix, host)) {
        snprintf(words, EXPLAIN_MISMATCH_SIZE,
                 "the policy's pattern " SPAN_FMT " asks for one label in front of " SPAN_FMT
                 "; the host has none",
                 SPAN_ARG(pattern), SPAN_ARG(suffix));
        return true;
    }
    if (!take_front(host, suffix, &front))
        return false;
    if (is_wildcard)
        snprintf(words, EXPLAIN_MISMATCH_SIZE,
                 "the policy's pattern " SPAN_FMT " covers one label; " SPAN_FMT
                 " has %u in front of " SPAN_FMT,
                 SPAN_ARG(pattern), SPAN_ARG(host), count_labels(front), SPAN_ARG(suffix));
    else
        snprintf(words, EXPLAIN_MISMATCH_SIZE,
                 "the policy's pattern " SPAN_FMT " names that host alone, not " SPAN_FMT,
                 SPAN_ARG(pattern), SPAN_ARG(host));
    return true;
}

static struct span shown_pattern(const Ipc__Policy *policy, size_t i)
{
    return span_first(span_of_bytes(policy->mx[i]), PATTERN_SHOWN_MAX);
}

static void list_patterns(const Ipc__Policy *policy, const char *mx,
                          char words[EXPLAIN_MISMATCH_SIZE])
{
    size_t shown = policy->n_mx < PATTERNS_SHOWN ? policy->n_mx : PATTERNS_SHOWN;
    size_t len =
        (size_t)snprintf(words, EXPLAIN_MISMATCH_SIZE, "the policy does not name %s, but ", mx);

    for (size_t i = 0; i < shown && len < EXPLAIN_MISMATCH_SIZE; i++)
        len += (size_t)snprintf(words + len, EXPLAIN_MISMATCH_SIZE - len, "%s" SPAN_FMT,
                                i > 0 ? ", " : "", SPAN_ARG(shown_pattern(policy, i)));
    if (shown < policy->n_mx && len < EXPLAIN_MISMATCH_SIZE)
        snprintf(words + len, EXPLAIN_MISMATCH_SIZE - len, " and %zu more", policy->n_mx - shown);
}

void explain_mismatch(const Ipc__Policy *policy, const char *mx, char words[EXPLAIN_MISMATCH_SIZE])
{
    for (size_t i = 0; i < policy->n_mx; i++)
        if (near_miss(span_of_bytes(policy->mx[i]), span_of(mx), words))
            return;
    list_patterns(policy, mx, words);
}

/* --- a candidate before it is contacted ------------------------------------------------------ */

static void say_addresses(const struct explain_facts *f, explain_problem_fn *say, void *ctx)
{
    const struct addresses *a = &f->addresses;
    char what[VERDICT_WORDS_SIZE], who[WHO_SIZE];

    if (a->verdict == ADDRESSES_FOUND)
        return;
    verdict_of_addresses(a->verdict, &f->plan->target, explain_mx(f), a->reason, what);
    say(ctx, what,
        a->verdict == ADDRESSES_OWN ? owner_of_loop(&f->plan->target)
                                    : owner_of(&f->plan->target, who));
}

static void say_tlsa(const struct explain_facts *f, explain_problem_fn *say, void *ctx)
{
    char what[WHAT_SIZE], who[WHO_SIZE];

    if (f->tlsa_failed)
        snprintf(what, sizeof(what), "%s, so it counts as one that cannot be reached",
                 f->tlsa_reason);
    else if (f->worth == TLSA_UNUSABLE)
        snprintf(what, sizeof(what), "%s has TLSA records, but none that SMTP can use",
                 explain_mx(f));
    else
        return;
    say(ctx, what, keeper_of(f, who));
}

/* A policy under test or with a relief says the same; mail goes all the same. */
static void say_unlisted(const struct explain_facts *f, explain_problem_fn *say, void *ctx)
{
    const Ipc__Policy *policy = plan_policy(f->plan);
    char words[EXPLAIN_MISMATCH_SIZE], who[WHO_SIZE];
    bool counts =
        f->facts.source == POLICY_SOURCE_STS && f->facts.mode != STS_NONE && !f->decision.by_tlsa;

    if (!policy || !counts || f->facts.mx_listed)
        return;
    explain_mismatch(policy, explain_mx(f), words);
    say(ctx, words, owner_of(&f->plan->target, who));
}

static void say_decision(const struct explain_facts *f, explain_problem_fn *say, void *ctx)
{
    char what[VERDICT_WORDS_SIZE];

    if (f->decision.deliver || !f->decision.by_route)
        return;
    verdict_of_level(&f->plan->target, explain_mx(f), f->decision.reason, f->tlsa_reason, what);
    say(ctx, what, ours);
}

/* --- the session ----------------------------------------------------------------------------- */

static void say_certificate(const struct explain_facts *f, explain_problem_fn *say, void *ctx)
{
    const struct tls_session *s = &f->session;
    char expires[CLOCK_TEXT_SIZE], what[WHAT_SIZE], who[WHO_SIZE];

    clock_format_rfc3339(s->not_after_utc_ms, expires);
    if (s->cert == CERT_OK)
        return;
    if (f->decision.by_tlsa)
        snprintf(what, sizeof(what), "the certificate of %s fits none of its TLSA records (%s)",
                 explain_mx(f), s->cert_reason);
    else if (s->cert == CERT_EXPIRED)
        snprintf(what, sizeof(what), "the certificate of %s expired at %s", explain_mx(f), expires);
    else if (s->cert == CERT_HOST_MISMATCH)
        snprintf(what, sizeof(what), "the certificate of %s is for %s", explain_mx(f),
                 s->names[0] ? s->names : "no DNS name at all");
    else if (s->cert == CERT_NOT_TRUSTED)
        snprintf(what, sizeof(what),
                 "no authority that we trust vouches for the certificate of %s (%s; issuer %s)",
                 explain_mx(f), s->cert_reason, s->issuer);
    else
        snprintf(what, sizeof(what), "the certificate of %s is not valid (%s)", explain_mx(f),
                 s->cert_reason[0] ? s->cert_reason : "it shows none");
    say(ctx, what, keeper_of(f, who));
}

static void say_without_tls(const struct explain_facts *f, explain_problem_fn *say, void *ctx)
{
    char what[WHAT_SIZE], who[WHO_SIZE];

    if (f->judged.result == TLS_RESULT_STARTTLS_NOT_SUPPORTED)
        snprintf(what, sizeof(what), "%s has no STARTTLS (%s)%s%s", explain_mx(f), f->judged.reason,
                 f->said[0] ? ": " : "", f->said);
    else if (f->said[0] != '\0')
        snprintf(what, sizeof(what), "no TLS with %s: %s", explain_mx(f), f->said);
    else
        return; /* nobody wanted any */
    say(ctx, what, keeper_of(f, who));
}

static void say_level(const struct explain_facts *f, explain_problem_fn *say, void *ctx)
{
    char what[VERDICT_WORDS_SIZE];

    if (f->may_go || !f->judged.by_route)
        return;
    verdict_of_level(&f->plan->target, explain_mx(f), f->judged.reason, "", what);
    say(ctx, what, ours);
}

static void say_session(const struct explain_facts *f, explain_problem_fn *say, void *ctx)
{
    char what[WHAT_SIZE], who[WHO_SIZE];

    if (f->contact == CONTACT_FAILED) {
        snprintf(what, sizeof(what), "no session with %s: %s", explain_mx(f), f->said);
        say(ctx, what, keeper_of(f, who));
    } else if (f->contact == CONTACT_JUDGED) {
        if (f->facts.failed_before || f->facts.tls != SESSION_TLS_ON)
            say_without_tls(f, say, ctx);
        if (f->facts.tls == SESSION_TLS_ON)
            say_certificate(f, say, ctx);
        say_level(f, say, ctx);
    }
}

static void say_behind_own(const struct explain_facts *f, explain_problem_fn *say, void *ctx)
{
    char what[WHAT_SIZE];

    snprintf(what, sizeof(what),
             "not counted on: %s is no better than %s, which is this relay itself (RFC 5321 "
             "section 5.1)",
             explain_mx(f), f->behind_own);
    say(ctx, what, owner_of_loop(&f->plan->target));
}

void explain_host_problems(const struct explain_facts *f, explain_problem_fn *say, void *ctx)
{
    if (f->behind_own) {
        say_behind_own(f, say, ctx);
        return;
    }
    if (!f->is_known) {
        say(ctx, "DNS did not answer in time",
            "whoever runs our resolver, or the domain's servers");
        return;
    }
    say_addresses(f, say, ctx);
    say_tlsa(f, say, ctx);
    say_unlisted(f, say, ctx);
    say_decision(f, say, ctx);
    say_session(f, say, ctx);
}
