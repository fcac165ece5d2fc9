#include "policy/sts_cache_private.h"

/* Walks from the domain behind `after` on; what is damaged is left out. */
static struct error *walk(struct kv_cursor *cursor, struct span after, unsigned max,
                          sts_entry_fn *each, void *ctx)
{
    struct sts_entry entry;
    struct span key, value;
    struct error *err = kv_cursor_seek(cursor, after, &key, &value);
    if (!err && key.data && span_equal(key, after))
        err = kv_cursor_next(cursor, &key, &value);
    for (unsigned i = 0; !err && key.data && i < max; i++) {
        struct span record = sts_record_of(key, value);
        if (record.data && sts_entry_unpack(record, &entry)) {
            bool more = each(ctx, &entry);
            sts_entry_clear(&entry);
            if (!more)
                break;
        }
        err = kv_cursor_next(cursor, &key, &value);
    }
    return err;
}

struct error *sts_cache_each(struct sts_cache *cache, struct span after, unsigned max,
                             sts_entry_fn *each, void *ctx)
{
    struct kv_txn *txn = NULL;
    struct kv_cursor *cursor = NULL;
    struct error *err = kv_begin_read(cache->kv, &txn);
    if (!err)
        err = kv_cursor_open(txn, TABLE_POLICY, &cursor);
    if (!err)
        err = walk(cursor, after, max, each, ctx);
    kv_cursor_close(&cursor);
    kv_abort(&txn);
    return err ? error_wrap(err, "policy cache: list") : NULL;
}

struct error *sts_cache_count(struct sts_cache *cache, uint64_t *out_count)
{
    struct kv_txn *txn = NULL;
    *out_count = 0;
    struct error *err = kv_begin_read(cache->kv, &txn);
    if (!err)
        err = kv_count(txn, TABLE_POLICY, out_count);
    kv_abort(&txn);
    return err ? error_wrap(err, "policy cache: count") : NULL;
}
