/*
 * sts_cache_private - what sts_cache.c (policies), sts_cache_walk.c (all of them in order) and
 * sts_cache_failed.c (fetches that failed) share.  Nobody else includes it.
 */
#ifndef WAXSEAL_POLICY_STS_CACHE_PRIVATE_H
#define WAXSEAL_POLICY_STS_CACHE_PRIVATE_H

#include "lib/io/kv.h"
#include "policy/sts_cache.h"

enum {
    TABLE_META,
    TABLE_POLICY, /* domain: checksum, record */
    TABLE_DUE,    /* refresh time, domain: nothing */
    TABLE_FAILED, /* time of the failure, domain: checksum, record */
    TABLE_COUNT,
    CHECKSUM_SIZE = 4,
    TIME_SIZE = 8,
    PATH_SIZE = 1024,
};

struct sts_cache {
    struct kv *kv;
    char folder[PATH_SIZE];
    enum kv_trouble trouble;   /* of the last call that failed */
    bool changed;              /* since the last export began */
    struct sts_export *export; /* being written */
    char exported_to[DOMAIN_MAX + 1];
};

/* A key that begins with a time, so that a walk goes by time. */
struct sts_time_key {
    char bytes[TIME_SIZE + DOMAIN_MAX];
    size_t len;
};
struct sts_time_key sts_time_key(int64_t utc_ms, const char *domain);
struct span sts_time_key_span(const struct sts_time_key *key);
int64_t sts_time_of(struct span key);

/* Of a record that is kept under a name; values are the sum, then the record. */
uint32_t sts_checksum(struct span name, struct span record);
/* The record within a value; data NULL when the checksum does not fit. */
struct span sts_record_of(struct span name, struct span value);

/* Ends a write transaction: commits it, or gives it up when `err` says so. */
struct error *sts_end_write(struct sts_cache *cache, struct kv_txn **txn,
                            struct error *err) MUST_CHECK;

#endif
