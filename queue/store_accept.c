#include "queue/store_accept.h"

#include "lib/base/memory.h"
#include "lib/ipc/channel.h"
#include "lib/ipc/envelope_codec.h"
#include "queue/records.pb-c.h"
#include "queue/store_rows.h"

enum { ENVELOPE_BYTES = 1024 }; /* what rows add to a batch, about */

static struct error *mark_unfinished(struct store_txn *txn, uint64_t id)
{
    struct record_key key = key_of_id(id);
    Queue__ReceivingRecord record = QUEUE__RECEIVING_RECORD__INIT;

    record.since_utc_ms = txn->now_ms;
    return store_put(txn, TABLE_RECEIVING, &key, &record.base);
}

/* Its sender hears at once of aliases that stood for several (RFC 3461 s.5.2.7.3). */
static struct error *tell_of_expanded(struct accept *accept, struct store_txn *txn)
{
    Ipc__Envelope *envelope = envelope_to_message(accept->envelope);
    Queue__RecipientRecord *rows = arena_take(txn->arena, envelope->n_expanded * sizeof(*rows));
    Ipc__Result result = IPC__RESULT__INIT;
    Queue__MessageRecord *message = NULL;
    struct error *err = message_get(txn, accept->id, &message);

    result.status = bytes_of_span(SPAN("2.0.0"));
    notices_begin(&accept->notices, txn, accept->id, message, envelope->n_expanded);
    for (size_t i = 0; i < envelope->n_expanded && !err; i++) {
        queue__recipient_record__init(&rows[i]);
        rows[i].recipient = envelope->expanded[i];
        notices_add(&accept->notices, &(struct notify_recipient){ .record = &rows[i],
                                                                  .result = &result,
                                                                  .action = ACTION_EXPANDED });
    }
    if (!err)
        err = notices_put(&accept->notices);
    envelope_message_free(&envelope);
    return err;
}

/* It is in the queue already, or was: what came of it this time goes. */
static struct error *drop_doubled(const struct accept *accept, struct store_txn *txn)
{
    struct record_key key = key_of_id(accept->id);
    struct error *err = content_drop(txn, accept->id);

    return err ? err : store_remove(txn, TABLE_RECEIVING, &key);
}

static struct error *put_whole(struct accept *accept, struct store_txn *txn)
{
    struct record_key key = key_of_id(accept->id);
    struct new_message message = {
        .id = accept->id,
        .envelope = accept->envelope,
        .size = accept->size,
        .chunks = content_chunks(accept->size),
        .content_cost = content_cost(accept->size),
        .eight_bit = accept->eight_bit,
        .body = accept->body,
    };
    struct error *err = NULL;

    if (accept->first_chunk > 0)
        err = store_remove(txn, TABLE_RECEIVING, &key);
    if (!err)
        err = message_put(txn, &message);
    return err || accept->envelope->expanded_count == 0 ? err : tell_of_expanded(accept, txn);
}

/* The last part makes it a message. */
static struct error *make_whole(struct accept *accept, struct store_txn *txn)
{
    struct error *err = NULL;

    accept->taken_as = accept->id;
    if (accept->once.is_given)
        err = once_claim(txn, &accept->once, accept->id, &accept->taken_as);
    if (err)
        return err;
    return accept->taken_as == accept->id ? put_whole(accept, txn) : drop_doubled(accept, txn);
}

static struct error *apply_accept(struct operation *operation, struct store_txn *txn)
{
    struct accept *accept = (struct accept *)operation;
    struct error *err = content_put(txn, accept->id, accept->first_chunk, accept->content);

    if (!err && accept->last)
        return make_whole(accept, txn);
    if (!err && accept->first_chunk == 0)
        err = mark_unfinished(txn, accept->id);
    return err;
}

void accept_prepare(struct accept *accept)
{
    const struct envelope *envelope = accept->last ? accept->envelope : NULL;
    unsigned recipients = envelope ? envelope->recipient_count + envelope->expanded_count : 0;

    accept->operation.lane = LANE_ACCEPT;
    accept->operation.apply = apply_accept;
    accept->operation.bytes = accept->content.len + ((size_t)recipients + 1) * ENVELOPE_BYTES;
}

/* ---- what never became whole -------------------------------------------------------------- */

static struct error *apply_discard(struct operation *operation, struct store_txn *txn)
{
    const struct discard *discard = (const struct discard *)operation;
    struct record_key key = key_of_id(discard->id);
    struct error *err = content_drop(txn, discard->id);

    return err ? err : store_remove(txn, TABLE_RECEIVING, &key);
}

void discard_prepare(struct discard *discard)
{
    discard->operation.lane = LANE_SETTLEMENT;
    discard->operation.apply = apply_discard;
    discard->operation.bytes = ENVELOPE_BYTES;
}

static struct error *list_unfinished(struct kv_cursor *cursor, uint64_t **out_ids,
                                     size_t *out_count)
{
    struct span key;
    struct span value;
    uint64_t id;
    struct error *err = kv_cursor_seek(cursor, SPAN(""), &key, &value);

    while (!err && key.data) {
        if (key_read_id(key, &id)) {
            *out_ids = memory_resize(*out_ids, (*out_count + 1) * sizeof(**out_ids));
            (*out_ids)[(*out_count)++] = id;
        }
        err = kv_cursor_next(cursor, &key, &value);
    }
    return err;
}

struct error *store_unfinished(struct store *store, uint64_t **out_ids, size_t *out_count)
{
    struct kv_txn *txn = NULL;
    struct kv_cursor *cursor = NULL;
    struct error *err = kv_begin_read(store_kv(store), &txn);

    *out_ids = NULL;
    *out_count = 0;
    if (!err)
        err = kv_cursor_open(txn, TABLE_RECEIVING, &cursor);
    if (!err)
        err = list_unfinished(cursor, out_ids, out_count);
    kv_cursor_close(&cursor);
    kv_abort(&txn);
    return err;
}
