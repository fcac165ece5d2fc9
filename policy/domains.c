#include "policy/domains.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/list.h"
#include "lib/base/log.h"
#include "lib/base/map.h"
#include "lib/base/memory.h"
#include "lib/base/random.h"
#include "policy/failures.h"
#include "policy/refresh.h"

enum {
    IDLE_KEPT_MAX = 10000,            /* domains remembered though nothing is under way */
    SILENCE_KEPT_MS = 10 * SECOND_MS, /* a lookup that failed is not repeated at once */
    REFRESHES_AT_ONCE = 50, /* of the STS_FETCHES_MAX, so that mail never waits for them */
    DUE_AT_ONCE = 16,
};

struct domains {
    struct loop *loop;
    struct sts_cache *cache;
    struct resolver *resolver;
    struct sts_fetcher *fetcher;
    struct failures *failures;
    const struct domains_events *events;
    void *ctx;
    struct map *by_name;
    struct list idle; /* the longest idle first */
    unsigned idle_count;
    unsigned clock; /* how often it was set */
    bool pull_in;   /* refreshes may be due too late, by a clock that was ahead */
};

struct domain {
    struct domains *domains;
    struct list in_idle;
    char name[DOMAIN_MAX + 1];
    struct list askers;
    bool refreshing;        /* in the background: nobody may be asking */
    struct loop_task known; /* the lookup's answer is known already */
    struct resolver_query *query;
    struct sts_fetch *fetch;
    struct sts_entry entry; /* as cached, while something is under way */
    struct sts_txt txt;
    int64_t txt_silent_until; /* monotonic: the last lookup failed */
    bool tried;               /* a fetch, since the clock was set last ... */
    unsigned tried_clock;     /* ... for the so-manieth time */
};

struct domain_asker {
    struct list in_domain;
    struct domain *domain;
    enum policy_wish wish;
    domain_done_fn *done;
    void *ctx;
};

static void on_known(void *ctx);

/* ---- the domains we know of --------------------------------------------------------------- */

static void domain_free(struct domain *domain)
{
    map_remove(domain->domains->by_name, span_of(domain->name));
    list_remove(&domain->in_idle);
    loop_task_cancel(&domain->known);
    resolver_cancel(&domain->query);
    sts_fetch_cancel(&domain->fetch);
    sts_entry_clear(&domain->entry);
    while (!list_empty(&domain->askers)) {
        struct domain_asker *asker = LIST_FIRST(&domain->askers, struct domain_asker, in_domain);
        list_remove(&asker->in_domain);
        free(asker);
    }
    free(domain);
}

static bool under_way(const struct domain *domain)
{
    return domain->query || domain->fetch || !list_empty(&domain->known.waiting);
}

static struct domain *domain_new(struct domains *domains, struct span name)
{
    struct domain *domain = memory_new(sizeof(*domain));
    domain->domains = domains;
    list_init(&domain->in_idle);
    list_init(&domain->askers);
    loop_task_init(&domain->known, on_known, domain);
    ensure(span_to_string(name, domain->name, sizeof(domain->name)));
    map_put(domains->by_name, name, domain);
    return domain;
}

static void wake_up(struct domain *domain)
{
    if (list_empty(&domain->in_idle))
        return;
    list_remove(&domain->in_idle);
    domain->domains->idle_count--;
}

/* Kept for what it remembers of failures, until too many are. */
static void become_idle(struct domain *domain)
{
    struct domains *domains = domain->domains;
    list_append(&domains->idle, &domain->in_idle);
    domains->idle_count++;
    if (domains->idle_count <= IDLE_KEPT_MAX)
        return;
    domains->idle_count--;
    domain_free(LIST_FIRST(&domains->idle, struct domain, in_idle));
}

static struct domain *domain_of(struct domains *domains, struct span name)
{
    struct domain *domain = map_get(domains->by_name, name);
    if (!domain)
        return domain_new(domains, name);
    wake_up(domain);
    return domain;
}

struct domains *domains_new(struct loop *loop, struct sts_cache *cache, struct resolver *resolver,
                            struct sts_fetcher *fetcher, const struct domains_events *events,
                            void *ctx)
{
    struct domains *domains = memory_new(sizeof(*domains));
    domains->loop = loop;
    domains->cache = cache;
    domains->resolver = resolver;
    domains->fetcher = fetcher;
    domains->events = events;
    domains->ctx = ctx;
    domains->by_name = map_new();
    domains->failures = failures_new(loop, cache);
    list_init(&domains->idle);
    domains->pull_in = true;
    struct error *err = failures_load(domains->failures);
    if (err)
        events->broken(ctx, err);
    return domains;
}

void domains_free(struct domains **domains)
{
    struct domains *d = *domains;
    struct domain *domain;
    *domains = NULL;
    if (!d)
        return;
    for (size_t cursor = 0; (domain = map_next(d->by_name, &cursor, NULL)); cursor = 0)
        domain_free(domain);
    map_free(&d->by_name);
    failures_free(&d->failures);
    free(d);
}

void domains_clock_was_set(struct domains *domains)
{
    domains->clock++;
    domains->pull_in = true;
}

static void broken(struct domains *domains, struct error *err)
{
    domains->events->broken(domains->ctx, err);
}

/* ---- what is known ------------------------------------------------------------------------ */

static enum policy_wish strongest_wish(const struct domain *domain)
{
    enum policy_wish wish = domain->refreshing ? WISH_FRESH : WISH_CURRENT;
    const struct domain_asker *asker;
    LIST_EACH(asker, &domain->askers, struct domain_asker, in_domain)
    {
        if (asker->wish > wish)
            wish = asker->wish;
    }
    return wish;
}

static const struct failure *last_failure(const struct domain *domain)
{
    return failures_find(domain->domains->failures, domain->name);
}

static struct sts_situation situation_of(const struct domain *domain)
{
    const struct failure *failure = last_failure(domain);
    const struct sts_entry *entry = &domain->entry;
    enum policy_wish wish = strongest_wish(domain);
    struct sts_situation s = {
        .cached = entry->policy != NULL,
        .cached_id = entry->id,
        .fetched_utc_ms = entry->fetched_utc_ms,
        .tried = domain->tried && domain->tried_clock == domain->domains->clock,
        .txt = &domain->txt,
        .failed_id = failure ? failure->id : NULL,
        .failed_ago_ms = failure ? loop_now(domain->domains->loop) - failure->at_ms : 0,
        .fresh = wish >= WISH_FRESH,
        .forced = wish >= WISH_FORCED,
        .now_utc_ms = clock_utc_ms(),
    };
    if (entry->policy) {
        s.mode = entry->policy->mode;
        s.max_age_s = entry->policy->max_age_s;
    }
    return s;
}

/* ---- the log ------------------------------------------------------------------------------ */

static void log_fetched(const struct sts_entry *entry)
{
    struct log_line line;
    log_begin(&line, LOG_INFO, "policy-fetched");
    log_string(&line, "domain", entry->domain);
    log_string(&line, "id", entry->id);
    log_string(&line, "mode", sts_mode_name(entry->policy->mode));
    log_number(&line, "max-age", entry->policy->max_age_s);
    log_end(&line);
}

/* A warning while there is a policy to lose, with the days left to mend it (RFC 8461 s.3.3). */
static void log_failed(const struct domain *domain, const struct sts_fetched *fetched)
{
    struct sts_situation s = situation_of(domain);
    bool at_stake = sts_is_live(&s) && s.mode != STS_NONE;
    struct log_line line;
    log_begin(&line, at_stake ? LOG_WARNING : LOG_INFO, "policy-fetch-failed");
    log_string(&line, "domain", domain->name);
    log_string(&line, "result", fetched->local ? "local" : tls_result_name(fetched->result));
    log_string(&line, "reason", fetched->reason);
    if (at_stake)
        log_number(&line, "days-left", (sts_entry_expires(&domain->entry) - s.now_utc_ms) / DAY_MS);
    log_end(&line);
}

static void log_weakened(const struct sts_entry *newer, const struct sts_entry *older)
{
    struct log_line line;
    if (!older->policy || !sts_policy_is_weaker(newer->policy, older->policy))
        return;
    log_begin(&line, LOG_WARNING, "policy-weakened");
    log_string(&line, "domain", newer->domain);
    log_string(&line, "mode-before", sts_mode_name(older->policy->mode));
    log_string(&line, "mode", sts_mode_name(newer->policy->mode));
    log_number(&line, "max-age-before", older->policy->max_age_s);
    log_number(&line, "max-age", newer->policy->max_age_s);
    log_end(&line);
}

static void log_record_gone(const struct domain *domain)
{
    struct log_line line;
    if (!domain->refreshing || domain->txt.verdict == STS_TXT_VALID || !domain->entry.policy ||
        domain->entry.policy->mode == STS_NONE)
        return;
    log_begin(&line, LOG_WARNING, "policy-record-gone");
    log_string(&line, "domain", domain->name);
    log_string(&line, "txt", sts_txt_verdict_name(domain->txt.verdict));
    log_end(&line);
}

/* ---- the end of a question ---------------------------------------------------------------- */

/* Takes what a write came to.  A full disk costs the keeping of a policy, never its application. */
static void written(struct domains *domains, struct error *err)
{
    if (!err)
        return;
    if (!sts_cache_is_full(domains->cache)) {
        broken(domains, err);
        return;
    }
    log_failure(LOG_ERROR, "policy-not-kept", err);
    error_free(&err);
}

static void keep(struct domain *domain, const struct sts_entry *entry)
{
    written(domain->domains, sts_cache_store(domain->domains->cache, entry));
}

/* Writes down, to the day, that mail used the policy. */
static void note_use(struct domain *domain)
{
    int64_t now = clock_utc_ms();
    if (list_empty(&domain->askers) || now - domain->entry.used_utc_ms < DAY_MS)
        return;
    domain->entry.used_utc_ms = now;
    keep(domain, &domain->entry);
}

static void give(struct domain *domain, const struct policy_answer *answer)
{
    struct list askers;
    list_init(&askers);
    list_splice(&askers, &domain->askers);
    while (!list_empty(&askers)) {
        struct domain_asker *asker = LIST_FIRST(&askers, struct domain_asker, in_domain);
        list_remove(&asker->in_domain);
        asker->done(asker->ctx, answer);
        free(asker);
    }
}

/* Does the last failure say anything of what would be fetched now?  Nothing under mode none (s.6).
 */
static bool failure_counts(const struct domain *domain)
{
    struct sts_situation s = situation_of(domain);
    bool mode_none = s.cached && s.mode == STS_NONE;
    return s.failed_id && !mode_none && strcmp(s.failed_id, sts_refresh_id(&s)) == 0;
}

static enum policy_state state_of(enum sts_step step)
{
    if (step == STS_STEP_USE)
        return POLICY_PRESENT;
    return step == STS_STEP_NO_POLICY ? POLICY_ABSENT : POLICY_UNKNOWN;
}

/* Without a record and a policy there was nothing to fetch. */
static void explain(const struct domain *domain, enum sts_step step, struct policy_answer *a)
{
    bool silent = domain->txt.verdict == STS_TXT_DNS_ERROR;
    a->fetch_reason =
        silent && step == STS_STEP_NOT_KNOWN ? "the TXT record cannot be looked up" : "";
    if (!failure_counts(domain) || (step == STS_STEP_NO_POLICY && domain->txt.id[0] == '\0'))
        return;
    a->fetch_result = last_failure(domain)->result;
    a->fetch_reason = last_failure(domain)->reason;
}

/* `step` is any but STS_STEP_FETCH. */
static void answer(struct domain *domain, enum sts_step step)
{
    struct policy_answer a = { .state = state_of(step), .fetch_result = TLS_RESULT_SUCCESS };
    explain(domain, step, &a);
    if (step == STS_STEP_USE)
        note_use(domain);
    struct sts_entry entry = domain->entry; /* who hears of it may ask again at once */
    memset(&domain->entry, 0, sizeof(domain->entry));
    a.entry = step == STS_STEP_USE ? &entry : NULL;
    domain->refreshing = false;
    give(domain, &a);
    sts_entry_clear(&entry);
    if (list_empty(&domain->askers) && !under_way(domain))
        become_idle(domain);
}

/* ---- fetching ----------------------------------------------------------------------------- */

static void remember_failure(struct domain *domain, const struct sts_fetched *fetched)
{
    struct sts_situation s = situation_of(domain);
    written(domain->domains,
            failures_note(domain->domains->failures, domain->name, sts_refresh_id(&s),
                          fetched->local ? TLS_RESULT_SUCCESS : fetched->result, fetched->reason));
}

static unsigned roll(void)
{
    return (unsigned)random_below(STS_REFRESH_ROLLS);
}

static void put_off(struct domain *domain)
{
    if (!domain->entry.policy)
        return;
    domain->entry.refresh_utc_ms = sts_refresh_due(STS_REFRESH_FAILED, clock_utc_ms(),
                                                   domain->entry.policy->max_age_s, roll());
    keep(domain, &domain->entry);
}

static void fetch_failed(struct domain *domain, const struct sts_fetched *fetched)
{
    struct domains *domains = domain->domains;
    log_failed(domain, fetched);
    remember_failure(domain, fetched);
    if (domain->refreshing && list_empty(&domain->askers) && failure_counts(domain))
        domains->events->refresh_failed(domains->ctx, &domain->entry, fetched->result,
                                        fetched->reason);
    if (domain->refreshing)
        put_off(domain);
    struct sts_situation s = situation_of(domain);
    enum sts_step step = sts_refresh_without(&s);
    /* When the trouble is ours, nothing is known of the domain. */
    if (fetched->local && step == STS_STEP_NO_POLICY)
        step = STS_STEP_NOT_KNOWN;
    answer(domain, step);
}

static bool same_text(const struct sts_policy *a, const struct sts_policy *b)
{
    return a && b && a->text_len == b->text_len && memcmp(a->text, b->text, a->text_len) == 0;
}

/* Makes the entry that takes the place of the old one. */
static struct sts_entry entry_of(struct domain *domain, struct sts_policy *policy)
{
    struct sts_situation s = situation_of(domain);
    struct sts_entry entry = { .policy = policy, .fetched_utc_ms = s.now_utc_ms };
    memcpy(entry.domain, domain->name, sizeof(entry.domain));
    snprintf(entry.id, sizeof(entry.id), "%s", sts_refresh_id(&s));
    bool old_text = s.cached && strcmp(entry.id, domain->entry.id) != 0 &&
                    same_text(policy, domain->entry.policy);
    entry.used_utc_ms = domain->refreshing ? domain->entry.used_utc_ms : s.now_utc_ms;
    entry.refresh_utc_ms = sts_refresh_due(old_text ? STS_REFRESH_SAME_TEXT : STS_REFRESH_RENEWED,
                                           s.now_utc_ms, policy->max_age_s, roll());
    return entry;
}

static void fetch_succeeded(struct domain *domain, struct sts_policy *policy)
{
    struct sts_entry entry = entry_of(domain, policy);
    log_fetched(&entry);
    log_weakened(&entry, &domain->entry);
    sts_entry_clear(&domain->entry);
    domain->entry = entry;
    written(domain->domains, failures_forget(domain->domains->failures, domain->name));
    keep(domain, &domain->entry);
    answer(domain, STS_STEP_USE); /* even with max_age 0 it is good for those who asked */
}

static void on_fetched(void *ctx, struct sts_fetched *fetched)
{
    struct domain *domain = ctx;
    struct sts_policy *policy = fetched->policy;
    domain->fetch = NULL;
    domain->tried = true;
    domain->tried_clock = domain->domains->clock;
    fetched->policy = NULL;
    if (policy)
        fetch_succeeded(domain, policy);
    else
        fetch_failed(domain, fetched);
}

static void consider(struct domain *domain)
{
    struct sts_situation s = situation_of(domain);
    enum sts_step step = sts_refresh_step(&s);
    log_record_gone(domain);
    if (step == STS_STEP_FETCH) {
        domain->fetch = sts_fetch_start(domain->domains->fetcher, domain->name, on_fetched, domain);
        return;
    }
    if (domain->refreshing)
        put_off(domain); /* within the five minutes after a failure */
    answer(domain, step);
}

/* ---- looking up --------------------------------------------------------------------------- */

static void on_txt(void *ctx, const struct dns_answer *txt)
{
    struct domain *domain = ctx;
    domain->query = NULL;
    sts_txt_judge(txt, &domain->txt);
    domain->txt_silent_until = 0;
    if (domain->txt.verdict == STS_TXT_DNS_ERROR)
        domain->txt_silent_until = loop_now(domain->domains->loop) + SILENCE_KEPT_MS;
    consider(domain);
}

static void on_known(void *ctx)
{
    consider(ctx);
}

/* A lookup that failed a moment ago is not repeated: it may have taken all its time. */
static void look_up(struct domain *domain)
{
    struct domains *domains = domain->domains;
    char name[DOMAIN_MAX + 16];
    if (loop_now(domains->loop) < domain->txt_silent_until &&
        strongest_wish(domain) == WISH_CURRENT) {
        loop_defer(domains->loop, &domain->known);
        return;
    }
    snprintf(name, sizeof(name), "_mta-sts.%s", domain->name);
    domain->query = resolver_ask(domains->resolver, span_of(name), DNS_TXT, on_txt, domain);
}

static void begin(struct domain *domain)
{
    if (under_way(domain))
        return;
    struct error *err =
        sts_cache_load(domain->domains->cache, span_of(domain->name), &domain->entry);
    if (err)
        broken(domain->domains, err);
    else
        look_up(domain);
}

struct domain_asker *domain_ask(struct domains *domains, struct span name, enum policy_wish wish,
                                domain_done_fn *done, void *ctx)
{
    struct domain *domain = domain_of(domains, name);
    struct domain_asker *asker = memory_new(sizeof(*asker));
    asker->domain = domain;
    asker->wish = wish;
    asker->done = done;
    asker->ctx = ctx;
    list_append(&domain->askers, &asker->in_domain);
    begin(domain);
    return asker;
}

void domain_cancel(struct domain_asker **asker)
{
    struct domain_asker *a = *asker;
    *asker = NULL;
    if (!a)
        return;
    list_remove(&a->in_domain); /* what is under way goes on: its result is worth keeping */
    free(a);
}

/* ---- in the background -------------------------------------------------------------------- */

/* One that nobody used in a month lapses and is then forgotten; true when there is nothing to
 * fetch. */
static bool let_lapse(struct domains *domains, struct sts_entry *entry, int64_t now)
{
    struct error *err;
    if (sts_refresh_wanted(now, entry->used_utc_ms))
        return false;
    if (sts_entry_expires(entry) < now) {
        err = sts_cache_remove(domains->cache, span_of(entry->domain));
    } else {
        entry->refresh_utc_ms = now + DAY_MS;
        err = sts_cache_store(domains->cache, entry);
    }
    written(domains, err);
    return true;
}

static void refresh(struct domains *domains, const char *name, int64_t now)
{
    struct sts_entry entry;
    struct domain *domain = map_get(domains->by_name, span_of(name));
    if (domain && domain->refreshing)
        return;
    struct error *err = sts_cache_load(domains->cache, span_of(name), &entry);
    if (err) {
        broken(domains, err);
        return;
    }
    if (entry.policy && !let_lapse(domains, &entry, now)) {
        domain = domain_of(domains, span_of(name));
        domain->refreshing = true;
        begin(domain);
    }
    sts_entry_clear(&entry);
}

static unsigned refresh_those(struct domains *domains, struct sts_span_of_time when, int64_t now)
{
    char due[DUE_AT_ONCE][DOMAIN_MAX + 1];
    unsigned count = 0;
    struct error *err = sts_cache_due(domains->cache, when, DUE_AT_ONCE, due, &count);
    if (err)
        broken(domains, err);
    for (unsigned i = 0; i < count; i++)
        refresh(domains, due[i], now);
    return count;
}

/* No refresh is ever put off for longer than a day: what is, was by a clock that was ahead. */
void domains_refresh_due(struct domains *domains)
{
    int64_t now = clock_utc_ms();
    struct sts_span_of_time past = { 0, now };
    struct sts_span_of_time too_far = { now + 2 * DAY_MS, INT64_MAX };
    if (sts_fetcher_busy(domains->fetcher) >= REFRESHES_AT_ONCE)
        return;
    refresh_those(domains, past, now);
    if (domains->pull_in)
        domains->pull_in = refresh_those(domains, too_far, now) > 0;
}
