#include "policy/domains.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/base/random.h"
#include "policy/domains_private.h"

enum {
    IDLE_KEPT_MAX = 10000,            /* domains remembered though nothing is under way */
    SILENCE_KEPT_MS = 10 * SECOND_MS, /* a lookup that failed is not repeated at once */
    TXT_KEPT_MS = 5 * MINUTE_MS,      /* one that did not, by its TTL, but no longer */
};

struct domain_asker {
    struct list in_domain;
    struct domain *domain;
    enum policy_wish wish;
    domain_done_fn *done;
    void *ctx;
};

static void on_known(void *ctx);
static void on_early(void *ctx);

/* ---- the domains we know of --------------------------------------------------------------- */

static void domain_free(struct domain *domain)
{
    map_remove(domain->domains->by_name, span_of(domain->name));
    list_remove(&domain->in_idle);
    loop_task_cancel(&domain->known);
    loop_task_cancel(&domain->early);
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

bool domain_is_under_way(const struct domain *domain)
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
    loop_task_init(&domain->early, on_early, domain);
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

/* Kept for what it remembers of lookups, until too many are. */
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

struct domain *domains_take_up(struct domains *domains, struct span name)
{
    struct domain *domain = map_get(domains->by_name, name);
    if (!domain)
        return domain_new(domains, name);
    wake_up(domain);
    return domain;
}

static bool take_alarm(void *ctx, const struct sts_entry *entry)
{
    alarms_note(ctx, entry);
    return true;
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
    domains->alarms = alarms_new();
    struct error *err = failures_load(domains->failures);
    if (!err)
        err = sts_cache_each(cache, SPAN(""), UINT_MAX, take_alarm, domains->alarms);
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
    alarms_free(&d->alarms);
    free(d);
}

void domains_clock_was_set(struct domains *domains)
{
    domains->clock++;
    domains->pull_in = true;
}

void domains_broken(struct domains *domains, struct error *err)
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

/* The last failure of what would be fetched now. */
static const struct failure *last_failure(const struct domain *domain,
                                          const struct sts_situation *s)
{
    return failures_find(domain->domains->failures, domain->name, sts_refresh_id(s));
}

static void take_failure(const struct domain *domain, struct sts_situation *s)
{
    const struct failure *failure = last_failure(domain, s);
    if (!failure)
        return;
    s->failed_id = sts_refresh_id(s);
    s->failed_ago_ms = loop_now(domain->domains->loop) - failure->at_ms;
}

static struct sts_situation situation_for(const struct domain *domain, enum policy_wish wish)
{
    const struct sts_entry *entry = &domain->entry;
    struct sts_situation s = {
        .cached = entry->policy != NULL,
        .cached_id = entry->id,
        .fetched_utc_ms = entry->fetched_utc_ms,
        .tried = domain->tried && domain->tried_clock == domain->domains->clock,
        .txt = &domain->txt,
        .fresh = wish >= WISH_FRESH,
        .forced = wish >= WISH_FORCED,
        .now_utc_ms = clock_utc_ms(),
    };
    if (entry->policy) {
        s.mode = entry->policy->mode;
        s.max_age_s = entry->policy->max_age_s;
    }
    take_failure(domain, &s);
    return s;
}

struct sts_situation domain_situation(const struct domain *domain)
{
    return situation_for(domain, strongest_wish(domain));
}

/* ---- the end of a question ---------------------------------------------------------------- */

void domains_written(struct domains *domains, struct error *err)
{
    if (!err)
        return;
    if (!sts_cache_is_full(domains->cache)) {
        domains_broken(domains, err);
        return;
    }
    log_failure(LOG_ERROR, "policy-not-kept", err);
    error_free(&err);
}

void domains_keep(struct domains *domains, const struct sts_entry *entry)
{
    alarms_note(domains->alarms, entry);
    domains_written(domains, sts_cache_store(domains->cache, entry));
}

static void keep(struct domain *domain)
{
    domains_keep(domain->domains, &domain->entry);
}

/* Writes down, to the day, that mail used the policy. */
static void note_use(struct domain *domain)
{
    int64_t now = clock_utc_ms();
    if (list_empty(&domain->askers) || now - domain->entry.used_utc_ms < DAY_MS)
        return;
    domain->entry.used_utc_ms = now;
    keep(domain);
}

/* To those who wish for no more than that; who hears of it may ask again at once. */
static void give(struct domain *domain, const struct policy_answer *answer, enum policy_wish most)
{
    struct domain_asker *each;
    struct list askers;
    list_init(&askers);
    LIST_EACH(each, &domain->askers, struct domain_asker, in_domain)
    {
        if (each->wish > most)
            continue;
        list_remove(&each->in_domain);
        list_append(&askers, &each->in_domain);
    }
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
    struct sts_situation s = domain_situation(domain);
    bool mode_none = s.cached && s.mode == STS_NONE;
    return s.failed_id && !mode_none;
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
    struct sts_situation s = domain_situation(domain);
    a->fetch_result = last_failure(domain, &s)->result;
    a->fetch_reason = last_failure(domain, &s)->reason;
}

/* It lapsed, and just now its domain was asked once more in vain (design.md section 4). */
static void forget_unused(struct domain *domain)
{
    const struct sts_entry *entry = &domain->entry;
    if (!entry->policy || sts_refresh_wanted(clock_utc_ms(), entry->used_utc_ms))
        return;
    alarms_forget(domain->domains->alarms, domain->name);
    domains_written(domain->domains,
                    sts_cache_remove(domain->domains->cache, span_of(domain->name)));
}

/* `step` is any but STS_STEP_FETCH. */
static void answer(struct domain *domain, enum sts_step step)
{
    struct policy_answer a = { .state = state_of(step), .fetch_result = TLS_RESULT_SUCCESS };
    explain(domain, step, &a);
    if (step == STS_STEP_USE)
        note_use(domain);
    else if (step == STS_STEP_NO_POLICY && domain->refreshing)
        forget_unused(domain);
    struct sts_entry entry = domain->entry; /* who hears of it may ask again at once */
    memset(&domain->entry, 0, sizeof(domain->entry));
    a.entry = step == STS_STEP_USE ? &entry : NULL;
    if (domain->refreshing)
        domain->domains->refreshing--;
    domain->refreshing = false;
    give(domain, &a, WISH_FORCED);
    sts_entry_clear(&entry);
    if (list_empty(&domain->askers) && !domain_is_under_way(domain))
        become_idle(domain);
}

/* While it is fetched: does that matter to somebody who only wants what binds now (s.3.3)? */
static bool cached_will_do(const struct domain *domain)
{
    struct sts_situation s = situation_for(domain, WISH_CURRENT);
    return domain->fetch && sts_refresh_step(&s) == STS_STEP_USE;
}

/* Mail does not wait for a policy host that is slow to refresh what is cached. */
static void on_early(void *ctx)
{
    struct domain *domain = ctx;
    struct policy_answer a = { .state = POLICY_PRESENT, .fetch_result = TLS_RESULT_SUCCESS };
    if (!cached_will_do(domain))
        return; /* the fetch ended meanwhile, and all are answered */
    explain(domain, STS_STEP_USE, &a);
    note_use(domain);
    a.entry = &domain->entry;
    give(domain, &a, WISH_CURRENT);
}

/* ---- fetching ----------------------------------------------------------------------------- */

static void remember_failure(struct domain *domain, const struct sts_fetched *fetched)
{
    struct sts_situation s = domain_situation(domain);
    domains_written(domain->domains,
                    failures_note(domain->domains->failures, domain->name, sts_refresh_id(&s),
                                  fetched->local ? TLS_RESULT_SUCCESS : fetched->result,
                                  fetched->reason));
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
    keep(domain);
}

/* What binds although a fetch failed; NULL when it has lapsed, too. */
static const struct sts_policy *live_policy(const struct domain *domain)
{
    struct sts_situation s = domain_situation(domain);
    return sts_is_live(&s) ? domain->entry.policy : NULL;
}

static void fetch_failed(struct domain *domain, const struct sts_fetched *fetched)
{
    struct domains *domains = domain->domains;
    bool is_news = domain_note_failure(domain, fetched);
    domains->counts.fetches_failed++;
    remember_failure(domain, fetched);
    if (!fetched->local && failure_counts(domain))
        domains->events->fetch_failed(domains->ctx, domain->name, live_policy(domain),
                                      fetched->result, fetched->reason);
    if (domain->refreshing)
        put_off(domain);
    else if (is_news)
        keep(domain);
    struct sts_situation s = domain_situation(domain);
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
    struct sts_situation s = domain_situation(domain);
    struct sts_entry entry = { .policy = policy, .fetched_utc_ms = s.now_utc_ms };
    memcpy(entry.domain, domain->name, sizeof(entry.domain));
    snprintf(entry.id, sizeof(entry.id), "%s", sts_refresh_id(&s));
    bool old_text = s.cached && strcmp(entry.id, domain->entry.id) != 0 &&
                    same_text(policy, domain->entry.policy);
    entry.used_utc_ms = domain->refreshing ? domain->entry.used_utc_ms : s.now_utc_ms;
    entry.refresh_utc_ms = sts_refresh_due(old_text ? STS_REFRESH_SAME_TEXT : STS_REFRESH_RENEWED,
                                           s.now_utc_ms, policy->max_age_s, roll());
    entry.trouble = domain_trouble_of(&entry, &domain->entry);
    return entry;
}

static void fetch_succeeded(struct domain *domain, struct sts_policy *policy)
{
    struct sts_entry entry = entry_of(domain, policy);
    domain_tell_fetched(&entry, &domain->entry);
    sts_entry_clear(&domain->entry);
    domain->entry = entry;
    domains_written(domain->domains,
                    failures_forget(domain->domains->failures, domain->name, domain->entry.id));
    keep(domain);
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
    struct sts_situation s = domain_situation(domain);
    enum sts_step step = sts_refresh_step(&s);
    if (domain_note_record(domain))
        keep(domain);
    if (step == STS_STEP_FETCH) {
        domain->domains->counts.fetches++;
        domain->fetch = sts_fetch_start(domain->domains->fetcher, domain->name, on_fetched, domain);
        if (cached_will_do(domain))
            loop_defer(domain->domains->loop, &domain->early);
        return;
    }
    if (domain->refreshing)
        put_off(domain); /* within the five minutes after a failure */
    answer(domain, step);
}

/* ---- looking up --------------------------------------------------------------------------- */

/* A resolver keeps answers as well; this spares asking it for each message. */
static int64_t kept_for_ms(const struct dns_answer *txt)
{
    int64_t ttl_ms = (int64_t)txt->ttl * SECOND_MS;
    if (txt->outcome == DNS_TEMPFAIL)
        return SILENCE_KEPT_MS;
    return ttl_ms < TXT_KEPT_MS ? ttl_ms : TXT_KEPT_MS;
}

static void on_txt(void *ctx, const struct dns_answer *txt)
{
    struct domain *domain = ctx;
    domain->query = NULL;
    sts_txt_judge(txt, &domain->txt);
    domain->txt_until = loop_now(domain->domains->loop) + kept_for_ms(txt);
    consider(domain);
}

static void on_known(void *ctx)
{
    consider(ctx);
}

/* A lookup that failed a moment ago is not repeated either: it may have taken all its time. */
static void look_up(struct domain *domain)
{
    struct domains *domains = domain->domains;
    char name[DOMAIN_MAX + 16];
    if (loop_now(domains->loop) < domain->txt_until && strongest_wish(domain) == WISH_CURRENT) {
        loop_defer(domains->loop, &domain->known);
        return;
    }
    domains->counts.lookups++;
    snprintf(name, sizeof(name), "_mta-sts.%s", domain->name);
    domain->query = resolver_ask(domains->resolver, span_of(name), DNS_TXT, on_txt, domain);
}

void domain_begin(struct domain *domain)
{
    if (domain_is_under_way(domain))
        return;
    struct error *err =
        sts_cache_load(domain->domains->cache, span_of(domain->name), &domain->entry);
    if (err)
        domains_broken(domain->domains, err);
    else
        look_up(domain);
}

struct domain_asker *domain_ask(struct domains *domains, struct span name, enum policy_wish wish,
                                domain_done_fn *done, void *ctx)
{
    struct domain *domain = domains_take_up(domains, name);
    struct domain_asker *asker = memory_new(sizeof(*asker));
    asker->domain = domain;
    asker->wish = wish;
    asker->done = done;
    asker->ctx = ctx;
    list_append(&domain->askers, &asker->in_domain);
    domain_begin(domain);
    if (wish == WISH_CURRENT && cached_will_do(domain))
        loop_defer(domains->loop, &domain->early);
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
