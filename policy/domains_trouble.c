/* What an administrator should hear of: RFC 8461 s.3.3 and s.10.2. */
#include "policy/domains_private.h"

#include <stdio.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"

/* Is there a policy to lose? */
static bool is_at_stake(const struct sts_situation *s)
{
    return sts_is_live(s) && s->mode != STS_NONE;
}

/* ---- a policy that came ------------------------------------------------------------------- */

static void tell_weakened(const struct sts_entry *newer, const struct sts_entry *older)
{
    struct log_line line;
    log_begin(&line, LOG_WARNING, "policy-weakened");
    log_string(&line, "domain", newer->domain);
    log_string(&line, "mode-before", sts_mode_name(older->policy->mode));
    log_string(&line, "mode", sts_mode_name(newer->policy->mode));
    log_number(&line, "max-age-before", older->policy->max_age_s);
    log_number(&line, "max-age", newer->policy->max_age_s);
    log_string(&line, "mx-added", sts_policy_added_mx(newer->policy, older->policy));
    log_end(&line);
}

/* A policy of more hosts than anybody has is meant to cost us something. */
static void tell_cut(const struct sts_entry *entry)
{
    struct log_line line;
    log_begin(&line, LOG_WARNING, "policy-cut");
    log_string(&line, "domain", entry->domain);
    log_number(&line, "patterns", entry->policy->mx_count);
    log_number(&line, "left-out", entry->policy->mx_cut);
    log_end(&line);
}

void domain_tell_fetched(const struct sts_entry *newer, const struct sts_entry *older)
{
    struct log_line line;
    log_begin(&line, LOG_INFO, "policy-fetched");
    log_string(&line, "domain", newer->domain);
    log_string(&line, "id", newer->id);
    log_string(&line, "mode", sts_mode_name(newer->policy->mode));
    log_number(&line, "max-age", newer->policy->max_age_s);
    log_end(&line);
    if (newer->policy->mx_cut > 0)
        tell_cut(newer);
    if (older->policy && sts_policy_weakening(newer->policy, older->policy) != 0)
        tell_weakened(newer, older);
}

/* A weakening is forgotten by the time it is no news, or when the policy asks for more again. */
struct sts_trouble domain_trouble_of(const struct sts_entry *newer, const struct sts_entry *older)
{
    struct sts_trouble trouble = { .gone_utc_ms = older->trouble.gone_utc_ms };
    if (!older->policy)
        return (struct sts_trouble){ 0 };
    unsigned how = sts_policy_weakening(newer->policy, older->policy);
    if (how != 0) {
        trouble.weakened = how;
        trouble.weakened_utc_ms = newer->fetched_utc_ms;
    } else if (sts_policy_weakening(older->policy, newer->policy) == 0) {
        trouble.weakened = older->trouble.weakened;
        trouble.weakened_utc_ms = older->trouble.weakened_utc_ms;
    }
    return trouble;
}

/* ---- a record that is gone ---------------------------------------------------------------- */

static void tell_gone(const struct domain *domain)
{
    struct log_line line;
    log_begin(&line, LOG_WARNING, "policy-record-gone");
    log_string(&line, "domain", domain->name);
    log_string(&line, "txt", sts_txt_verdict_name(domain->txt.verdict));
    log_end(&line);
}

bool domain_note_record(struct domain *domain)
{
    struct sts_trouble *trouble = &domain->entry.trouble;
    struct sts_situation s = domain_situation(domain);
    bool was_gone = trouble->gone_utc_ms != 0;
    if (!domain->entry.policy || domain->txt.verdict == STS_TXT_DNS_ERROR)
        return false; /* silence says nothing */
    if (domain->txt.verdict == STS_TXT_VALID) {
        trouble->gone_utc_ms = 0;
        return was_gone;
    }
    if (!is_at_stake(&s))
        return false;
    if (!was_gone)
        trouble->gone_utc_ms = s.now_utc_ms;
    if (!was_gone || domain->refreshing)
        tell_gone(domain); /* at once, and then once a day */
    return !was_gone;
}

/* ---- a fetch that failed ------------------------------------------------------------------ */

static void tell_failed(const struct domain *domain, const struct sts_fetched *fetched,
                        const struct sts_situation *s)
{
    bool at_stake = is_at_stake(s);
    struct log_line line;
    log_begin(&line, at_stake ? LOG_WARNING : LOG_INFO, "policy-fetch-failed");
    log_string(&line, "domain", domain->name);
    log_string(&line, "result", fetched->local ? "local" : tls_result_name(fetched->result));
    log_string(&line, "reason", fetched->reason);
    if (at_stake) {
        char since[CLOCK_TEXT_SIZE];
        clock_format_rfc3339(domain->entry.trouble.failing_utc_ms, since);
        log_string(&line, "since", since);
        log_number(&line, "days-left",
                   (sts_entry_expires(&domain->entry) - s->now_utc_ms) / DAY_MS);
    }
    log_end(&line);
}

bool domain_note_failure(struct domain *domain, const struct sts_fetched *fetched)
{
    struct sts_trouble *trouble = &domain->entry.trouble;
    struct sts_situation s = domain_situation(domain);
    bool is_new = domain->entry.policy && trouble->failing_utc_ms == 0;
    if (is_new)
        trouble->failing_utc_ms = s.now_utc_ms;
    if (domain->entry.policy)
        snprintf(trouble->failing_reason, sizeof(trouble->failing_reason), "%s", fetched->reason);
    tell_failed(domain, fetched, &s);
    return is_new;
}
