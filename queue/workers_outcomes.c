#include "queue/workers_private.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "queue/delivery_log.h"
#include "queue/exceptions.h"
#include "queue/hop_release.h"
#include "queue/probes.h"
#include "queue/store_damage.h"
#include "queue/store_settle.h"

enum {
    DECISION_BYTES_MAX = 16 * 1024, /* a larger one is not kept */
    SETTLE_AGAIN_MS = SECOND_MS,    /* after the disk was full even for settlements */
};

struct settling {
    struct settle settle;
    struct workers *workers;
    struct lease *lease;
    struct loop_timer *again;
};

static void acknowledge(struct worker *worker, uint64_t lease)
{
    Ipc__OutcomeAck ack = IPC__OUTCOME_ACK__INIT;

    ack.lease = lease;
    channel_send(worker->channel, FRAME_OUTCOME_ACK, &ack.base, SPAN(""));
}

/* Are some of its rows due as before: returned, or not in the outcome? */
static bool leaves_rows(const struct lease *lease, const struct settle *settle)
{
    return lease->covers_all || settle->count < lease->count;
}

static void acknowledge_lease(const struct lease *lease)
{
    struct worker *worker = lease->holder;

    if (!worker)
        return;
    worker->leases_count--;
    acknowledge(worker, lease->number);
}

static void end_lease(struct workers *w, struct lease *lease, const struct settle *settle)
{
    acknowledge_lease(lease);
    if (leaves_rows(lease, settle))
        dispatch_return(w->dispatch, &lease, settle->outcome->hop_failed);
    else
        dispatch_end(w->dispatch, &lease, settle->outcome->hop_failed);
}

static void on_settle_again(void *ctx)
{
    struct settling *settling = ctx;

    loop_timer_free(&settling->again);
    committer_add(settling->workers->parts.committer, &settling->settle.operation);
}

/* The outcome is not lost: the worker keeps its lease until it is on disk. */
static void settle_later(struct settling *settling)
{
    log_event(LOG_ERROR, "queue-no-room-to-settle");
    settling->again = loop_timer_new(settling->workers->parts.loop, on_settle_again, settling);
    loop_timer_start(settling->again, SETTLE_AGAIN_MS);
}

static void on_set_aside(struct operation *operation, enum operation_outcome outcome)
{
    struct damage *damage = (struct damage *)operation;
    struct workers *w = damage->ctx;

    if (outcome == OPERATION_COMMITTED) {
        damage_log(damage);
        acknowledge_lease(damage->lease);
        dispatch_end(w->dispatch, &damage->lease, damage->hop_failed);
    } else { /* the role ends, or there is no room: the worker keeps the outcome */
        dispatch_set_aside(w->dispatch, damage->lease, damage->hop_failed);
    }
    free(damage);
}

/* The message cannot be read whole: nobody tries it again, and what was delivered is not forgotten.
 */
static void set_aside(struct workers *w, struct lease *lease, const Ipc__Outcome *outcome,
                      const char *why)
{
    struct damage *damage = damage_new(lease->id, dispatch_hop_of(lease), why, outcome->n_results);

    for (size_t i = 0; i < outcome->n_results; i++) {
        damage->places[i].number = outcome->results[i]->number;
        damage->places[i].is_delivered = outcome->results[i]->kind == IPC__RESULT_KIND__DELIVERED;
    }
    lease->settling = true;
    damage->ctx = w;
    damage->lease = lease;
    damage->hop_failed = outcome->hop_failed;
    damage->operation.done = on_set_aside;
    committer_add(w->parts.committer, &damage->operation);
}

static bool changes_times(const struct settle *settle)
{
    for (size_t i = 0; i < settle->count; i++)
        if (settle->settled[i].as == SETTLED_DEFERRED ||
            settle->settled[i].as == SETTLED_WAITS_FOR_POLICY ||
            settle->settled[i].as == SETTLED_WAITS_FOR_SIGNATURES)
            return true;
    return settle->notices.notification != 0 || settle->notices.postmaster_copy != 0 ||
           settle->outcome->hop_failed;
}

static void on_settled(struct operation *operation, enum operation_outcome outcome)
{
    struct settling *settling = (struct settling *)operation;
    struct workers *w = settling->workers;

    if (outcome == OPERATION_FULL) {
        settle_later(settling);
        return;
    }
    if (outcome == OPERATION_COMMITTED) {
        delivery_log(&settling->settle);
        exceptions_count(w->parts.exceptions, settling->settle.outcome);
        if (changes_times(&settling->settle))
            dispatch_look(w->dispatch);
        if (settling->settle.outcome->hop_failed)
            dispatch_hop_failed(settling->lease, settling->settle.outcome);
        if (settling->settle.hop_revived)
            hop_release(w->dispatch, w->parts.committer, dispatch_hop_of(settling->lease));
        end_lease(w, settling->lease, &settling->settle);
    } else { /* the role ends, or a record is damaged and the log says so */
        set_aside(w, settling->lease, settling->settle.outcome, "a record is damaged");
    }
    settle_clear(&settling->settle);
    free(settling);
}

/* Keeps the results that are the lease's, each recipient once. */
static void keep_own_results(const struct lease *lease, Ipc__Outcome *outcome)
{
    size_t kept = 0;

    for (size_t i = 0; i < outcome->n_results; i++) {
        bool is_new = true;
        for (size_t j = 0; j < kept && is_new; j++)
            is_new = outcome->results[j]->number != outcome->results[i]->number;
        if (is_new && lease_has(lease, outcome->results[i]->number) &&
            kept < RECIPIENTS_PER_JOB_MAX) {
            Ipc__Result *result = outcome->results[kept];
            outcome->results[kept++] = outcome->results[i];
            outcome->results[i] = result;
        }
    }
    while (outcome->n_results > kept)
        ipc__result__free_unpacked(outcome->results[--outcome->n_results], NULL);
}

static void bound_decision(Ipc__Outcome *outcome)
{
    if (!outcome->decision ||
        ipc__decision__get_packed_size(outcome->decision) <= DECISION_BYTES_MAX)
        return;
    ipc__decision__free_unpacked(outcome->decision, NULL);
    outcome->decision = NULL;
}

static enum hop_word word_of(const Ipc__Outcome *outcome)
{
    if (outcome->hop_failed)
        return HOP_FAILED;
    for (size_t i = 0; i < outcome->n_results; i++)
        if (outcome->results[i]->remote || outcome->results[i]->kind == IPC__RESULT_KIND__DELIVERED)
            return HOP_REACHED;
    return HOP_SAID_NOTHING;
}

void workers_settle(void *ctx, struct lease *lease, Ipc__Outcome *outcome)
{
    struct workers *w = ctx;
    struct settling *settling = memory_new(sizeof(*settling));

    lease->settling = true;
    settling->workers = w;
    settling->lease = lease;
    settling->settle.outcome = outcome;
    settling->settle.last_attempt = lease->last_attempt;
    settling->settle.notices.settings = w->parts.notify;
    settling->settle.operation.done = on_settled;
    settle_prepare(&settling->settle);
    committer_add(w->parts.committer, &settling->settle.operation);
}

static void settle_outcome(struct worker *worker, struct lease *lease, Ipc__Outcome *outcome)
{
    struct workers *w = worker->workers;

    keep_own_results(lease, outcome);
    bound_decision(outcome);
    dispatch_leave(w->dispatch, lease, &worker->slot, word_of(outcome));
    if (!lease->is_damaged) {
        workers_settle(w, lease, outcome);
        return;
    }
    set_aside(w, lease, outcome, "its content is damaged");
    ipc__outcome__free_unpacked(outcome, NULL);
}

static bool is_of_probe(struct worker *worker, const Ipc__Outcome *outcome)
{
    struct workers *w = worker->workers;

    if (!probes_take_outcome(w->probes, &worker->slot, outcome))
        return false;
    worker->slot.jobs -= worker->slot.jobs > 0;
    acknowledge(worker, outcome->lease);
    dispatch_look(w->dispatch);
    return true;
}

const char *workers_on_outcome(struct worker *worker, const struct channel_frame *frame)
{
    Ipc__Outcome *outcome = channel_decode(frame, &ipc__outcome__descriptor);

    if (!outcome)
        return "an outcome does not decode";
    if (is_of_probe(worker, outcome)) {
        ipc__outcome__free_unpacked(outcome, NULL);
        return NULL;
    }
    struct lease *lease = lease_find(worker->workers->parts.leases, outcome->lease);
    bool is_known = lease && lease->holder == worker && !lease->is_unsent;
    if (is_known && !lease->settling && lease->id == outcome->id) {
        settle_outcome(worker, lease, outcome);
        return NULL;
    }
    if (!is_known)
        acknowledge(worker, outcome->lease); /* settled long ago; if not, the rows are due anyway */
    ipc__outcome__free_unpacked(outcome, NULL);
    return NULL;
}
