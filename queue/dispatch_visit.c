#include "queue/dispatch_private.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/memory.h"
#include "queue/dispatch_overdue.h"
#include "queue/routes.h"
#include "queue/store_manage.h"

enum {
    TRIAL_JOBS = 2,              /* of a hop that nothing is known of and that has new mail */
    JOBS_PER_VISIT = 16,         /* of one hop, before the next has its turn */
    JOBS_PER_CONNECTION = 3,     /* one on its way, one behind it, one that waits */
    MOVES_PER_VISIT = 256,       /* messages whose route was changed */
    SUSPECT_LOOK_MS = SECOND_MS, /* what must be tried alone waits for an idle worker */
    PENDING_MAX = 1024,          /* operations; what needs no worker is not begun beyond that */
};

/* ---- what its route says of a hop ----------------------------------------------------------- */

static const struct route_settings *route_of(const struct run *run, const struct hop *hop)
{
    return schedule_route_of(run->jobs.schedule, hop_name(hop));
}

static struct message_rate rate_of(const struct run *run, const struct hop *hop)
{
    const struct route_settings *route = route_of(run, hop);

    return route && route->rate.count > 0 ? route->rate : run->d->limits.rate;
}

unsigned dispatch_jobs_of(const struct hop_limits *limits, const struct route_settings *route)
{
    unsigned connections = limits->connections;

    if (route && route->connections > 0)
        connections = route->connections;
    return connections * JOBS_PER_CONNECTION;
}

static void take_token(const struct run *run, struct hop *hop)
{
    struct message_rate rate = rate_of(run, hop);

    pace_take(&hop->pace, rate, run->now_ms);
    hop->paced_until_ms = pace_next_ms(&hop->pace, rate, run->now_ms);
}

/* ---- one job ------------------------------------------------------------------------------ */

static enum hop_standing standing_of(const struct hop *hop)
{
    if (hop->is_failing)
        return HOP_FAILING;
    if (hop->is_known)
        return HOP_KNOWN;
    return hop->is_fresh ? HOP_NEW : HOP_FOUND;
}

static struct worker_slot *choose_slot(const struct run *run, const struct hop *hop)
{
    struct slot_wish wish = { hop_name(hop), standing_of(hop), hop->most_jobs };

    return slots_choose(&run->d->slots, &wish, run->now_ms);
}

static void give_job(struct run *run, struct hop *hop, struct worker_slot *slot,
                     const struct due_group *group, struct job_facts *facts)
{
    struct lease *lease = job_lease(&run->jobs, hop, group);

    lease->last_attempt = facts->last_attempt;
    lease->standing = standing_of(hop);
    hop->jobs++;
    slots_take(slot, lease, loop_now(run->d->parts.loop));
    if (lease->standing != HOP_KNOWN && !loop_timer_running(run->d->parking))
        loop_timer_start(run->d->parking, SILENT_LOOK_MS);
    slot->is_alone = group->first.due_class == DUE_SUSPECT;
    if (slot->is_alone)
        slot->clear_at_ms = 0;
    if (hop->is_paced)
        take_token(run, hop);
    run->given++;
    run->d->give(run->d->ctx, slot, lease, facts);
}

/* False: its rows go elsewhere, or are set aside. */
static bool start_job(struct run *run, struct hop *hop, struct worker_slot *slot,
                      const struct due_group *group)
{
    struct job_facts facts;

    if (!job_load(&run->jobs, hop, group, &facts))
        return false;
    give_job(run, hop, slot, group, &facts);
    return true;
}

/* ---- one hop's turn ------------------------------------------------------------------------- */

struct correcting {
    struct correct correct;
    struct dispatch *d;
};

static void on_corrected(struct operation *operation, enum operation_outcome outcome)
{
    struct correcting *correcting = (struct correcting *)operation;
    struct dispatch *d = correcting->d;
    struct hop *hop = hop_find(&d->ring, span_of(correcting->correct.hop));

    (void)outcome;
    free(correcting);
    if (!hop)
        return;
    hop->correcting = false;
    hop_forget_if_idle(&d->ring, hop, clock_utc_ms());
    dispatch_look(d);
}

/* Its row in `wake` is earlier than anything it has. */
static void correct_wake(struct dispatch *d, struct hop *hop)
{
    struct correcting *correcting = memory_new(sizeof(*correcting));

    hop->correcting = true;
    correcting->d = d;
    span_to_string(hop_name(hop), correcting->correct.hop, sizeof(correcting->correct.hop));
    correcting->correct.operation.done = on_corrected;
    correct_prepare(&correcting->correct);
    committer_add(d->parts.committer, &correcting->correct.operation);
}

/* When the first of those that were seen is due. */
static void look_again(struct run *run, struct hop *hop)
{
    hop->look_again_ms = run->walk.next_ms;
    dispatch_scan_by(run->d, hop->look_again_ms);
}

/* Nothing of this hop can be leased now. */
static void nothing_due(struct run *run, struct hop *hop)
{
    struct dispatch *d = run->d;

    if (hop->leases == 0 && !hop->correcting && !run->suspect_waits)
        correct_wake(d, hop);
    look_again(run, hop);
}

/* How many its rate lets go; when that is none it has its turn again when there is one. */
static unsigned hop_tokens(struct run *run, struct hop *hop)
{
    struct message_rate rate = rate_of(run, hop);
    unsigned tokens = pace_tokens(&hop->pace, rate, run->now_ms);

    hop->is_paced = rate.count > 0;
    if (tokens == 0)
        hop->paced_until_ms = pace_next_ms(&hop->pace, rate, run->now_ms);
    return tokens;
}

/* A record that cannot be read is found again from the rows. */
static void rebuild_if_damaged(struct run *run, struct hop *hop, const struct record_key *key)
{
    struct span value;
    struct error *err = kv_get(run->txn, TABLE_HOP, key_span(key), &value);

    if (!err && value.data && !hop->correcting)
        correct_wake(run->d, hop);
    error_free(&err);
}

/* Until when it rests; 0: it does not.  New mail may have made its rest a short one: `wake` is
 * scanned again when that ends. */
static int64_t rest_of(struct run *run, const Queue__HopRecord *record)
{
    if (record->suspended_until_utc_ms <= run->now_ms)
        return 0;
    dispatch_scan_by(run->d, record->suspended_until_utc_ms);
    return record->suspended_until_utc_ms;
}

/* Its row in `wake` is right: there is nothing to walk over, nor to correct. */
static bool is_due_later(struct run *run, const Queue__HopRecord *record)
{
    if (record->waiting == 0 || record->earliest_utc_ms <= run->now_ms)
        return false;
    dispatch_scan_by(run->d, record->earliest_utc_ms);
    return true;
}

/* How many more jobs a hop may have; 0: none now.  What may turn out silent is tried with few, and
 * one that rests has but what no rest concerns. */
static unsigned hop_allowance(struct run *run, struct hop *hop)
{
    unsigned tokens = hop_tokens(run, hop);
    if (tokens == 0)
        return 0;
    struct record_key key = key_of_hop(hop_name(hop));
    arena_reset(&run->d->arena);
    const Queue__HopRecord *record =
        store_look_up(run->txn, TABLE_HOP, &key, &queue__hop_record__descriptor, &run->d->arena);

    if (!record)
        rebuild_if_damaged(run, hop, &key);
    if (!record || hop->failing > 0 || record->operator_until_utc_ms > run->now_ms ||
        is_due_later(run, record))
        return 0;
    run->rest_until_ms = rest_of(run, record);
    unsigned most = hop->most_jobs;
    hop->is_failing = record->failures > 0;
    enum hop_standing standing = standing_of(hop);
    if (standing == HOP_FAILING || standing == HOP_FOUND)
        most = 1;
    else if (standing == HOP_NEW && most > TRIAL_JOBS)
        most = TRIAL_JOBS;
    if (hop->jobs >= most)
        return 0;
    return tokens < most - hop->jobs ? tokens : most - hop->jobs;
}

/* Memory is not to depend on how much there is to move or to end: each that is on disk lets us go
 * on. */
static bool is_disk_behind(const struct run *run)
{
    return committer_pending(run->d->parts.committer) >= PENDING_MAX;
}

/* Nobody says when a worker has nothing any more: the hop is looked at again after a while. */
static void wait_for_idle(struct run *run)
{
    run->suspect_waits = true;
    if (run->now_ms + SUSPECT_LOOK_MS < run->walk.next_ms)
        run->walk.next_ms = run->now_ms + SUSPECT_LOOK_MS;
}

/* What must be tried alone goes to a worker that has nothing else. */
static struct error *visit_suspect(struct run *run, struct hop *hop)
{
    struct due_group group;
    bool found;
    struct error *err = due_walk_suspect(&run->walk, hop, &group, &found);

    if (err || !found)
        return err;
    struct worker_slot *slot = slots_idle(&run->d->slots, hop_name(hop), run->now_ms);
    hop->has_mark = false;
    if (slot)
        start_job(run, hop, slot, &group);
    else
        wait_for_idle(run);
    return NULL;
}

/* What goes elsewhere takes no worker's place: a backlog whose route was changed moves at once. */
static struct error *visit_jobs(struct run *run, struct hop *hop, unsigned most,
                                enum visit *out_visit)
{
    unsigned moved = 0;
    struct error *err = NULL;

    *out_visit = VISIT_AGAIN;
    while (most > 0 && hop->given < JOBS_PER_VISIT && moved < MOVES_PER_VISIT &&
           (moved == 0 || !is_disk_behind(run))) {
        struct due_group group;
        bool found = false;
        struct worker_slot *slot = choose_slot(run, hop);
        if (!slot) {
            *out_visit = VISIT_NO_SLOT;
            return NULL;
        }
        err = due_walk_next(&run->walk, hop, &group, &found);
        if (err || !found) {
            *out_visit = VISIT_OVER;
            nothing_due(run, hop);
            return err;
        }
        bool given = start_job(run, hop, slot, &group);
        moved += !given;
        hop->given += given;
        most -= given;
    }
    return NULL;
}

/* What a policy makes rest is nothing to mail that goes although the policy is not met. */
static struct error *visit_resting(struct run *run, struct hop *hop, enum visit *out_visit)
{
    struct worker_slot *slot = choose_slot(run, hop);
    struct due_group group;
    bool found;

    run->walk.next_ms = run->rest_until_ms; /* all else is due then */
    struct error *err = due_walk_lenient(&run->walk, hop, &group, &found);

    if (err || !found) {
        look_again(run, hop);
        return err;
    }
    hop->has_mark = false;
    *out_visit = slot ? VISIT_AGAIN : VISIT_NO_SLOT;
    if (slot)
        start_job(run, hop, slot, &group);
    return NULL;
}

/* ---- a hop whose route ends its mail: no worker is needed ------------------------------------ */

static void end_job(struct run *run, struct hop *hop, const struct due_group *group)
{
    struct job_facts facts;

    if (!job_load(&run->jobs, hop, group, &facts))
        return;
    struct lease *lease = job_lease(&run->jobs, hop, group);
    run->given++;
    run->d->settle(run->d->ctx, lease, routes_outcome(facts.route, lease, run->now_ms));
}

static struct error *visit_end(struct run *run, struct hop *hop, enum visit *out_visit)
{
    struct due_group group;
    bool found = false;

    *out_visit = VISIT_AGAIN;
    if (is_disk_behind(run))
        return NULL;
    struct error *err = due_walk_suspect(&run->walk, hop, &group, &found);
    if (found)
        hop->has_mark = false;
    for (unsigned i = 0; !err && i < JOBS_PER_VISIT; i++, found = false) {
        if (!found)
            err = due_walk_next(&run->walk, hop, &group, &found);
        if (err || !found) {
            *out_visit = VISIT_OVER;
            nothing_due(run, hop);
            return err;
        }
        end_job(run, hop, &group);
    }
    return err;
}

/* ---- a hop that fails: its old mail ---------------------------------------------------------- */

static struct error *visit_overdue(struct run *run, struct hop *hop, enum visit *out_visit)
{
    struct overdue_visit visit = {
        .jobs = &run->jobs, .walk = &run->walk, .settle = run->d->settle, .ctx = run->d->ctx
    };
    struct error *err = NULL;

    *out_visit = VISIT_AGAIN;
    if (!is_disk_behind(run))
        err = overdue_visit(&visit, hop);
    run->given += visit.given;
    return err;
}

/* ---- one hop's visit ------------------------------------------------------------------------ */

struct error *dispatch_visit(struct run *run, struct hop *hop, enum visit *out_visit)
{
    *out_visit = VISIT_OVER; /* whatever keeps it from more touches it when that ends */
    hop->look_again_ms = 0;
    hop->most_jobs = dispatch_jobs_of(&run->d->limits, route_of(run, hop));
    if (routes_end(route_of(run, hop))) {
        run->walk.next_ms = INT64_MAX;
        return hop_allowance(run, hop) > 0 && run->rest_until_ms == 0
                   ? visit_end(run, hop, out_visit)
                   : NULL;
    }
    if (hop->overdue)
        return visit_overdue(run, hop, out_visit);
    if (!choose_slot(run, hop)) {
        *out_visit = VISIT_NO_SLOT;
        return NULL;
    }
    if (hop_allowance(run, hop) == 0)
        return NULL;
    run->walk.next_ms = INT64_MAX;
    run->suspect_waits = false;
    if (run->rest_until_ms > 0)
        return visit_resting(run, hop, out_visit);
    struct error *err = visit_suspect(run, hop);
    unsigned most = err ? 0 : hop_allowance(run, hop);
    return most > 0 ? visit_jobs(run, hop, most, out_visit) : err;
}
