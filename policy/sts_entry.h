/*
 * sts_entry - a policy with what belongs to its keeping: domain, id, times; and its record.
 * Called by sts_cache and sts_export, read by the role.  Pure.
 */
#ifndef WAXSEAL_POLICY_STS_ENTRY_H
#define WAXSEAL_POLICY_STS_ENTRY_H

#include "lib/base/error.h"
#include "lib/base/limits.h"
#include "policy/sts_policy.h"

struct sts_entry {
    char domain[DOMAIN_MAX + 1];
    char id[STS_ID_MAX + 1];
    struct sts_policy *policy; /* owned; NULL: there is no entry */
    int64_t fetched_utc_ms;
    int64_t used_utc_ms;
    int64_t refresh_utc_ms;
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
