#include "queue/store_damage.h"

#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/ipc/channel.h"
#include "queue/store_held.h"
#include "queue/store_history.h"
#include "queue/store_hops.h"

enum { PLACE_BYTES = 2048, RECIPIENTS_MOST = 64 * 1024 };

/* Of the recipients that a damage is about. */
struct counts {
    uint32_t ended;
    uint32_t aside; /* whether they can be read or not */
};

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
                               const Queue__RecipientRecord *recipient)
{
    struct record_key key = key_of_part(damage->id, number);

    if (recipient)
        return recipient_remove(txn, damage->id, number, recipient);
    struct error *err = hops_drop(txn, span_of(damage->hop), damage->id, number);
    return err ? err : store_remove(txn, TABLE_RECIPIENT, &key);
}

static struct error *look_for(struct store_txn *txn, enum queue_table table, struct record_key key,
                              bool *out_there)
{
    struct span value = { NULL, 0 };
    struct error *err = kv_get(txn->kv, table, key_span(&key), &value);

    *out_there = value.data != NULL;
    return err;
}

static struct error *set_place_aside(const struct damage *damage, struct store_txn *txn,
                                     const struct damaged_place *place, struct counts *counts)
{
    Queue__RecipientRecord *recipient = NULL;
    bool is_there;
    struct error *err =
        look_for(txn, TABLE_RECIPIENT, key_of_part(damage->id, place->number), &is_there);

    if (!err)
        err = read_recipient(txn, damage->id, place->number, &recipient);
    if (err)
        return err;
    if (place->is_delivered) {
        counts->ended += is_there; /* whoever is gone was counted: an outcome may come twice */
        return end_place(damage, txn, place->number, recipient);
    }
    counts->aside += is_there;
    if (!recipient)
        return hops_drop(txn, span_of(damage->hop), damage->id, place->number);
    return recipient->held ? NULL : recipient_hold(txn, damage->id, place->number, recipient);
}

static struct error *read_message(struct store_txn *txn, uint64_t id, Queue__MessageRecord **out)
{
    struct error *err = message_get(txn, id, out);

    if (err && store_txn_trouble(txn) == KV_FINE) {
        error_free(&err);
        *out = NULL;
    }
    return err;
}

/* ---- away with it -------------------------------------------------------------------------- */

/* What is kept of those whom an operator removes. */
struct removing {
    const struct history_act *act;
    struct removals *removals;
    const Queue__MessageRecord *message; /* NULL: it cannot be read */
};

static struct error *note_removal(const struct removing *removing, struct store_txn *txn,
                                  struct row_place at, const Queue__RecipientRecord *recipient)
{
    Ipc__Result result = IPC__RESULT__INIT;
    const struct history_facts facts = {
        .id = at.id,
        .number = at.number,
        .message = removing->message,
        .recipient = recipient,
        .result = &result,
        .act = removing->act,
    };

    result.kind = IPC__RESULT_KIND__FAILED;
    result.reply = bytes_of_span(removing->act->words);
    removals_add(removing->removals, txn, at.id, removing->message, recipient);
    return history_put(txn, &facts);
}

/* One that still is in `due` goes from there when its time comes, and nobody is found. */
static struct error *remove_recipient(struct store_txn *txn, struct row_place at,
                                      const struct removing *removing)
{
    struct record_key key = key_of_part(at.id, at.number);
    Queue__RecipientRecord *recipient = NULL;
    struct error *err = read_recipient(txn, at.id, at.number, &recipient);

    if (!err && removing)
        err = note_removal(removing, txn, at, recipient);
    if (!err && recipient)
        return recipient_remove(txn, at.id, at.number, recipient);
    return err ? err : store_remove(txn, TABLE_RECIPIENT, &key);
}

/* `ended` of its recipients are gone already, and their cost is not given back yet; where nobody
 * else is left `removing` may be NULL. */
static struct error *remove_all(struct store_txn *txn, uint64_t id, uint32_t ended,
                                const struct removing *removing)
{
    struct record_key key = key_of_id(id);
    struct row_place *places;
    size_t count;
    struct error *err =
        recipient_places(txn, (struct row_place){ id, 0 }, true, RECIPIENTS_MOST, &places, &count);

    for (size_t i = 0; i < count && !err; i++)
        err = remove_recipient(txn, places[i], removing);
    if (!err)
        err = content_drop(txn, id);
    if (!err)
        err = held_remove(txn, id);
    if (!err)
        err = store_remove(txn, TABLE_MESSAGE, &key);
    if (err)
        return err;
    uint64_t cost = message_rows_cost(count + ended);
    txn->usage.bytes -= cost < txn->usage.bytes ? cost : txn->usage.bytes;
    txn->usage.messages -= txn->usage.messages > 0;
    return NULL;
}

/* ---- setting aside -------------------------------------------------------------------------- */

/* So many of it wait no more; it goes with the last. */
static struct error *count_ended(struct store_txn *txn, uint64_t id, uint32_t ended,
                                 Queue__MessageRecord *message, bool *out_is_over)
{
    *out_is_over = message->pending <= ended;
    if (*out_is_over)
        return message_remove(txn, id, message);
    message->pending -= ended;
    return message_update(txn, id, message);
}

/*
 * No recipient was set aside: they were delivered, or an operator removed them and their rows of
 * `due` were left.  If others wait, they go on; if none does, nobody could ever find the message.
 */
static struct error *end_unless_others_wait(struct damage *damage, struct store_txn *txn,
                                            const Queue__MessageRecord *message, uint32_t ended)
{
    struct row_place *places;
    size_t count;
    bool is_there;
    struct error *err =
        recipient_places(txn, (struct row_place){ damage->id, 0 }, true, 1, &places, &count);

    if (!err)
        err = look_for(txn, TABLE_MESSAGE, key_of_id(damage->id), &is_there);
    if (err)
        return err;
    damage->is_over = (count > 0) == (message != NULL);
    return damage->is_over && !message && is_there ? remove_all(txn, damage->id, ended, NULL)
                                                   : NULL;
}

/* Of a message that can be read the record says what goes with the last. */
static void give_back_cost(struct store_txn *txn, uint32_t ended)
{
    uint64_t cost = message_rows_cost(ended) - message_rows_cost(0);

    txn->usage.bytes -= cost < txn->usage.bytes ? cost : txn->usage.bytes;
}

static struct error *apply_damage(struct operation *operation, struct store_txn *txn)
{
    struct damage *damage = (struct damage *)operation;
    Queue__MessageRecord *message = NULL;
    struct counts counts = { 0, 0 };
    struct error *err = NULL;

    damage->is_over = false;
    for (size_t i = 0; i < damage->count && !err; i++)
        err = set_place_aside(damage, txn, &damage->places[i], &counts);
    if (!err)
        err = read_message(txn, damage->id, &message);
    if (!err && message && counts.ended > 0)
        err = count_ended(txn, damage->id, counts.ended, message, &damage->is_over);
    if (!err && !damage->is_over && counts.aside == 0)
        err = end_unless_others_wait(damage, txn, message, counts.ended);
    if (err || damage->is_over)
        return err;
    if (!message)
        give_back_cost(txn, counts.ended);
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

/* The others of its message, which can be read, are whole: they go on. */
struct error *damaged_remove(struct store_txn *txn, struct row_place at,
                             const struct history_act *act, struct removals *removals)
{
    struct removing removing = { .act = act, .removals = removals };
    Queue__RecipientRecord *recipient = NULL;
    Queue__MessageRecord *message = NULL;
    bool is_over = false;
    struct error *err = read_recipient(txn, at.id, at.number, &recipient);

    if (!err)
        err = read_message(txn, at.id, &message);
    if (!err && (recipient || !message))
        return remove_all(txn, at.id, 0, &removing);
    removing.message = message;
    if (!err)
        err = remove_recipient(txn, at, &removing);
    return err ? err : count_ended(txn, at.id, 1, message, &is_over);
}

void damage_log(const struct damage *damage)
{
    struct log_line line;

    log_begin(&line, LOG_ERROR, "queue-record-damaged");
    log_qid(&line, damage->id);
    log_string(&line, "why", damage->why);
    log_string(&line, "help",
               damage->is_over ? "nothing of it waits any more: it was delivered or removed"
                               : "it is held; waxseal trace tells what is left and "
                                 "how to try it again, give it back or remove it");
    log_end(&line);
}
