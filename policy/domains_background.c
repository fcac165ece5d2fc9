/* Refreshes that are due by themselves, and what an operator does to the cache. */
#include "policy/domains_private.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/memory.h"

enum {
    REFRESHES_AT_ONCE = 50, /* of the STS_FETCHES_MAX, so that mail never waits for them */
    DUE_LOOKED_AT = 2 * REFRESHES_AT_ONCE, /* half of them may be under way already */
};

/* ---- refreshes ---------------------------------------------------------------------------- */

/* One that nobody used in a month is left to lapse, and then asked for once more. */
static bool let_lapse(struct domains *domains, struct sts_entry *entry, int64_t now)
{
    if (sts_refresh_wanted(now, entry->used_utc_ms) || sts_entry_expires(entry) < now)
        return false;
    entry->refresh_utc_ms = now + DAY_MS;
    domains_keep(domains, entry);
    return true;
}

/* False when it is under way already. */
static bool refresh(struct domains *domains, const char *name, int64_t now)
{
    struct sts_entry entry;
    struct domain *domain = map_get(domains->by_name, span_of(name));
    if (domain && domain->refreshing)
        return false;
    struct error *err = sts_cache_load(domains->cache, span_of(name), &entry);
    if (err) {
        domains_broken(domains, err);
        return true;
    }
    if (entry.policy && !let_lapse(domains, &entry, now)) {
        domain = domains_take_up(domains, span_of(name));
        domain->refreshing = true;
        domains->refreshing++;
        domain_begin(domain);
    }
    sts_entry_clear(&entry);
    return true;
}

/* As many as there is room for, which becomes less; false when none is due then. */
static bool refresh_those(struct domains *domains, struct sts_span_of_time when, int64_t now,
                          unsigned *room)
{
    char(*due)[DOMAIN_MAX + 1] = memory_new_array(DUE_LOOKED_AT, sizeof(*due));
    unsigned count = 0;
    struct error *err = sts_cache_due(domains->cache, when, DUE_LOOKED_AT, due, &count);
    if (err)
        domains_broken(domains, err);
    for (unsigned i = 0; i<count && * room> 0; i++)
        if (refresh(domains, due[i], now))
            (*room)--;
    free(due);
    return count > 0;
}

/* No refresh is ever put off for longer than a day: what is, was by a clock that was ahead. */
void domains_refresh_due(struct domains *domains)
{
    int64_t now = clock_utc_ms();
    struct sts_span_of_time past = { 0, now };
    struct sts_span_of_time too_far = { now + 2 * DAY_MS, INT64_MAX };
    unsigned room = REFRESHES_AT_ONCE - domains->refreshing;
    refresh_those(domains, past, now, &room);
    if (room > 0 && domains->pull_in)
        domains->pull_in = refresh_those(domains, too_far, now, &room);
}

/* ---- the operator ------------------------------------------------------------------------- */

/* What is under way goes on with what the cache holds now; nothing is written from before. */
static void reload(struct domains *domains, struct span name)
{
    struct domain *domain = map_get(domains->by_name, name);
    if (!domain)
        return;
    domain->txt_until = 0;
    sts_entry_clear(&domain->entry);
    if (!domain_is_under_way(domain))
        return;
    struct error *err = sts_cache_load(domains->cache, name, &domain->entry);
    if (err)
        domains_broken(domains, err);
}

struct error *domains_drop(struct domains *domains, struct span name)
{
    char text[DOMAIN_MAX + 1];
    struct error *err = sts_cache_remove(domains->cache, name);
    if (err)
        return err;
    ensure(span_to_string(name, text, sizeof(text)));
    alarms_forget(domains->alarms, text);
    reload(domains, name);
    return NULL;
}

struct error *domains_take(struct domains *domains, const struct sts_entry *entry)
{
    struct error *err = sts_cache_store(domains->cache, entry);
    if (err)
        return err;
    alarms_note(domains->alarms, entry);
    reload(domains, span_of(entry->domain));
    return NULL;
}

const struct alarms *domains_alarms(const struct domains *domains)
{
    return domains->alarms;
}

struct domains_counts domains_counts(const struct domains *domains)
{
    return domains->counts;
}
