#include "queue/store_change.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/memory.h"
#include "lib/ipc/channel.h"
#include "queue/routes.h"
#include "queue/store_damage.h"
#include "queue/store_held.h"
#include "queue/store_hops.h"

enum { ROW_BYTES = 2048 };

static const char *const names[CHANGE_KINDS] = {
    [CHANGE_HOLD] = "hold",     [CHANGE_RELEASE] = "release", [CHANGE_RETRY] = "retry",
    [CHANGE_BOUNCE] = "bounce", [CHANGE_REMOVE] = "remove",   [CHANGE_REROUTE] = "reroute",
};

const char *change_name(enum change_kind kind)
{
    return (unsigned)kind < CHANGE_KINDS ? names[kind] : "";
}

/* ---- holding and releasing ---------------------------------------------------------------- */

/* Why a message is held stands until another reason is given; to damage an operator's is added. */
static bool is_told(const Queue__HeldRecord *held, struct span reason)
{
    if (held->damaged)
        return held->by != 0;
    return reason.len == 0 || span_equal(span_of_bytes(held->reason), reason);
}

static struct error *reason_stands(const struct change *change, struct store_txn *txn, uint64_t id,
                                   bool *out_stands)
{
    Queue__HeldRecord *held;
    struct error *err = held_get(txn, id, &held); /* one that is damaged is written anew */

    *out_stands = held && is_told(held, change->act.words);
    return err;
}

static struct error *put_reason(const struct change *change, struct store_txn *txn, uint64_t id)
{
    const struct held_facts facts = { .reason = change->act.words, .by = change->act.uid + 1 };

    return held_put(txn, id, &facts);
}

static struct error *hold(const struct change *change, struct store_txn *txn, struct row_place at,
                          Queue__RecipientRecord *recipient)
{
    bool stands;
    struct error *err = reason_stands(change, txn, at.id, &stands);

    if (!err && !stands)
        err = put_reason(change, txn, at.id);
    return err ? err : recipient_hold(txn, at.id, at.number, recipient);
}

/* It is held already, and now for another reason. */
static struct error *hold_again(const struct change *change, struct store_txn *txn,
                                struct row_place at, Queue__RecipientRecord *recipient)
{
    bool stands;
    struct error *err = reason_stands(change, txn, at.id, &stands);

    if (err || stands)
        return err;
    err = put_reason(change, txn, at.id);
    if (!err)
        err = history_note_act(txn, at.id, recipient, &change->act);
    return err ? err : recipient_update(txn, at.id, at.number, recipient);
}

/* Is any recipient of the message held?  One that cannot be read is. */
static struct error *any_held(struct store_txn *txn, uint64_t id, bool *out_held)
{
    struct row_place from = { id, 0 };
    struct error *err = NULL;
    size_t count = CHANGE_SLICE;

    *out_held = false;
    while (!err && !*out_held && count == CHANGE_SLICE) {
        struct row_place *places;
        err = recipient_places(txn, from, true, CHANGE_SLICE, &places, &count);
        for (size_t i = 0; i < count && !err && !*out_held; i++) {
            Queue__RecipientRecord *recipient = NULL;
            err = recipient_get(txn, id, places[i].number, &recipient);
            *out_held = err ? store_txn_trouble(txn) == KV_FINE : recipient && recipient->held;
            if (*out_held)
                error_free(&err);
            from.number = places[i].number + 1;
        }
    }
    return err;
}

/* The last of a message's recipients that was held is so no more. */
static struct error *forget_held(struct store_txn *txn, uint64_t id)
{
    bool held;
    struct error *err = any_held(txn, id, &held);

    return err || held ? err : held_remove(txn, id);
}

/* A suspect starts anew: an operator looked at it. */
static struct error *forget_deaths(struct store_txn *txn, uint64_t id)
{
    Queue__MessageRecord *message;
    struct error *err = message_get(txn, id, &message);

    if (err || !message || message->deaths == 0)
        return err;
    message->deaths = 0;
    return message_update(txn, id, message);
}

/* Now.  An operator may have suspended the hop, which he is told. */
static struct error *make_due(struct change *change, struct store_txn *txn, struct row_place at,
                              Queue__RecipientRecord *recipient, struct span hop,
                              enum due_class due_class)
{
    bool is_suspended = false;
    struct error *err =
        recipient_move(txn, at.id, at.number, recipient, hop, due_class, txn->now_ms);

    if (!err)
        err = hops_is_suspended(txn, hop, &is_suspended);
    change->suspended += is_suspended;
    return err;
}

static struct error *release(struct change *change, struct store_txn *txn, struct row_place at,
                             Queue__RecipientRecord *recipient)
{
    enum due_class due_class =
        recipient->due_class < DUE_CLASSES ? (enum due_class)recipient->due_class : DUE_RETRY;
    struct error *err = forget_deaths(txn, at.id);

    if (err)
        return err;
    return make_due(change, txn, at, recipient, span_of_bytes(recipient->next_hop),
                    due_class == DUE_SUSPECT ? DUE_RETRY : due_class);
}

/* ---- trying ------------------------------------------------------------------------------- */

static struct error *due_now(struct change *change, struct store_txn *txn, struct row_place at,
                             Queue__RecipientRecord *recipient, struct span hop)
{
    enum due_class due_class =
        recipient->due_class < DUE_CLASSES ? (enum due_class)recipient->due_class : DUE_RETRY;
    bool after_rest;
    struct error *err = hops_revive(txn, hop, &after_rest);

    if (err)
        return err;
    return make_due(change, txn, at, recipient, hop, due_class);
}

/* What the operator chose, with the recipient's domain where that is part of it. */
static bool override_name(const struct change *change, struct span domain,
                          char name[HOP_NAME_MAX + 1])
{
    struct buf out;

    buf_init(&out, HOP_NAME_MAX);
    bool fits = buf_append(&out, change->hop);
    if (change->hop_has_domain)
        fits = fits && buf_append(&out, SPAN("/")) && buf_append(&out, domain);
    fits = fits && span_to_string(buf_span(&out), name, HOP_NAME_MAX + 1);
    buf_clear(&out);
    return fits;
}

static struct error *reroute(struct change *change, struct store_txn *txn, struct row_place at,
                             Queue__RecipientRecord *recipient)
{
    char name[HOP_NAME_MAX + 1];
    struct routing routing;
    Queue__MessageRecord *message = NULL;
    struct error *err = message_get(txn, at.id, &message);

    if (err || !message)
        return err ? err : error_new(ERROR_LOCAL, "a recipient's message is not there");
    if (!override_name(change, span_of_bytes(recipient->recipient->forward_path->domain), name))
        return error_new(ERROR_LOCAL, "a next hop's name is too long");
    recipient->override_hop = bytes_of_span(span_of(name));
    struct routing_facts facts = routes_facts(message->envelope, recipient);
    schedule_route(txn->schedule, &facts, &routing);
    if (!recipient->held)
        return due_now(change, txn, at, recipient, span_of(routing.hop));
    recipient->next_hop = bytes_of_span(span_of(routing.hop)); /* where it goes when released */
    return recipient_update(txn, at.id, at.number, recipient);
}

/* ---- one recipient ------------------------------------------------------------------------ */

static struct error *remove_one(struct change *change, struct store_txn *txn, struct row_place at,
                                Queue__RecipientRecord *recipient)
{
    Queue__MessageRecord *message = NULL;
    Ipc__Result result = IPC__RESULT__INIT;
    struct error *err = message_get(txn, at.id, &message);

    if (err || !message)
        return err ? err : error_new(ERROR_LOCAL, "a recipient's message is not there");
    err = recipient_remove(txn, at.id, at.number, recipient);
    if (!err && recipient->held)
        err = forget_held(txn, at.id);
    if (err)
        return err;
    message->pending--;
    result.kind = IPC__RESULT_KIND__FAILED;
    result.reply = bytes_of_span(change->act.words);
    struct history_facts facts = {
        .id = at.id,
        .message = message,
        .recipient = recipient,
        .result = &result,
        .act = &change->act,
    };
    err = history_put(txn, &facts);
    if (err)
        return err;
    err = message->pending == 0 ? message_remove(txn, at.id, message)
                                : message_update(txn, at.id, message);
    if (!err)
        removals_add(&change->removals, txn, at.id, message, recipient);
    return err;
}

/* Is there anything to do?  What is held is released, and not tried again. */
static bool is_about(enum change_kind kind, const Queue__RecipientRecord *recipient)
{
    if (kind == CHANGE_RELEASE)
        return recipient->held;
    return !recipient->held || (kind != CHANGE_HOLD && kind != CHANGE_RETRY);
}

static struct error *change_row(struct change *change, struct store_txn *txn, struct row_place at,
                                Queue__RecipientRecord *recipient)
{
    struct error *err = NULL;

    if (change->kind != CHANGE_REMOVE) /* whose end says the same */
        err = history_note_act(txn, at.id, recipient, &change->act);
    if (err)
        return err;
    switch (change->kind) {
    case CHANGE_HOLD:
        return hold(change, txn, at, recipient);
    case CHANGE_RELEASE:
        return release(change, txn, at, recipient);
    case CHANGE_RETRY:
        return due_now(change, txn, at, recipient, span_of_bytes(recipient->next_hop));
    case CHANGE_REROUTE:
        return reroute(change, txn, at, recipient);
    case CHANGE_REMOVE:
        return remove_one(change, txn, at, recipient);
    case CHANGE_BOUNCE:
    case CHANGE_KINDS:
    default:
        return NULL;
    }
}

/* What is damaged can be removed, and is not counted else: the rest of the change goes on. */
static struct error *unless_damaged(struct change *change, struct store_txn *txn,
                                    struct row_place at, struct error *err)
{
    if (!err || store_txn_trouble(txn) != KV_FINE)
        return err;
    error_free(&err);
    if (change->kind == CHANGE_REMOVE) {
        size_t before = change->removals.count;
        err = damaged_remove(txn, at, &change->act, &change->removals);
        if (!err)
            err = forget_held(txn, at.id);
        if (!err)
            change->changed += change->removals.count - before;
    }
    return err;
}

static struct error *change_place(struct change *change, struct store_txn *txn, struct row_place at)
{
    Queue__RecipientRecord *recipient = NULL;
    struct error *err = recipient_get(txn, at.id, at.number, &recipient);

    if (!err && recipient && recipient->held && change->kind == CHANGE_HOLD)
        err = hold_again(change, txn, at, recipient);
    if (err || !recipient || !is_about(change->kind, recipient))
        return unless_damaged(change, txn, at, err);
    err = change_row(change, txn, at, recipient);
    if (err)
        return unless_damaged(change, txn, at, err);
    change->changed++;
    return NULL;
}

static bool is_last_of_message(const struct change *change, size_t nth)
{
    return nth + 1 == change->count || change->places[nth + 1].id != change->places[nth].id;
}

/* After a release forget_held reads all of the message's recipients: once, and not for each. */
static struct error *apply_rows(struct change *change, struct store_txn *txn)
{
    struct error *err = NULL;
    size_t changed = 0; /* before this message */

    for (size_t i = 0; i < change->count && !err; i++) {
        struct row_place at = change->places[i];
        err = change_place(change, txn, at);
        if (err || !is_last_of_message(change, i))
            continue;
        if (change->kind == CHANGE_RELEASE && change->changed > changed)
            err = unless_damaged(change, txn, at, forget_held(txn, at.id));
        changed = change->changed;
    }
    return err;
}

/* ---- bouncing ----------------------------------------------------------------------------- */

/* No worker's lease has this number: an outcome is applied unless its lease's was before. */
#define OPERATOR_LEASE UINT64_MAX

/* As a whole or not at all: who is ended without a word to the sender would be lost. */
static struct error *bounce(struct change *change, struct store_txn *txn, struct settle *settle)
{
    struct error *err = settle->operation.apply(&settle->operation, txn);

    if (!err)
        err = forget_held(txn, settle->outcome->id);
    if (!err)
        change->changed += settle->count;
    return err;
}

static struct error *apply_change(struct operation *operation, struct store_txn *txn)
{
    struct change *change = (struct change *)operation;
    struct error *err = NULL;

    change->changed = 0;
    change->suspended = 0;
    removals_clear(&change->removals);
    if (change->kind != CHANGE_BOUNCE)
        return apply_rows(change, txn);
    for (size_t i = 0; i < change->settle_count && !err; i++)
        err = bounce(change, txn, &change->settles[i]);
    return err;
}

static void *copy_bytes(struct span s)
{
    void *copy = memory_new(s.len + 1);

    memcpy(copy, s.data ? s.data : "", s.len);
    return copy;
}

static Ipc__Result *refusal(const struct change *change, uint32_t number)
{
    Ipc__Result *result = memory_new(sizeof(*result));
    const struct span status = SPAN("5.7.0");

    ipc__result__init(result);
    result->number = number;
    result->kind = IPC__RESULT_KIND__FAILED;
    result->status.data = copy_bytes(status);
    result->status.len = status.len;
    result->reply.data = copy_bytes(change->act.words);
    result->reply.len = change->act.words.len;
    result->cause = IPC__CAUSE__OPERATOR;
    return result;
}

/* The outcome that a worker would report, about rows that stand side by side. */
static void settle_of(const struct change *change, size_t first, size_t count,
                      struct settle *settle)
{
    Ipc__Outcome *outcome = memory_new(sizeof(*outcome));

    ipc__outcome__init(outcome);
    outcome->lease = OPERATOR_LEASE;
    outcome->id = change->places[first].id;
    outcome->results = memory_new_array(count, sizeof(Ipc__Result *));
    for (size_t i = 0; i < count; i++)
        outcome->results[outcome->n_results++] = refusal(change, change->places[first + i].number);
    settle->outcome = outcome;
    settle->act = &change->act;
    settle->notices.settings = change->notify;
    settle_prepare(settle);
}

static void make_settles(struct change *change)
{
    change->settles = memory_new_array(change->count + 1, sizeof(*change->settles));
    for (size_t first = 0; first < change->count;) {
        size_t end = first;
        while (end < change->count && change->places[end].id == change->places[first].id)
            end++;
        settle_of(change, first, end - first, &change->settles[change->settle_count++]);
        first = end;
    }
}

/* ---- from outside ------------------------------------------------------------------------- */

void change_prepare(struct change *change)
{
    change_clear(change);
    change->operation.lane = LANE_SETTLEMENT;
    change->operation.apply = apply_change;
    change->operation.bytes = (change->count + 1) * ROW_BYTES;
    if (change->kind == CHANGE_BOUNCE)
        make_settles(change);
    for (size_t i = 0; i < change->settle_count; i++)
        change->operation.bytes += NOTIFY_WHOLE_MAX;
}

void change_clear(struct change *change)
{
    for (size_t i = 0; i < change->settle_count; i++)
        settle_clear(&change->settles[i]);
    free(change->settles);
    change->settles = NULL;
    change->settle_count = 0;
    removals_clear(&change->removals);
}

static struct error *apply_suspend(struct operation *operation, struct store_txn *txn)
{
    struct suspend *suspend = (struct suspend *)operation;
    struct span hop = span_of(suspend->hop);

    if (suspend->until_ms == 0)
        return hops_resume(txn, hop, &suspend->was_suspended);
    return hops_suspend(txn, hop, suspend->until_ms, suspend->reason, suspend->uid + 1);
}

void suspend_prepare(struct suspend *suspend)
{
    suspend->operation.lane = LANE_SETTLEMENT;
    suspend->operation.apply = apply_suspend;
    suspend->operation.bytes = ROW_BYTES;
}
