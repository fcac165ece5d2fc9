#include "queue/store_release.h"

#include "lib/base/memory.h"
#include "queue/store_rows.h"

enum { ROW_BYTES = 1024 };

struct slice {
    struct release *release;
    struct store_txn *txn;
    struct due *rows; /* that are not due yet; in the arena */
    size_t count;
};

static struct error *read_slice(struct slice *slice, struct kv_cursor *cursor)
{
    struct release *release = slice->release;
    struct record_key from = key_of_due(&release->next);
    struct span hop = span_of(release->hop);
    struct due at;
    struct span key;
    struct span value;
    struct error *err = kv_cursor_seek(cursor, key_span(&from), &key, &value);

    release->more = false;
    for (size_t seen = 0; !err && key.data; seen++) {
        if (!key_read_due(key, &at) || !span_equal(at.hop, hop))
            return NULL;
        at.hop = hop;
        release->after = at;
        release->more = seen == RELEASE_SLICE;
        if (release->more)
            return NULL;
        if (at.utc_ms > slice->txn->now_ms && at.due_class != DUE_SUSPECT)
            slice->rows[slice->count++] = at;
        err = kv_cursor_next(cursor, &key, &value);
    }
    return err;
}

static struct error *release_row(const struct slice *slice, const struct due *row)
{
    Queue__RecipientRecord *recipient;
    struct store_txn *txn = slice->txn;
    struct error *err = recipient_get(txn, row->id, row->number, &recipient);

    if (err && store_txn_trouble(txn) == KV_FINE) {
        error_free(&err); /* it is set aside when its time comes */
        return NULL;
    }
    if (err || !recipient || recipient->held || !recipient->hop_failed)
        return err;
    slice->release->changed++;
    return recipient_move(txn, row->id, row->number, recipient, row->hop, row->due_class,
                          txn->now_ms);
}

static struct error *apply_release(struct operation *operation, struct store_txn *txn)
{
    struct release *release = (struct release *)operation;
    struct slice slice = { .release = release, .txn = txn };
    struct kv_cursor *cursor = NULL;

    release->changed = 0;
    slice.rows = arena_take(txn->arena, RELEASE_SLICE * sizeof(*slice.rows));
    struct error *err = kv_cursor_open(txn->kv, TABLE_DUE, &cursor);
    if (!err)
        err = read_slice(&slice, cursor);
    kv_cursor_close(&cursor);
    for (size_t i = 0; i < slice.count && !err; i++)
        err = release_row(&slice, &slice.rows[i]);
    return err;
}

struct release *release_new(struct span hop)
{
    struct release *release = memory_new(sizeof(*release));

    span_to_string(hop, release->hop, sizeof(release->hop));
    release->next.hop = span_of(release->hop);
    release->operation.lane = LANE_SETTLEMENT;
    release->operation.apply = apply_release;
    release->operation.bytes = (size_t)RELEASE_SLICE * ROW_BYTES;
    return release;
}

void release_advance(struct release *release)
{
    release->next = release->after;
}
