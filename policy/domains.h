/*
 * domains - which policy binds mail to a domain now: cached, looked up, fetched.  Called by the
 * role for deliver's questions, for the operator's, and for itself when a refresh is due.  Owns
 * what is under way: one lookup and one fetch per domain at a time, however many ask; and what must
 * not be forgotten too soon: lookups by their TTL, failed fetches.  What to do is decided by the
 * pure policy/refresh.
 */
#ifndef WAXSEAL_POLICY_DOMAINS_H
#define WAXSEAL_POLICY_DOMAINS_H

#include "policy/sts_cache.h"
#include "policy/sts_fetch.h"

struct alarms;
struct domains;
struct domain_asker;

enum policy_state { POLICY_ABSENT, POLICY_PRESENT, POLICY_UNKNOWN };

struct policy_answer {
    enum policy_state state;
    const struct sts_entry *entry; /* with POLICY_PRESENT */
    enum tls_result fetch_result;  /* why there is none, or no fresher one; SUCCESS: all well */
    const char *fetch_reason;      /* for people; "" when there is nothing to say */
};

/* How much is asked. */
enum policy_wish {
    WISH_CURRENT, /* what binds now */
    WISH_FRESH,   /* and fetch anew even with the same id */
    WISH_FORCED,  /* and even within the five minutes after a failure */
};

/*
 * A fetch failed, once: to be told to tlsrpt (RFC 8460 s.4.3.2.2).  `policy` is the one that binds
 * meanwhile; NULL: there is none.  Not called under mode none (RFC 8461 s.6), nor for trouble of
 * ours.
 */
typedef void domains_failed_fn(void *ctx, const char *domain, const struct sts_policy *policy,
                               enum tls_result result, const char *reason);
/* The database does not work any more: the role has to end. */
typedef void domains_broken_fn(void *ctx, struct error *err);

struct domains_events {
    domains_failed_fn *fetch_failed;
    domains_broken_fn *broken; /* takes `err` */
};

/* Cache, resolver and fetcher stay the caller's and outlive it. */
struct domains *domains_new(struct loop *loop, struct sts_cache *cache, struct resolver *resolver,
                            struct sts_fetcher *fetcher, const struct domains_events *events,
                            void *ctx);
void domains_free(struct domains **domains);

/*
 * Asks; `domain` is in our form (domain_normalize).  `done` is called exactly once, from the loop,
 * unless cancelled; what it gets is lent.
 */
typedef void domain_done_fn(void *ctx, const struct policy_answer *answer);
struct domain_asker *domain_ask(struct domains *domains, struct span domain, enum policy_wish wish,
                                domain_done_fn *done, void *ctx);
void domain_cancel(struct domain_asker **asker);

/* Begins the refreshes that are due now; called every few seconds. */
void domains_refresh_due(struct domains *domains);

/* The clock was set: nothing lapses before a fetch was tried again (design.md section 4). */
void domains_clock_was_set(struct domains *domains);

/*
 * An operator's word: forgets a policy, or takes one in (it is valid and not lapsed).  On disk when
 * they return; what is under way goes on with it.
 */
struct error *domains_drop(struct domains *domains, struct span domain) MUST_CHECK;
struct error *domains_take(struct domains *domains, const struct sts_entry *entry) MUST_CHECK;

/* What went on since the start. */
struct domains_counts {
    uint64_t lookups;
    uint64_t fetches;
    uint64_t fetches_failed;
};
struct domains_counts domains_counts(const struct domains *domains);
const struct alarms *domains_alarms(const struct domains *domains);

#endif
