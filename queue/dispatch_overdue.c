#include "queue/dispatch_overdue.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "lib/ipc/channel.h"
#include "queue/ages.h"

enum { GROUPS_PER_VISIT = 256 };

struct overdue {
    Ipc__Outcome *outcome; /* with one result */
    int64_t tried_ms;      /* when that attempt was made */
    struct due at;         /* where to go on */
};

/* ---- what the attempt found ----------------------------------------------------------------- */

static Ipc__Outcome *copy_of(const Ipc__Outcome *outcome)
{
    size_t len = ipc__outcome__get_packed_size(outcome);
    uint8_t *packed = memory_new(len + 1);

    ipc__outcome__pack(outcome, packed);
    Ipc__Outcome *copy = ipc__outcome__unpack(NULL, len, packed);
    ensure(copy != NULL);
    free(packed);
    return copy;
}

struct overdue *overdue_new(const Ipc__Outcome *outcome)
{
    Ipc__Outcome of_one = *outcome; /* which points to what is the caller's */

    if (!outcome->hop_failed || outcome->n_results == 0 || !outcome->decision ||
        outcome->results[0]->kind != IPC__RESULT_KIND__DEFERRED)
        return NULL;
    struct overdue *overdue = memory_new(sizeof(*overdue));
    of_one.n_results = 1;
    overdue->outcome = copy_of(&of_one);
    overdue->outcome->hop_failed = false; /* the hop rests already */
    overdue->tried_ms = outcome->decision->at_utc_ms;
    return overdue;
}

void overdue_free(struct overdue **overdue)
{
    if (!*overdue)
        return;
    ipc__outcome__free_unpacked((*overdue)->outcome, NULL);
    free(*overdue);
    *overdue = NULL;
}

/* The same for the lease's recipients, as a worker would send it. */
static Ipc__Outcome *outcome_for(const struct overdue *overdue, const struct lease *lease)
{
    Ipc__Outcome outcome = *overdue->outcome;
    Ipc__Result *results = memory_new_array(lease->count, sizeof(*results));
    Ipc__Result **pointers = memory_new_array(lease->count, sizeof(Ipc__Result *));

    for (unsigned i = 0; i < lease->count; i++) {
        results[i] = *overdue->outcome->results[0];
        results[i].number = lease->numbers[i];
        pointers[i] = &results[i];
    }
    outcome.lease = lease->number;
    outcome.id = lease->id;
    outcome.results = pointers;
    outcome.n_results = lease->count;
    Ipc__Outcome *copy = copy_of(&outcome);
    free(pointers);
    free(results);
    return copy;
}

/* ---- whom it concerns ----------------------------------------------------------------------- */

static const struct schedule_rules *rules_of(const struct overdue_visit *visit,
                                             const struct hop *hop)
{
    return schedule_rules_of(visit->jobs->schedule, hop_name(hop));
}

static bool is_too_old(const struct schedule_rules *rules, int64_t accepted_ms, bool told,
                       int64_t tried_ms)
{
    int64_t age_ms = tried_ms - accepted_ms;

    return age_ms >= rules->lifetime_ms ||
           (!told && rules->delay_notice_ms > 0 && age_ms >= rules->delay_notice_ms);
}

/* After the clock was stepped back an attempt is no younger than now: nobody's time passed by that.
 */
static int64_t tried_at(const struct overdue_visit *visit, const struct hop *hop)
{
    int64_t now_ms = visit->jobs->now_ms;

    return hop->overdue->tried_ms < now_ms ? hop->overdue->tried_ms : now_ms;
}

/* Without a look at each row: does it rest, and has it any that are so old? */
static bool may_concern_some(const struct overdue_visit *visit, const struct hop *hop)
{
    struct record_key key = key_of_hop(hop_name(hop));
    struct ages ages;

    arena_reset(visit->jobs->arena);
    const Queue__HopRecord *record = store_look_up(
        visit->jobs->txn, TABLE_HOP, &key, &queue__hop_record__descriptor, visit->jobs->arena);
    if (!record || record->suspended_until_utc_ms <= visit->jobs->now_ms)
        return false;
    ages_load(&ages, record);
    if (ages.count == 0 || ages_rows(&ages) < record->waiting)
        return true; /* of some it is not known */
    return is_too_old(rules_of(visit, hop), (int64_t)ages.from[0] * MINUTE_MS, false,
                      tried_at(visit, hop));
}

static bool concerns(const struct overdue_visit *visit, const struct hop *hop,
                     const struct due *row)
{
    struct record_key key = key_of_part(row->id, row->number);

    arena_reset(visit->jobs->arena);
    const Queue__RecipientRecord *recipient =
        store_look_up(visit->jobs->txn, TABLE_RECIPIENT, &key, &queue__recipient_record__descriptor,
                      visit->jobs->arena);
    return recipient && recipient->accepted_utc_ms > 0 &&
           is_too_old(rules_of(visit, hop), recipient->accepted_utc_ms, recipient->told_of_delay,
                      tried_at(visit, hop));
}

/* ---- a visit -------------------------------------------------------------------------------- */

static void settle_group(struct overdue_visit *visit, struct hop *hop,
                         const struct due_group *group)
{
    struct job_loader jobs = *visit->jobs;
    struct job_facts facts;

    jobs.now_ms = tried_at(visit, hop); /* nothing ends but by an attempt made past its end */
    if (!job_load(&jobs, hop, group, &facts))
        return;
    struct lease *lease = job_lease(&jobs, hop, group);
    lease->last_attempt = facts.last_attempt;
    visit->given++;
    visit->settle(visit->ctx, lease, outcome_for(hop->overdue, lease));
}

struct error *overdue_visit(struct overdue_visit *visit, struct hop *hop)
{
    struct overdue *overdue = hop->overdue;
    struct due_group group;
    struct error *err = NULL;
    bool found = may_concern_some(visit, hop);

    overdue->at.hop = hop_name(hop);
    for (unsigned i = 0; i < GROUPS_PER_VISIT && !err && found; i++) {
        err = due_walk_from(visit->walk, hop, &overdue->at, &group, &found);
        if (!err && found && concerns(visit, hop, &group.first))
            settle_group(visit, hop, &group);
    }
    if (!err && !found)
        overdue_free(&hop->overdue);
    return err;
}
