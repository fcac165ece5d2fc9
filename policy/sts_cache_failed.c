#include "policy/sts_cache_private.h"

#include <stdlib.h>
#include <string.h>

#include "lib/ipc/channel.h"
#include "policy/records.pb-c.h"

enum {
    RECORD_MAX = 512,
    FORGOTTEN_AT_ONCE = 4, /* more than are added: the table does not grow */
};

/* ---- records ------------------------------------------------------------------------------ */

static ProtobufCBinaryData field_of(char *text)
{
    return (ProtobufCBinaryData){ .len = strlen(text), .data = (uint8_t *)text };
}

static size_t pack(const struct sts_failed *failed, char room[RECORD_MAX])
{
    Policy__FailedRecord record = POLICY__FAILED_RECORD__INIT;
    struct sts_failed copy = *failed; /* protobuf-c wants pointers that may be written through */
    record.id = field_of(copy.id);
    record.result = copy.result;
    record.reason = field_of(copy.reason);
    ensure(policy__failed_record__get_packed_size(&record) <= RECORD_MAX);
    return policy__failed_record__pack(&record, (uint8_t *)room);
}

static bool take_field(ProtobufCBinaryData field, char *room, size_t size)
{
    return span_to_string(span_of_bytes(field), room, size);
}

static bool unpack(struct span key, struct span value, struct sts_failed *out)
{
    struct span bytes = sts_record_of(key, value);
    Policy__FailedRecord *record = NULL;
    memset(out, 0, sizeof(*out));
    if (bytes.data)
        record = policy__failed_record__unpack(NULL, bytes.len, (const uint8_t *)bytes.data);
    bool fine = record && take_field(record->id, out->id, sizeof(out->id)) &&
                take_field(record->reason, out->reason, sizeof(out->reason)) &&
                span_to_string(span_from(key, TIME_SIZE), out->domain, sizeof(out->domain));
    out->result = record ? record->result : 0;
    out->utc_ms = sts_time_of(key);
    if (record)
        policy__failed_record__free_unpacked(record, NULL);
    return fine;
}

/* ---- in a transaction --------------------------------------------------------------------- */

static struct error *txn_put(struct kv_txn *txn, const struct sts_failed *failed)
{
    struct sts_time_key key = sts_time_key(failed->utc_ms, failed->domain);
    char value[CHECKSUM_SIZE + RECORD_MAX];
    size_t len = pack(failed, value + CHECKSUM_SIZE);
    uint32_t sum =
        sts_checksum(sts_time_key_span(&key), (struct span){ value + CHECKSUM_SIZE, len });
    memcpy(value, &sum, sizeof(sum));
    return kv_put(txn, TABLE_FAILED, sts_time_key_span(&key),
                  (struct span){ value, CHECKSUM_SIZE + len });
}

/* Copies the first key of the table, if it is older; its length is 0 if there is none. */
static struct error *txn_oldest(struct kv_txn *txn, int64_t since_utc_ms, struct sts_time_key *out)
{
    struct kv_cursor *cursor = NULL;
    struct span key = { NULL, 0 }, value;
    struct error *err = kv_cursor_open(txn, TABLE_FAILED, &cursor);
    out->len = 0;
    if (!err)
        err = kv_cursor_seek(cursor, SPAN(""), &key, &value);
    if (!err && key.data && key.len > TIME_SIZE && key.len <= sizeof(out->bytes) &&
        sts_time_of(key) < since_utc_ms) {
        memcpy(out->bytes, key.data, key.len);
        out->len = key.len;
    }
    kv_cursor_close(&cursor);
    return err;
}

static struct error *txn_forget_old(struct kv_txn *txn, int64_t since_utc_ms)
{
    struct sts_time_key oldest = { .len = 1 };
    struct error *err = NULL;
    for (int i = 0; i < FORGOTTEN_AT_ONCE && !err && oldest.len > 0; i++) {
        err = txn_oldest(txn, since_utc_ms, &oldest);
        if (!err && oldest.len > 0)
            err = kv_remove(txn, TABLE_FAILED, sts_time_key_span(&oldest));
    }
    return err;
}

/* ---- the calls ---------------------------------------------------------------------------- */

/* Failures are not exported: they change nothing that the export holds. */
static struct error *end_write(struct sts_cache *cache, struct kv_txn **txn, struct error *err)
{
    bool changed = cache->changed;
    err = sts_end_write(cache, txn, err);
    cache->changed = changed;
    return err;
}

struct error *sts_cache_note_failed(struct sts_cache *cache, const struct sts_failed *failed,
                                    int64_t since_utc_ms)
{
    struct kv_txn *txn = NULL;
    struct error *err = kv_begin_write(cache->kv, &txn);
    if (err)
        return err;
    err = txn_forget_old(txn, since_utc_ms);
    if (!err)
        err = txn_put(txn, failed);
    err = end_write(cache, &txn, err);
    return err ? error_wrap(err, "policy cache: note a failure of %s", failed->domain) : NULL;
}

struct error *sts_cache_forget_failed(struct sts_cache *cache, int64_t utc_ms, const char *domain)
{
    struct sts_time_key key = sts_time_key(utc_ms, domain);
    struct kv_txn *txn = NULL;
    struct error *err = kv_begin_write(cache->kv, &txn);
    if (!err)
        err = end_write(cache, &txn, kv_remove(txn, TABLE_FAILED, sts_time_key_span(&key)));
    return err ? error_wrap(err, "policy cache: forget a failure of %s", domain) : NULL;
}

static struct error *walk(struct kv_cursor *cursor, struct sts_span_of_time when, unsigned max,
                          sts_failed_fn *each, void *ctx)
{
    struct sts_time_key first = sts_time_key(when.from_utc_ms, "");
    struct sts_failed failed;
    struct span key, value;
    struct error *err = kv_cursor_seek(cursor, sts_time_key_span(&first), &key, &value);
    for (unsigned count = 0; !err && count < max && key.data && key.len > TIME_SIZE &&
                             sts_time_of(key) <= when.to_utc_ms;
         count++) {
        if (unpack(key, value, &failed))
            each(ctx, &failed);
        err = kv_cursor_next(cursor, &key, &value);
    }
    return err;
}

struct error *sts_cache_each_failed(struct sts_cache *cache, struct sts_span_of_time when,
                                    unsigned max, sts_failed_fn *each, void *ctx)
{
    struct kv_txn *txn = NULL;
    struct kv_cursor *cursor = NULL;
    struct error *err = kv_begin_read(cache->kv, &txn);
    if (!err)
        err = kv_cursor_open(txn, TABLE_FAILED, &cursor);
    if (!err)
        err = walk(cursor, when, max, each, ctx);
    kv_cursor_close(&cursor);
    kv_abort(&txn);
    return err ? error_wrap(err, "policy cache: failures") : NULL;
}
