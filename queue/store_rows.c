#include "queue/store_rows.h"

#include <stdlib.h>
#include <string.h>

#include "lib/ipc/channel.h"
#include "lib/ipc/envelope_codec.h"
#include "queue/routes.h"
#include "queue/store_held.h"
#include "queue/store_hops.h"

/* Records, their keys and the rows by which they wait, about. */
enum { MESSAGE_ROWS_COST = 512, RECIPIENT_ROWS_COST = 768 };

/* ---- content ------------------------------------------------------------------------------ */

uint32_t content_chunks(uint64_t len)
{
    return (uint32_t)((len + CHUNK_BYTES - 1) / CHUNK_BYTES);
}

uint64_t content_cost(uint64_t len)
{
    uint64_t rest = len % CHUNK_BYTES;

    return len / CHUNK_BYTES * chunk_cost(CHUNK_BYTES) + (rest > 0 ? chunk_cost(rest) : 0);
}

struct error *content_put(struct store_txn *txn, uint64_t id, uint32_t first_chunk,
                          struct span content)
{
    txn->usage.bytes += content_cost(content.len);
    for (uint32_t chunk = first_chunk; content.len > 0; chunk++) {
        struct record_key key = key_of_part(id, chunk);
        struct span piece = span_first(content, CHUNK_BYTES);
        char *room;
        struct error *err =
            kv_put_room(txn->kv, TABLE_CONTENT, key_span(&key), piece.len + RECORD_SUM_SIZE, &room);
        if (err)
            return err;
        chunk_write(key_span(&key), piece, room);
        content = span_from(content, piece.len);
    }
    return NULL;
}

static struct error *content_remove(struct store_txn *txn, uint64_t id, uint32_t chunks)
{
    for (uint32_t chunk = 0; chunk < chunks; chunk++) {
        struct record_key key = key_of_part(id, chunk);
        struct error *err = store_remove(txn, TABLE_CONTENT, &key);
        if (err)
            return err;
    }
    return NULL;
}

/* Its chunks are those there are: a crash may have cut them anywhere. */
struct error *content_drop(struct store_txn *txn, uint64_t id)
{
    for (uint32_t chunk = 0;; chunk++) {
        struct record_key key = key_of_part(id, chunk);
        struct span value;
        struct error *err = kv_get(txn->kv, TABLE_CONTENT, key_span(&key), &value);
        if (err || !value.data)
            return err;
        uint64_t cost = chunk_cost(value.len - RECORD_SUM_SIZE);
        txn->usage.bytes -= cost < txn->usage.bytes ? cost : txn->usage.bytes;
        err = store_remove(txn, TABLE_CONTENT, &key);
        if (err)
            return err;
    }
}

/* ---- messages ----------------------------------------------------------------------------- */

uint64_t message_rows_cost(uint64_t recipients)
{
    return MESSAGE_ROWS_COST + RECIPIENT_ROWS_COST * recipients;
}

struct error *message_get(struct store_txn *txn, uint64_t id, Queue__MessageRecord **out_message)
{
    struct record_key key = key_of_id(id);

    return store_get(txn, TABLE_MESSAGE, &key, &queue__message_record__descriptor, out_message);
}

struct error *message_update(struct store_txn *txn, uint64_t id,
                             const Queue__MessageRecord *message)
{
    struct record_key key = key_of_id(id);

    return store_put(txn, TABLE_MESSAGE, &key, &message->base);
}

struct error *message_remove(struct store_txn *txn, uint64_t id,
                             const Queue__MessageRecord *message)
{
    struct record_key key = key_of_id(id);
    struct error *err = content_remove(txn, id, message->chunks);

    if (!err)
        err = held_remove(txn, id);
    if (!err)
        err = store_remove(txn, TABLE_MESSAGE, &key);
    if (err)
        return err;
    txn->usage.bytes -= message->cost < txn->usage.bytes ? message->cost : txn->usage.bytes;
    if (txn->usage.messages > 0)
        txn->usage.messages--;
    return NULL;
}

/* One recipient of a new message, due now. */
static struct error *put_recipient(struct store_txn *txn, const struct new_message *message,
                                   const Ipc__Envelope *envelope, Ipc__Recipient *recipient,
                                   unsigned bucket)
{
    Queue__RecipientRecord record = QUEUE__RECIPIENT_RECORD__INIT;

    struct routing routing;

    record.recipient = recipient;
    record.bucket = bucket;
    record.accepted_utc_ms = txn->now_ms;
    record.held = true; /* no row in `due` yet */
    struct routing_facts facts = routes_facts(envelope, &record);
    schedule_route(txn->schedule, &facts, &routing);
    return recipient_move(txn, message->id, recipient->number, &record, span_of(routing.hop),
                          due_class_of(envelope, false), txn->now_ms);
}

static struct error *put_recipients(struct store_txn *txn, const struct new_message *message,
                                    Ipc__Envelope *envelope)
{
    unsigned bucket = sender_bucket(span_of(message->envelope->user),
                                    span_of(message->envelope->reverse_path.domain));
    struct error *err = NULL;

    for (size_t i = 0; i < envelope->n_recipients && !err; i++)
        err = put_recipient(txn, message, envelope, envelope->recipients[i], bucket);
    return err;
}

struct error *message_put(struct store_txn *txn, const struct new_message *message)
{
    Queue__MessageRecord record = QUEUE__MESSAGE_RECORD__INIT;
    Ipc__Envelope *envelope = envelope_to_message(message->envelope);
    uint64_t rows_cost = message_rows_cost(envelope->n_recipients);

    struct error *err = put_recipients(txn, message, envelope);
    record.envelope = envelope;
    record.size = message->size;
    record.chunks = message->chunks;
    record.eight_bit = message->eight_bit;
    record.recipients = (uint32_t)envelope->n_recipients;
    record.pending = record.recipients;
    record.cost = message->content_cost + rows_cost;
    record.accepted_utc_ms = txn->now_ms;
    record.notification = message->notification;
    body_hashes_to_bytes(&message->body, &record.body_sha256_relaxed, &record.body_sha256_simple);
    record.postmaster_copy = message->postmaster_copy;
    envelope->n_recipients = envelope->n_expanded = 0; /* they have rows, or were told of */
    if (!err)
        err = message_update(txn, message->id, &record);
    envelope_message_free(&envelope);
    txn->usage.bytes += rows_cost;
    txn->usage.messages++;
    return err;
}

/* A held one has a next hop, too: where it waits once it is released. */
static struct error *restore_recipient(struct store_txn *txn, uint64_t id,
                                       const Queue__MessageRecord *message,
                                       const Queue__RecipientRecord *recipient, bool is_held)
{
    Queue__RecipientRecord copy = *recipient; /* which points to what is the caller's */
    struct routing_facts facts = routes_facts(message->envelope, recipient);
    struct routing routing;
    int64_t due_ms = copy.due_utc_ms < txn->now_ms ? txn->now_ms : copy.due_utc_ms;

    copy.held = true; /* no row in `due` yet */
    copy.accepted_utc_ms = message->accepted_utc_ms;
    copy.last_lease = 0;
    schedule_route(txn->schedule, &facts, &routing);
    struct error *err =
        recipient_move(txn, id, copy.recipient->number, &copy, span_of(routing.hop),
                       due_class_of(message->envelope, recipient->attempts > 0), due_ms);
    return err || !is_held ? err : recipient_hold(txn, id, copy.recipient->number, &copy);
}

static struct error *restore_recipients(struct store_txn *txn, uint64_t id,
                                        const Queue__ExportRecord *record)
{
    bool holds = !record->held || !held_is_damage_alone(record->held);
    bool any_held = false;
    struct error *err = NULL;

    for (size_t i = 0; i < record->n_recipients && !err; i++) {
        bool is_held = holds && record->recipients[i]->held;
        err = restore_recipient(txn, id, record->message, record->recipients[i], is_held);
        any_held = any_held || is_held;
    }
    return err || !any_held ? err : held_restore(txn, id, record->held);
}

struct error *message_restore(struct store_txn *txn, uint64_t id, Queue__ExportRecord *record)
{
    struct record_key key = key_of_id(id);
    Queue__MessageRecord *message = record->message;
    size_t count = record->n_recipients;
    uint64_t rows_cost = message_rows_cost(count);
    struct error *err = store_remove(txn, TABLE_RECEIVING, &key);

    if (!err)
        err = restore_recipients(txn, id, record);
    message->chunks = content_chunks(message->size);
    message->pending = (uint32_t)count;
    message->deaths = 0;
    message->cost = content_cost(message->size) + rows_cost;
    txn->usage.bytes += rows_cost;
    txn->usage.messages++;
    return err ? err : message_update(txn, id, message);
}

/* ---- recipients --------------------------------------------------------------------------- */

static struct due due_of(const Queue__RecipientRecord *recipient, uint64_t id, uint32_t number)
{
    return (struct due){
        .hop = span_of_bytes(recipient->next_hop),
        .due_class = (enum due_class)recipient->due_class,
        .bucket = recipient->bucket,
        .utc_ms = recipient->due_utc_ms,
        .id = id,
        .number = number,
    };
}

struct error *recipient_get(struct store_txn *txn, uint64_t id, uint32_t number,
                            Queue__RecipientRecord **out_recipient)
{
    struct record_key key = key_of_part(id, number);

    return store_get(txn, TABLE_RECIPIENT, &key, &queue__recipient_record__descriptor,
                     out_recipient);
}

struct error *recipient_update(struct store_txn *txn, uint64_t id, uint32_t number,
                               const Queue__RecipientRecord *recipient)
{
    struct record_key key = key_of_part(id, number);

    return store_put(txn, TABLE_RECIPIENT, &key, &recipient->base);
}

static struct error *remove_due(struct store_txn *txn, uint64_t id, uint32_t number,
                                const Queue__RecipientRecord *recipient)
{
    struct due due = due_of(recipient, id, number);

    return recipient->held ? NULL : hops_remove_due(txn, &due, recipient->accepted_utc_ms);
}

struct error *recipient_remove(struct store_txn *txn, uint64_t id, uint32_t number,
                               const Queue__RecipientRecord *recipient)
{
    struct record_key key = key_of_part(id, number);
    struct error *err = remove_due(txn, id, number, recipient);

    return err ? err : store_remove(txn, TABLE_RECIPIENT, &key);
}

/* A row written before it kept its arrival learns it from its message. */
static struct error *arrival_of(struct store_txn *txn, uint64_t id,
                                const Queue__RecipientRecord *recipient, int64_t *out_utc_ms)
{
    Queue__MessageRecord *message = NULL;

    *out_utc_ms = recipient->accepted_utc_ms;
    if (*out_utc_ms != 0)
        return NULL;
    struct error *err = message_get(txn, id, &message);
    if (message)
        *out_utc_ms = message->accepted_utc_ms;
    return err;
}

struct error *recipient_move(struct store_txn *txn, uint64_t id, uint32_t number,
                             Queue__RecipientRecord *recipient, struct span hop,
                             enum due_class due_class, int64_t utc_ms)
{
    int64_t arrived_utc_ms;
    struct error *err = arrival_of(txn, id, recipient, &arrived_utc_ms);

    if (!err)
        err = remove_due(txn, id, number, recipient);
    if (err)
        return err;
    recipient->accepted_utc_ms = arrived_utc_ms;
    recipient->next_hop = bytes_of_span(hop);
    recipient->due_class = due_class;
    recipient->due_utc_ms = utc_ms;
    recipient->held = false;
    struct due due = due_of(recipient, id, number);
    err = hops_add_due(txn, &due, recipient->accepted_utc_ms);
    return err ? err : recipient_update(txn, id, number, recipient);
}

struct error *recipient_hold(struct store_txn *txn, uint64_t id, uint32_t number,
                             Queue__RecipientRecord *recipient)
{
    struct error *err = remove_due(txn, id, number, recipient);

    recipient->held = true;
    return err ? err : recipient_update(txn, id, number, recipient);
}

struct error *recipient_places(struct store_txn *txn, struct row_place from, bool one_message,
                               size_t most, struct row_place **out_places, size_t *out_count)
{
    struct row_place *places = arena_take(txn->arena, most * sizeof(*places));
    struct record_key start = key_of_part(from.id, from.number);
    struct kv_cursor *cursor = NULL;
    struct row_place at;
    struct span key;
    struct span value;
    size_t count = 0;

    struct error *err = kv_cursor_open(txn->kv, TABLE_RECIPIENT, &cursor);
    if (!err)
        err = kv_cursor_seek(cursor, key_span(&start), &key, &value);
    while (!err && key.data && count < most && key_read_part(key, &at.id, &at.number) &&
           (!one_message || at.id == from.id)) {
        places[count++] = at;
        err = kv_cursor_next(cursor, &key, &value);
    }
    kv_cursor_close(&cursor);
    *out_places = places;
    *out_count = count;
    return err;
}
