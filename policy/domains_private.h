/*
 * domains_private - what domains.c (questions), domains_trouble.c (what the log and the alarms
 * tell) and domains_background.c (refreshes, and what the operator does) share.  Nobody else
 * includes it.
 */
#ifndef WAXSEAL_POLICY_DOMAINS_PRIVATE_H
#define WAXSEAL_POLICY_DOMAINS_PRIVATE_H

#include "lib/base/list.h"
#include "lib/base/map.h"
#include "policy/alarms.h"
#include "policy/domains.h"
#include "policy/failures.h"
#include "policy/refresh.h"

struct domains {
    struct loop *loop;
    struct sts_cache *cache;
    struct resolver *resolver;
    struct sts_fetcher *fetcher;
    struct failures *failures;
    struct alarms *alarms;
    const struct domains_events *events;
    void *ctx;
    struct map *by_name;
    struct list idle; /* the longest idle first */
    unsigned idle_count;
    unsigned clock;      /* how often it was set */
    bool pull_in;        /* refreshes may be due too late, by a clock that was ahead */
    unsigned refreshing; /* how many domains are, in the background */
    struct domains_counts counts;
};

struct domain {
    struct domains *domains;
    struct list in_idle;
    char name[DOMAIN_MAX + 1];
    struct list askers;
    bool refreshing;        /* in the background: nobody may be asking */
    struct loop_task known; /* the lookup's answer is known already */
    struct loop_task early; /* what is cached will do for some who ask while it is fetched */
    struct resolver_query *query;
    struct sts_fetch *fetch;
    struct sts_entry entry; /* as cached, while something is under way */
    struct sts_txt txt;
    int64_t txt_until;    /* monotonic: so long the lookup's answer is kept */
    bool tried;           /* a fetch, since the clock was set last ... */
    unsigned tried_clock; /* ... for the so-manieth time */
};

/* The domain of that name, made if need be, and not idle any more. */
struct domain *domains_take_up(struct domains *domains, struct span name);
/* Looks it up, unless something is under way already. */
void domain_begin(struct domain *domain);
bool domain_is_under_way(const struct domain *domain);
struct sts_situation domain_situation(const struct domain *domain);

void domains_broken(struct domains *domains, struct error *err);
/* Takes what a write came to.  A full disk costs the keeping of a policy, never its application. */
void domains_written(struct domains *domains, struct error *err);
/* Writes the entry, and notes what is wrong with it. */
void domains_keep(struct domains *domains, const struct sts_entry *entry);

/* ---- trouble: in domains_trouble.c */

void domain_tell_fetched(const struct sts_entry *newer, const struct sts_entry *older);
/* Notes and tells that DNS has no record any more, or has one again.  True: the entry changed. */
bool domain_note_record(struct domain *domain);
/* Notes and tells that the fetch failed.  True: the entry changed. */
bool domain_note_failure(struct domain *domain, const struct sts_fetched *fetched);
/* What is wrong with the entry that takes the place of `older`. */
struct sts_trouble domain_trouble_of(const struct sts_entry *newer, const struct sts_entry *older);

#endif
