#include "queue/store_once.h"

#include "lib/io/crypto.h"
#include "queue/records.pb-c.h"

enum { SWEPT_AT_ONCE = 8 }; /* more than one: so they never gather */

_Static_assert((int)ONCE_DIGEST_SIZE == (int)CRYPTO_SHA256_SIZE, "the digest is a SHA-256");

struct once once_of(struct span key)
{
    struct once once = { .is_given = key.len > 0 };

    if (once.is_given)
        crypto_sha256(key, once.digest);
    return once;
}

/* ---- keys that are over ------------------------------------------------------------------- */

/* *out_found false: there is none more. */
static struct error *find_oldest(struct store_txn *txn, int64_t *out_utc_ms, struct once *out,
                                 bool *out_found)
{
    struct record_key first = key_of_once_time(0, (unsigned char[ONCE_DIGEST_SIZE]){ 0 });
    struct kv_cursor *cursor = NULL;
    struct span key = { NULL, 0 };
    struct span value = { NULL, 0 };
    struct error *err = kv_cursor_open(txn->kv, TABLE_ONCE, &cursor);

    *out_found = false;
    if (!err)
        err = kv_cursor_seek(cursor, key_span(&first), &key, &value);
    if (!err && key.data)
        *out_found = key_read_once_time(key, out_utc_ms, out->digest);
    kv_cursor_close(&cursor);
    return err;
}

static struct error *forget(struct store_txn *txn, const struct once *once, int64_t at_utc_ms)
{
    struct record_key by_digest = key_of_once(once->digest);
    struct record_key by_time = key_of_once_time(at_utc_ms, once->digest);
    struct error *err = store_remove(txn, TABLE_ONCE, &by_digest);

    return err ? err : store_remove(txn, TABLE_ONCE, &by_time);
}

static struct error *sweep(struct store_txn *txn)
{
    struct error *err = NULL;
    bool is_found = true;

    for (int i = 0; i < SWEPT_AT_ONCE && !err && is_found; i++) {
        struct once oldest;
        int64_t at_utc_ms;
        err = find_oldest(txn, &at_utc_ms, &oldest, &is_found);
        if (err || !is_found || txn->now_ms - at_utc_ms <= ONCE_KEPT_MS)
            break;
        err = forget(txn, &oldest, at_utc_ms);
    }
    return err;
}

/* ---- one key ------------------------------------------------------------------------------ */

/* Each key has two rows. */
static struct error *refuse_too_many(struct store_txn *txn)
{
    uint64_t rows;
    struct error *err = kv_count(txn->kv, TABLE_ONCE, &rows);

    if (!err && rows >= 2 * (uint64_t)ONCE_KEYS_MAX)
        err = error_new(ERROR_LOCAL, "as many reports as %d were taken within three days",
                        ONCE_KEYS_MAX);
    return err;
}

static struct error *remember(struct store_txn *txn, const struct once *once, uint64_t id)
{
    struct record_key by_digest = key_of_once(once->digest);
    struct record_key by_time = key_of_once_time(txn->now_ms, once->digest);
    Queue__OnceRecord record = QUEUE__ONCE_RECORD__INIT;

    record.id = id;
    record.at_utc_ms = txn->now_ms;
    struct error *err = store_put(txn, TABLE_ONCE, &by_digest, &record.base);
    return err ? err : kv_put(txn->kv, TABLE_ONCE, key_span(&by_time), SPAN(""));
}

struct error *once_claim(struct store_txn *txn, const struct once *once, uint64_t id,
                         uint64_t *out_id)
{
    struct record_key key = key_of_once(once->digest);
    Queue__OnceRecord *record = NULL;
    struct error *err = sweep(txn);

    if (!err)
        err = store_get(txn, TABLE_ONCE, &key, &queue__once_record__descriptor, &record);
    if (err)
        return err;
    if (record && txn->now_ms - record->at_utc_ms <= ONCE_KEPT_MS) {
        *out_id = record->id;
        return NULL;
    }
    *out_id = id;
    err = record ? forget(txn, once, record->at_utc_ms) : refuse_too_many(txn);
    return err ? err : remember(txn, once, id);
}
