/*
 * sts_entry - a policy with what belongs to its keeping: domain, id, times; and its record.
 * Called by sts_cache and sts_export, read by the role.  Pure.
 */
#ifndef WAXSEAL_POLICY_STS_ENTRY_H
#define WAXSEAL_POLICY_STS_ENTRY_H

#include "lib/base/error.h"
#include "lib/base/limits.h"
#include "policy/sts_policy.h"

/* What an administrator should hear of (RFC 8461 s.3.3 and s.10.2); times are 0 for all well. */
struct sts_trouble {
    int64_t failing_utc_ms; /* since when fetches fail */
    char failing_reason[STS_REASON_SIZE];
    int64_t gone_utc_ms; /* since when DNS has no valid record */
    int64_t weakened_utc_ms;
    unsigned weakened; /* in what: enum sts_weakening */
};

struct sts_entry {
    char domain[DOMAIN_MAX + 1];
    char id[STS_ID_MAX + 1];
    struct sts_policy *policy; /* owned; NULL: there is no entry */
    int64_t fetched_utc_ms;
    int64_t used_utc_ms;
    int64_t refresh_utc_ms;
    struct sts_trouble trouble;
};

enum { STS_RECORD_MAX = 256 * 1024 };

void sts_entry_clear(struct sts_entry *entry);

/* When the policy lapses. */
int64_t sts_entry_expires(const struct sts_entry *entry);

/* The record, allocated; *out_len is never more than STS_RECORD_MAX. */
char *sts_entry_pack(const struct sts_entry *entry, size_t *out_len);

/* Fails for what no version of ours can have written; then *out is empty. */
bool sts_entry_unpack(struct span record, struct sts_entry *out);

#endif
