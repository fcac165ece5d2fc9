#include "queue/store_manage.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/memory.h"
#include "lib/ipc/channel.h"
#include "queue/routes.h"
#include "queue/store_held.h"
#include "queue/store_hops.h"

enum { ROW_BYTES = 2048, MESSAGE_RECIPIENTS_MAX = 64 * 1024 };

static const char held_reason[] = "three delivery workers died while they held this message";

/* ---- sweeps ------------------------------------------------------------------------------- */

static enum due_class class_of(const Queue__RecipientRecord *recipient)
{
    return recipient->due_class < DUE_CLASSES ? (enum due_class)recipient->due_class : DUE_RETRY;
}

static struct error *pull_in(struct store_txn *txn, struct row_place at,
                             Queue__RecipientRecord *recipient)
{
    struct span hop = span_of_bytes(recipient->next_hop);
    int64_t horizon_ms = schedule_horizon(txn->schedule, txn->now_ms);
    struct error *err = hops_correct(txn, hop);

    if (err || recipient->held || recipient->due_utc_ms <= horizon_ms)
        return err;
    return recipient_move(txn, at.id, at.number, recipient, hop, class_of(recipient), txn->now_ms);
}

static struct error *sweep_place(struct sweep *sweep, struct store_txn *txn, struct row_place at)
{
    Queue__RecipientRecord *recipient;
    struct error *err = recipient_get(txn, at.id, at.number, &recipient);

    if (!err && !recipient)
        return NULL;
    if (!err)
        err = pull_in(txn, at, recipient);
    if (!err)
        sweep->changed++;
    if (store_txn_trouble(txn) == KV_FINE)
        error_free(&err); /* a damaged record costs its own message only */
    return err;
}

static struct error *apply_sweep(struct operation *operation, struct store_txn *txn)
{
    struct sweep *sweep = (struct sweep *)operation;
    struct row_place *places;
    size_t count;
    struct error *err = recipient_places(txn, sweep->next, false, SWEEP_SLICE, &places, &count);

    sweep->changed = 0;
    for (size_t i = 0; i < count && !err; i++)
        err = sweep_place(sweep, txn, places[i]);
    sweep->more = count == SWEEP_SLICE;
    if (count > 0)
        sweep->after = (struct row_place){ places[count - 1].id, places[count - 1].number + 1 };
    return err;
}

void sweep_prepare(struct sweep *sweep)
{
    sweep->operation.lane = LANE_SETTLEMENT;
    sweep->operation.apply = apply_sweep;
    sweep->operation.bytes = (size_t)SWEEP_SLICE * ROW_BYTES;
    sweep->next = (struct row_place){ 0, 0 };
}

void sweep_advance(struct sweep *sweep)
{
    sweep->next = sweep->after;
}

/* ---- another hop -------------------------------------------------------------------------- */

static struct error *move_place(struct store_txn *txn, struct row_place at)
{
    Queue__RecipientRecord *recipient;
    Queue__MessageRecord *message = NULL;
    struct routing routing;
    struct error *err = recipient_get(txn, at.id, at.number, &recipient);

    if (!err && recipient && !recipient->held)
        err = message_get(txn, at.id, &message);
    if (err || !message || !message->envelope)
        return err;
    struct routing_facts facts = routes_facts(message->envelope, recipient);
    schedule_route(txn->schedule, &facts, &routing);
    struct span hop = span_of(routing.hop);
    if (span_equal(hop, span_of_bytes(recipient->next_hop)))
        return NULL;
    /* Now, not before: behind all that dispatch has passed at the other hop. */
    int64_t due_ms = recipient->due_utc_ms < txn->now_ms ? txn->now_ms : recipient->due_utc_ms;
    return recipient_move(txn, at.id, at.number, recipient, hop, class_of(recipient), due_ms);
}

static struct error *apply_move(struct operation *operation, struct store_txn *txn)
{
    const struct move *move = (const struct move *)operation;
    struct error *err = NULL;

    for (size_t i = 0; i < move->count && !err; i++)
        err = move_place(txn, move->places[i]);
    return err;
}

void move_prepare(struct move *move)
{
    move->operation.lane = LANE_SETTLEMENT;
    move->operation.apply = apply_move;
    move->operation.bytes = move->count * ROW_BYTES;
}

/* ---- a hop's wake time -------------------------------------------------------------------- */

static struct error *apply_correct(struct operation *operation, struct store_txn *txn)
{
    const struct correct *correct = (const struct correct *)operation;

    return hops_correct(txn, span_of(correct->hop));
}

void correct_prepare(struct correct *correct)
{
    correct->operation.lane = LANE_SETTLEMENT;
    correct->operation.apply = apply_correct;
    correct->operation.bytes = ROW_BYTES;
}

/* ---- after a worker's death --------------------------------------------------------------- */

/* Holds a suspect's recipient, or lets it wait for a worker of its own. */
static struct error *set_aside(struct store_txn *txn, struct row_place at, bool hold)
{
    Queue__RecipientRecord *recipient;
    struct error *err = recipient_get(txn, at.id, at.number, &recipient);

    if (err || !recipient || recipient->held)
        return err;
    if (hold)
        return recipient_hold(txn, at.id, at.number, recipient);
    return recipient_move(txn, at.id, at.number, recipient, span_of_bytes(recipient->next_hop),
                          DUE_SUSPECT, recipient->due_utc_ms);
}

static struct error *set_all_aside(struct store_txn *txn, uint64_t id, bool hold)
{
    struct row_place *places;
    size_t count;
    struct error *err = recipient_places(txn, (struct row_place){ id, 0 }, true,
                                         MESSAGE_RECIPIENTS_MAX, &places, &count);

    for (size_t i = 0; i < count && !err; i++)
        err = set_aside(txn, places[i], hold);
    return err;
}

static struct error *count_death(struct deaths *deaths, struct store_txn *txn, uint64_t id)
{
    Queue__MessageRecord *message;
    struct error *err = message_get(txn, id, &message);

    if (err || !message)
        return err;
    message->deaths++;
    err = message_update(txn, id, message);
    if (!err && message->deaths >= DEATHS_SUSPECT)
        err = set_all_aside(txn, id, message->deaths >= DEATHS_HELD);
    if (!err && message->deaths >= DEATHS_HELD) {
        deaths->held[deaths->held_count++] = id;
        err = held_put(txn, id, &(struct held_facts){ .reason = span_of(held_reason) });
    }
    return err;
}

static struct error *apply_deaths(struct operation *operation, struct store_txn *txn)
{
    struct deaths *deaths = (struct deaths *)operation;
    struct error *err = NULL;

    deaths->held_count = 0;
    for (size_t i = 0; i < deaths->count && !err; i++)
        err = count_death(deaths, txn, deaths->ids[i]);
    return err;
}

struct deaths *deaths_new(const uint64_t *ids, size_t count)
{
    struct deaths *deaths = memory_new(sizeof(*deaths) + count * sizeof(*ids));

    deaths->operation.lane = LANE_SETTLEMENT;
    deaths->operation.apply = apply_deaths;
    deaths->operation.bytes = count * ROW_BYTES;
    deaths->count = count;
    deaths->held = memory_new_array(count + 1, sizeof(*ids));
    memcpy(deaths->ids, ids, count * sizeof(*ids));
    return deaths;
}

void deaths_free(struct deaths **deaths)
{
    if (!*deaths)
        return;
    free((*deaths)->held);
    free(*deaths);
    *deaths = NULL;
}
