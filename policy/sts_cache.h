/*
 * sts_cache - the policies, kept on disk until they lapse and longer.  Owned by the policy role,
 * the only process that opens it.  A damaged database is set aside, never deleted, and a new one is
 * filled from the export and from what could still be read (design.md section 4).
 */
#ifndef WAXSEAL_POLICY_STS_CACHE_H
#define WAXSEAL_POLICY_STS_CACHE_H

#include "policy/sts_entry.h"

struct sts_cache;

/* How opening ended when it failed. */
enum sts_cache_refusal {
    STS_CACHE_TROUBLE,
    STS_CACHE_NEWER, /* written by a newer version: leave it alone */
};

struct error *sts_cache_open(const char *folder, int64_t wait_ms, struct sts_cache **out_cache,
                             enum sts_cache_refusal *out_refusal) MUST_CHECK;
void sts_cache_close(struct sts_cache **cache);

/* The entry of a domain, lapsed or not; its policy is NULL when there is none.  Cleared by the
 * caller. */
struct error *sts_cache_load(struct sts_cache *cache, struct span domain,
                             struct sts_entry *out_entry) MUST_CHECK;

/* On disk when it returns. */
struct error *sts_cache_store(struct sts_cache *cache, const struct sts_entry *entry) MUST_CHECK;
struct error *sts_cache_remove(struct sts_cache *cache, struct span domain) MUST_CHECK;

/*
 * The entries behind `after` in the order of their names, "" for all, at most `max`, until `each`
 * says false; each is lent.  Damaged ones are left out.
 */
typedef bool sts_entry_fn(void *ctx, const struct sts_entry *entry);
struct error *sts_cache_each(struct sts_cache *cache, struct span after, unsigned max,
                             sts_entry_fn *each, void *ctx) MUST_CHECK;
struct error *sts_cache_count(struct sts_cache *cache, uint64_t *out_count) MUST_CHECK;

/* Both ends belong to it. */
struct sts_span_of_time {
    int64_t from_utc_ms;
    int64_t to_utc_ms;
};

/* A fetch that failed. */
struct sts_failed {
    char domain[DOMAIN_MAX + 1];
    char id[STS_ID_MAX + 1];
    int64_t utc_ms;
    unsigned result; /* enum tls_result */
    char reason[STS_REASON_SIZE];
};

/* On disk when it returns; of the others, some that are older than `since_utc_ms` are forgotten. */
struct error *sts_cache_note_failed(struct sts_cache *cache, const struct sts_failed *failed,
                                    int64_t since_utc_ms) MUST_CHECK;
/* A fetch succeeded: its domain's failure, of that time, is forgotten. */
struct error *sts_cache_forget_failed(struct sts_cache *cache, int64_t utc_ms,
                                      const char *domain) MUST_CHECK;
/* Up to `max` failures of that time, the earliest first; each is lent.  Damaged ones are left out.
 */
typedef void sts_failed_fn(void *ctx, const struct sts_failed *failed);
struct error *sts_cache_each_failed(struct sts_cache *cache, struct sts_span_of_time when,
                                    unsigned max, sts_failed_fn *each, void *ctx) MUST_CHECK;

/* True when the last failure was for want of room: the database is whole, and a policy less. */
bool sts_cache_is_full(const struct sts_cache *cache);

/* Up to `max` domains whose refresh_utc_ms lies in that time, the earliest first. */
struct error *sts_cache_due(struct sts_cache *cache, struct sts_span_of_time when, unsigned max,
                            char (*domains)[DOMAIN_MAX + 1], unsigned *out_count) MUST_CHECK;

/*
 * Writes the export, a piece at each call, so that nobody waits long; *out_done when the new one
 * has taken the place of the old one.  After a failure the next call begins anew.
 */
struct error *sts_cache_export(struct sts_cache *cache, bool *out_done) MUST_CHECK;

/* Does the database hold what the last export, done or begun, does not? */
bool sts_cache_changed(const struct sts_cache *cache);

#endif
