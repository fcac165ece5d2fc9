#include "queue/store_damage.h"

#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "queue/store_held.h"
#include "queue/store_hops.h"
#include "queue/store_rows.h"

enum { PLACE_BYTES = 2048, RECIPIENTS_MOST = 64 * 1024 };

/* Whose record cannot be read: NULL, without an error. */
static struct error *read_recipient(struct store_txn *txn, uint64_t id, uint32_t number,
                                    Queue__RecipientRecord **out)
{
    struct error *err = recipient_get(txn, id, number, out);

    if (err && store_txn_trouble(txn) == KV_FINE) {
        error_free(&err);
        *out = NULL;
    }
    if (*out && (!(*out)->recipient || !(*out)->recipient->forward_path))
        *out = NULL;
    return err;
}

/* Delivered: its row goes, whether it can be read or not. */
static struct error *end_place(const struct damage *damage, struct store_txn *txn, uint32_t number,
                               const Queue__RecipientRecord *recipient, uint32_t *ended)
{
    struct record_key key = key_of_part(damage->id, number);

    (*ended)++;
    if (recipient)
        return recipient_remove(txn, damage->id, number, recipient);
    struct error *err = hops_drop(txn, span_of(damage->hop), damage->id, number);
    return err ? err : store_remove(txn, TABLE_RECIPIENT, &key);
}

static struct error *set_place_aside(const struct damage *damage, struct store_txn *txn,
                                     const struct damaged_place *place, uint32_t *ended)
{
    Queue__RecipientRecord *recipient = NULL;
    struct error *err = read_recipient(txn, damage->id, place->number, &recipient);

    if (err)
        return err;
    if (place->is_delivered)
        return end_place(damage, txn, place->number, recipient, ended);
    if (!recipient)
        return hops_drop(txn, span_of(damage->hop), damage->id, place->number);
    return recipient->held ? NULL : recipient_hold(txn, damage->id, place->number, recipient);
}

/* How many recipients are left, as far as the message can be read. */
static struct error *count_ended(const struct damage *damage, struct store_txn *txn, uint32_t ended,
                                 bool *out_is_over)
{
    Queue__MessageRecord *message = NULL;
    struct error *err = message_get(txn, damage->id, &message);

    *out_is_over = false;
    if (err && store_txn_trouble(txn) == KV_FINE)
        error_free(&err);
    if (err || !message || ended == 0)
        return err;
    *out_is_over = message->pending <= ended;
    if (*out_is_over)
        return message_remove(txn, damage->id, message);
    message->pending -= ended;
    return message_update(txn, damage->id, message);
}

static struct error *apply_damage(struct operation *operation, struct store_txn *txn)
{
    const struct damage *damage = (const struct damage *)operation;
    uint32_t ended = 0;
    bool is_over = false;
    struct error *err = NULL;

    for (size_t i = 0; i < damage->count && !err; i++)
        err = set_place_aside(damage, txn, &damage->places[i], &ended);
    if (!err)
        err = count_ended(damage, txn, ended, &is_over);
    if (err || is_over)
        return err;
    struct held_facts facts = { .reason = span_of(damage->why), .is_damaged = true };
    return held_put(txn, damage->id, &facts);
}

struct damage *damage_new(uint64_t id, struct span hop, const char *why, size_t count)
{
    struct damage *damage = memory_new(sizeof(*damage) + count * sizeof(damage->places[0]));

    damage->id = id;
    damage->why = why;
    span_to_string(hop, damage->hop, sizeof(damage->hop));
    damage->count = count;
    damage->operation.lane = LANE_SETTLEMENT;
    damage->operation.apply = apply_damage;
    damage->operation.bytes = (count + 1) * PLACE_BYTES;
    return damage;
}

/* ---- away with it -------------------------------------------------------------------------- */

/* One that still is in `due` goes from there when its time comes, and nobody is found. */
static struct error *remove_recipient(struct store_txn *txn, struct row_place at)
{
    struct record_key key = key_of_part(at.id, at.number);
    Queue__RecipientRecord *recipient = NULL;
    struct error *err = read_recipient(txn, at.id, at.number, &recipient);

    if (!err && recipient)
        return recipient_remove(txn, at.id, at.number, recipient);
    return err ? err : store_remove(txn, TABLE_RECIPIENT, &key);
}

struct error *damaged_remove(struct store_txn *txn, uint64_t id)
{
    struct record_key key = key_of_id(id);
    struct row_place *places;
    size_t count;
    struct error *err =
        recipient_places(txn, (struct row_place){ id, 0 }, true, RECIPIENTS_MOST, &places, &count);

    for (size_t i = 0; i < count && !err; i++)
        err = remove_recipient(txn, places[i]);
    if (!err)
        err = content_drop(txn, id);
    if (!err)
        err = held_remove(txn, id);
    if (!err)
        err = store_remove(txn, TABLE_MESSAGE, &key);
    if (err)
        return err;
    uint64_t cost = message_rows_cost(count);
    txn->usage.bytes -= cost < txn->usage.bytes ? cost : txn->usage.bytes;
    txn->usage.messages -= txn->usage.messages > 0;
    return NULL;
}

void damage_log(const struct damage *damage)
{
    struct log_line line;

    log_begin(&line, LOG_ERROR, "queue-record-damaged");
    log_qid(&line, damage->id);
    log_string(&line, "why", damage->why);
    log_string(&line, "help",
               "it is held; waxseal queue show tells what is left, waxseal queue remove ends it");
    log_end(&line);
}
