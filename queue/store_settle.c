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
    if (settled->delay_ms < 0)
        settled->delay_ms = 0; /* the clock was stepped back */
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
    if (!s->settle->act)
        recipient->attempts++;
    struct error *err = recipient_remove(s->txn, s->id, number, recipient);
    struct history_facts facts = {
        .id = s->id,
        .message = s->message,
        .recipient = recipient,
        .result = result,
        .decision = s->settle->outcome->decision,
        .act = s->settle->act,
    };
    return err ? err : history_put(s->txn, &facts);
}

static void tell_of(struct settling *s, const Queue__RecipientRecord *recipient,
                    const Ipc__Result *result, enum notify_action action, bool expired)
{
    const struct notify_recipient told = {
        .record = recipient,
        .result = result,
        .decision = s->settle->outcome->decision,
        .action = action,
        .expired = expired,
    };

    notices_add(&s->settle->notices, &told);
}

static struct error *deliver_recipient(struct settling *s, Queue__RecipientRecord *recipient,
                                       Ipc__Result *result)
{
    struct error *err = end_recipient(s, recipient, result, SETTLED_DELIVERED);

    s->hop_was_reached = true;
    if (result->cause == IPC__CAUSE__DISCARDED)
        tell_of(s, recipient, result, ACTION_DELIVERED, false);
    else if (result->relayed)
        tell_of(s, recipient, result, ACTION_RELAYED, false);
    return err;
}

static struct error *fail_recipient(struct settling *s, Queue__RecipientRecord *recipient,
                                    Ipc__Result *result, enum settled_as as)
{
    struct error *err = end_recipient(s, recipient, result, as);

    tell_of(s, recipient, result, ACTION_FAILED, as == SETTLED_EXPIRED);
    return err;
}

/* ---- delays ------------------------------------------------------------------------------- */

/* The waits of the route by which it was tried. */
static struct schedule_rules rules_of(const struct settling *s,
                                      const Queue__RecipientRecord *recipient)
{
    return schedule_rules_for(s->txn->schedule, span_of_bytes(recipient->next_hop),
                              s->message->envelope->tls_report);
}

/* Has the message waited so long that its sender hears of it, once for each recipient? */
static bool delay_is_due(const struct settling *s, const Queue__RecipientRecord *recipient)
{
    int64_t after_ms = rules_of(s, recipient).delay_notice_ms;

    return after_ms > 0 && !recipient->told_of_delay &&
           s->txn->now_ms - s->message->accepted_utc_ms >= after_ms;
}

static void tell_of_delay(struct settling *s, Queue__RecipientRecord *recipient)
{
    const struct notify_recipient told = {
        .record = recipient,
        .result = recipient->last_result,
        .decision = recipient->last_decision,
        .action = ACTION_DELAYED,
        .until_ms = s->message->accepted_utc_ms + rules_of(s, recipient).lifetime_ms,
    };

    recipient->told_of_delay = true;
    notices_add(&s->settle->notices, &told);
}

/* One that waits elsewhere, and whose delay is told along with that of the others. */
static struct error *join_delayed(struct settling *s, uint32_t number)
{
    Queue__RecipientRecord *recipient = NULL;
    struct error *err = recipient_get(s->txn, s->id, number, &recipient);

    if (err || !recipient || !recipient->last_result || !delay_is_due(s, recipient))
        return err;
    tell_of_delay(s, recipient);
    return recipient_update(s->txn, s->id, number, recipient);
}

/* A message's delay is told in one notification where it can be. */
static struct error *join_all_delayed(struct settling *s)
{
    const struct row_place from = { s->id, 0 };
    struct row_place *places;
    size_t count;
    struct error *err = NULL;

    if (!notices_has_delay(&s->settle->notices))
        return NULL;
    err = recipient_places(s->txn, from, true, NOTIFY_RECIPIENTS_MAX, &places, &count);
    for (size_t i = 0; i < count && !err; i++)
        err = join_delayed(s, places[i].number);
    return err;
}

/* ---- another time ------------------------------------------------------------------------- */

/* What took a worker down twice is tried alone from then on. */
static enum due_class retry_class(const struct settling *s)
{
    return s->message->deaths >= SUSPECT_DEATHS ? DUE_SUSPECT
                                                : due_class_of(s->message->envelope, true);
}

static struct error *wait_until(struct settling *s, Queue__RecipientRecord *recipient,
                                Ipc__Result *result, enum settled_as as, int64_t next_ms)
{
    note(s, recipient, result, as)->next_ms = next_ms;
    recipient->last_lease = s->settle->outcome->lease;
    recipient->last_result = result;
    recipient->last_decision = s->settle->outcome->decision;
    if (as == SETTLED_DEFERRED && delay_is_due(s, recipient))
        tell_of_delay(s, recipient);
    struct error *err = recipient_move(s->txn, s->id, recipient->recipient->number, recipient,
                                       span_of_bytes(recipient->next_hop), retry_class(s), next_ms);
    struct history_facts facts = {
        .id = s->id,
        .message = s->message,
        .recipient = recipient,
        .result = result,
        .decision = s->settle->outcome->decision,
    };
    return err ? err : history_note_attempt(s->txn, &facts, next_ms);
}

static struct error *defer_recipient(struct settling *s, Queue__RecipientRecord *recipient,
                                     Ipc__Result *result)
{
    if (s->settle->last_attempt)
        return fail_recipient(s, recipient, result, SETTLED_EXPIRED);
    recipient->attempts++;
    recipient->unsigned_since_utc_ms = 0;
    recipient->hop_failed = s->settle->outcome->hop_failed;
    struct schedule_rules rules = rules_of(s, recipient);
    int64_t next_ms = schedule_retry(&rules, recipient->attempts, s->message->accepted_utc_ms,
                                     s->txn->now_ms, dice_of(s));
    return wait_until(s, recipient, result, SETTLED_DEFERRED, next_ms);
}

/* Not an attempt: none is counted (design.md section 3). */
static struct error *wait_for_policy(struct settling *s, Queue__RecipientRecord *recipient,
                                     Ipc__Result *result)
{
    struct schedule_rules rules = rules_of(s, recipient);

    if (s->settle->last_attempt ||
        schedule_skips_policy(&rules, recipient->policy_waits, s->message->accepted_utc_ms,
                              s->txn->now_ms))
        return defer_recipient(s, recipient, result);
    int64_t next_ms = schedule_policy_retry(recipient->policy_waits, s->txn->now_ms);
    recipient->policy_waits++;
    return wait_until(s, recipient, result, SETTLED_WAITS_FOR_POLICY, next_ms);
}

/* Not an attempt either; a report, which never goes unsigned, may wait until its end. */
static struct error *wait_for_signatures(struct settling *s, Queue__RecipientRecord *recipient,
                                         Ipc__Result *result)
{
    if (s->settle->last_attempt)
        return fail_recipient(s, recipient, result, SETTLED_EXPIRED);
    if (recipient->unsigned_since_utc_ms == 0)
        recipient->unsigned_since_utc_ms = s->txn->now_ms;
    recipient->signing_waits++;
    return wait_until(s, recipient, result, SETTLED_WAITS_FOR_SIGNATURES,
                      schedule_signing_retry(s->txn->now_ms));
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
    case IPC__RESULT_KIND__UNSIGNED:
        return wait_for_signatures(s, recipient, result);
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

/*
 * It went with TLS-Required: No where a policy stops all other mail (RFC 8689 s.3), or is a report,
 * for which none was asked.
 */
static bool says_nothing_of_others(const struct settling *s)
{
    const Ipc__Decision *decision = s->settle->outcome->decision;

    return s->message->envelope->tls_report ||
           (decision && decision->relief_needed && decision->relief_domain.len == 0);
}

/* A success after a rest: what the hop kept waiting may go. */
static struct error *revive_hop(struct settling *s)
{
    return hops_revive(s->txn, s->hop, &s->settle->hop_revived);
}

static bool dns_was_silent(const Ipc__Outcome *outcome)
{
    return outcome->n_results > 0 &&
           span_equal(span_of_bytes(outcome->results[0]->status), SPAN("4.4.3"));
}

static struct error *settle_hop(struct settling *s)
{
    if (!s->hop.data)
        return NULL;
    if (s->hop_was_reached)
        return says_nothing_of_others(s) ? NULL : revive_hop(s);
    if (!s->settle->outcome->hop_failed)
        return NULL;
    return hops_fail(s->txn, s->hop, dns_was_silent(s->settle->outcome), dice_of(s));
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
    settle->hop_revived = false;
    struct error *err = message_get(txn, s.id, &s.message);
    if (err || !s.message)
        return err;
    notices_begin(&settle->notices, txn, s.id, s.message,
                  settle->outcome->n_results + NOTIFY_RECIPIENTS_MAX);
    err = settle_results(&s);
    if (!err)
        err = settle_hop(&s);
    if (!err)
        err = join_all_delayed(&s);
    if (!err)
        err = notices_put(&settle->notices);
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
