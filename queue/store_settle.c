#include "queue/store_settle.h"

#include <stdlib.h>

#include "lib/base/memory.h"
#include "lib/base/random.h"
#include "lib/ipc/channel.h"
#include "lib/mail/envelope.h"
#include "queue/store_history.h"
#include "queue/store_hops.h"
#include "queue/store_rows.h"

enum { SETTLE_BYTES = 2048, SUSPECT_DEATHS = 2 };

/* One outcome while it is applied. */
struct settling {
    struct settle *settle;
    struct store_txn *txn;
    uint64_t id;
    Queue__MessageRecord *message;
    uint64_t dice; /* 0: not thrown yet */
    bool message_changed;
    bool hop_was_reached;
    struct span hop; /* of the recipients settled */
    struct notify_recipient *told;
    size_t told_count;
};

/* One throw for all recipients: those tried together stay together.  Most outcomes need none. */
static uint32_t dice_of(struct settling *s)
{
    if (s->dice == 0)
        s->dice = 1 + random_below(UINT32_MAX);
    return (uint32_t)s->dice;
}

static struct settled *note(struct settling *s, const Queue__RecipientRecord *recipient,
                            Ipc__Result *result, enum settled_as as)
{
    struct settled *settled = &s->settle->settled[s->settle->count++];

    *settled = (struct settled){ .as = as, .result = result };
    settled->delay_ms = s->txn->now_ms - s->message->accepted_utc_ms;
    span_to_string(span_of_bytes(recipient->recipient->forward_path->text), settled->recipient,
                   sizeof(settled->recipient));
    return settled;
}

/* ---- final results ------------------------------------------------------------------------ */

static struct error *end_recipient(struct settling *s, Queue__RecipientRecord *recipient,
                                   Ipc__Result *result, enum settled_as as)
{
    uint32_t number = recipient->recipient->number;

    note(s, recipient, result, as);
    s->message->pending--;
    s->message_changed = true;
    recipient->attempts++;
    struct error *err = recipient_remove(s->txn, s->id, number, recipient);
    struct history_facts facts = {
        .id = s->id,
        .message = s->message,
        .recipient = recipient,
        .result = result,
        .decision = s->settle->outcome->decision,
    };
    return err ? err : history_put(s->txn, &facts);
}

/* Somebody of whom the sender is told. */
static struct notify_recipient *tell_of(struct settling *s, const Queue__RecipientRecord *recipient,
                                        const Ipc__Result *result)
{
    struct notify_recipient *told = &s->told[s->told_count++];

    *told = (struct notify_recipient){
        .record = recipient,
        .result = result,
        .decision = s->settle->outcome->decision,
    };
    return told;
}

static struct error *deliver_recipient(struct settling *s, Queue__RecipientRecord *recipient,
                                       Ipc__Result *result)
{
    struct error *err = end_recipient(s, recipient, result, SETTLED_DELIVERED);

    s->hop_was_reached = true;
    if (result->relayed && notify_relay_is_due(s->message, recipient))
        tell_of(s, recipient, result)->relayed = true;
    return err;
}

static struct error *fail_recipient(struct settling *s, Queue__RecipientRecord *recipient,
                                    Ipc__Result *result, enum settled_as as)
{
    struct error *err = end_recipient(s, recipient, result, as);

    if (notify_is_due(s->message, recipient))
        tell_of(s, recipient, result)->expired = as == SETTLED_EXPIRED;
    else if (s->message->envelope->reverse_path->text.len == 0)
        s->settle->sender_is_null = true;
    return err;
}

/* ---- another time ------------------------------------------------------------------------- */

/* What took a worker down twice is tried alone from then on. */
static enum due_class retry_class(const struct settling *s)
{
    return s->message->deaths >= SUSPECT_DEATHS
               ? DUE_SUSPECT
               : due_class_of(s->message->envelope->priority, true);
}

static struct error *wait_until(struct settling *s, Queue__RecipientRecord *recipient,
                                Ipc__Result *result, enum settled_as as, int64_t next_ms)
{
    note(s, recipient, result, as)->next_ms = next_ms;
    recipient->last_lease = s->settle->outcome->lease;
    recipient->last_result = result;
    recipient->last_decision = s->settle->outcome->decision;
    return recipient_move(s->txn, s->id, recipient->recipient->number, recipient,
                          span_of_bytes(recipient->next_hop), retry_class(s), next_ms);
}

static struct error *defer_recipient(struct settling *s, Queue__RecipientRecord *recipient,
                                     Ipc__Result *result)
{
    if (s->settle->last_attempt)
        return fail_recipient(s, recipient, result, SETTLED_EXPIRED);
    recipient->attempts++;
    int64_t next_ms = schedule_retry(&s->txn->rules, recipient->attempts,
                                     s->message->accepted_utc_ms, s->txn->now_ms, dice_of(s));
    return wait_until(s, recipient, result, SETTLED_DEFERRED, next_ms);
}

/* Not an attempt: none is counted (design.md section 3). */
static struct error *wait_for_policy(struct settling *s, Queue__RecipientRecord *recipient,
                                     Ipc__Result *result)
{
    if (s->settle->last_attempt ||
        schedule_skips_policy(&s->txn->rules, recipient->policy_waits, s->message->accepted_utc_ms,
                              s->txn->now_ms))
        return defer_recipient(s, recipient, result);
    int64_t next_ms = schedule_policy_retry(recipient->policy_waits, s->txn->now_ms);
    recipient->policy_waits++;
    return wait_until(s, recipient, result, SETTLED_WAITS_FOR_POLICY, next_ms);
}

/* ---- one result --------------------------------------------------------------------------- */

static struct error *settle_recipient(struct settling *s, Queue__RecipientRecord *recipient,
                                      Ipc__Result *result)
{
    switch (result->kind) {
    case IPC__RESULT_KIND__DELIVERED:
        return deliver_recipient(s, recipient, result);
    case IPC__RESULT_KIND__FAILED:
        return fail_recipient(s, recipient, result, SETTLED_FAILED);
    case IPC__RESULT_KIND__DEFERRED:
    case IPC__RESULT_KIND__UNKNOWN_RESULT:
        return defer_recipient(s, recipient, result);
    case IPC__RESULT_KIND__POLICY_UNKNOWN:
        return wait_for_policy(s, recipient, result);
    case IPC__RESULT_KIND__RETURNED:
    case _IPC__RESULT_KIND_IS_INT_SIZE:
    default:
        return NULL; /* not tried: it waits as it did */
    }
}

static struct error *settle_result(struct settling *s, Ipc__Result *result)
{
    Queue__RecipientRecord *recipient = NULL;
    struct error *err = recipient_get(s->txn, s->id, result->number, &recipient);

    if (err || !recipient || recipient->last_lease == s->settle->outcome->lease)
        return err; /* settled before: outcomes are idempotent */
    s->hop = span_of_bytes(recipient->next_hop);
    return settle_recipient(s, recipient, result);
}

static struct error *settle_results(struct settling *s)
{
    const Ipc__Outcome *outcome = s->settle->outcome;
    struct error *err = NULL;

    for (size_t i = 0; i < outcome->n_results && !err; i++)
        err = settle_result(s, outcome->results[i]);
    return err;
}

static struct error *settle_hop(struct settling *s)
{
    if (!s->hop.data)
        return NULL;
    if (s->hop_was_reached)
        return hops_revive(s->txn, s->hop);
    return s->settle->outcome->hop_failed ? hops_fail(s->txn, s->hop, dice_of(s)) : NULL;
}

/* ---- the notification --------------------------------------------------------------------- */

/* The original from its beginning, as far as a notification returns it. */
static struct error *read_original(struct settling *s, struct buf *out)
{
    for (uint32_t chunk = 0; chunk < s->message->chunks && buf_len(out) < NOTIFY_WHOLE_MAX;
         chunk++) {
        struct record_key key = key_of_part(s->id, chunk);
        struct span value;
        struct span bytes;
        struct error *err = kv_get(s->txn->kv, TABLE_CONTENT, key_span(&key), &value);
        if (err)
            return err;
        if (!value.data || !chunk_read(key_span(&key), value, &bytes))
            return NULL; /* what is there has to do */
        if (!buf_append(out, span_first(bytes, NOTIFY_WHOLE_MAX - buf_len(out))))
            return NULL;
    }
    return NULL;
}

static struct error *put_notification(struct settling *s, struct span text)
{
    struct envelope envelope;
    struct address sender;
    char ascii[ADDRESS_ASCII_SIZE];

    envelope_init(&envelope);
    envelope.received_utc_ms = s->txn->now_ms;
    envelope.requiretls = s->message->envelope->requiretls; /* RFC 8689 s.5 */
    if (address_parse_utf8(span_of_bytes(s->message->envelope->reverse_path->text), &sender) !=
        ADDRESS_FINE) {
        envelope_clear(&envelope);
        s->settle->sender_is_null = true; /* an address nothing can be sent to */
        return NULL;
    }
    envelope_add(&envelope, &sender);
    envelope.smtputf8 = envelope.utf8_header = !address_to_ascii(&sender, ascii); /* in To */
    struct new_message message = {
        .id = s->settle->reserved_id,
        .envelope = &envelope,
        .size = text.len,
        .chunks = content_chunks(text.len),
        .content_cost = content_cost(text.len),
        .eight_bit = envelope.utf8_header,
        .notification = true,
    };
    struct error *err = content_put(s->txn, message.id, 0, text);
    if (!err)
        err = message_put(s->txn, &message);
    envelope_clear(&envelope);
    if (!err)
        s->settle->notification = message.id;
    return err;
}

static bool write_notification(struct settling *s, struct span original, struct buf *out)
{
    struct notify_facts facts = {
        .identity = s->settle->identity,
        .id = s->settle->reserved_id,
        .original_id = s->id,
        .message = s->message,
        .recipients = s->told,
        .count = s->told_count,
        .now_ms = s->txn->now_ms,
        .original = original,
        .original_is_whole = original.len == s->message->size,
    };
    return notify_write(&facts, out);
}

static struct error *notify_sender(struct settling *s)
{
    struct buf original;
    struct buf text;

    if (s->told_count == 0)
        return NULL;
    if (s->settle->reserved_id == 0)
        s->settle->reserved_id = store_txn_id(s->txn);
    buf_init(&original, NOTIFY_WHOLE_MAX);
    buf_init(&text, NOTIFY_TEXT_MAX);
    struct error *err = read_original(s, &original);
    if (!err && !write_notification(s, buf_span(&original), &text))
        err = error_new(ERROR_LOCAL, "a notification grew too large");
    if (!err)
        err = put_notification(s, buf_span(&text));
    buf_clear(&original);
    buf_clear(&text);
    return err;
}

/* ---- the operation ------------------------------------------------------------------------ */

static struct error *end_message(struct settling *s)
{
    if (!s->message_changed)
        return NULL;
    return s->message->pending == 0 ? message_remove(s->txn, s->id, s->message)
                                    : message_update(s->txn, s->id, s->message);
}

static struct error *apply_settle(struct operation *operation, struct store_txn *txn)
{
    struct settle *settle = (struct settle *)operation;
    struct settling s = { .settle = settle, .txn = txn, .id = settle->outcome->id };

    settle->count = 0;
    settle->notification = 0;
    settle->sender_is_null = false;
    struct error *err = message_get(txn, s.id, &s.message);
    if (err || !s.message)
        return err;
    s.told = arena_take(txn->arena, settle->outcome->n_results * sizeof(*s.told));
    err = settle_results(&s);
    if (!err)
        err = settle_hop(&s);
    if (!err)
        err = notify_sender(&s);
    return err ? err : end_message(&s);
}

void settle_prepare(struct settle *settle)
{
    settle->operation.lane = LANE_SETTLEMENT;
    settle->operation.apply = apply_settle;
    settle->operation.bytes = SETTLE_BYTES * (settle->outcome->n_results + 1);
    settle->settled = memory_new_array(settle->outcome->n_results + 1, sizeof(*settle->settled));
}

void settle_clear(struct settle *settle)
{
    free(settle->settled);
    settle->settled = NULL;
    if (settle->outcome)
        ipc__outcome__free_unpacked(settle->outcome, NULL);
    settle->outcome = NULL;
}
