#include "queue/dispatch.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "queue/dispatch_hops.h"
#include "queue/dispatch_jobs.h"
#include "queue/dispatch_overdue.h"
#include "queue/due_walk.h"
#include "queue/routes.h"
#include "queue/slots.h"
#include "queue/store_manage.h"

enum {
    RING_MAX = 1024,              /* hops in each line, waiting for their turn */
    TRIAL_JOBS = 2,               /* of a hop that nothing is known of and that has new mail */
    JOBS_PER_VISIT = 16,          /* of one hop, before the next has its turn */
    JOBS_PER_RUN = 256,           /* before the loop turns */
    LONGEST_SLEEP_MS = MINUTE_MS, /* the clock may be stepped */
    JOBS_PER_CONNECTION = 2,      /* so that a worker can pipeline */
};

struct dispatch {
    struct dispatch_parts parts;
    dispatch_give_fn *give;
    dispatch_settle_fn *settle;
    void *ctx;
    struct slots slots;
    struct hop_ring ring;
    struct loop_task task;
    struct loop_timer *timer;
    struct arena arena;
    int64_t look_again_ms; /* the earliest of the remembered hops' */
    int64_t timer_ms;      /* when the timer is due, in UTC */
    struct hop_limits limits;
    bool hold;
    bool is_open;
    bool scan;     /* `wake` is to be read */
    bool has_more; /* hops are due that found no place in the ring */
};

/* One run: all of it in one read transaction. */
struct run {
    struct dispatch *d;
    struct kv_txn *txn;
    struct due_walk walk;
    struct job_loader jobs;
    int64_t now_ms;
    unsigned given;
};

enum visit { VISIT_AGAIN, VISIT_NO_SLOT, VISIT_OVER };

static void run_soon(struct dispatch *d)
{
    loop_defer(d->parts.loop, &d->task);
}

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

static unsigned jobs_of(const struct hop_limits *limits, const struct route_settings *route)
{
    unsigned connections = limits->connections;

    if (route && route->connections > 0)
        connections = route->connections;
    return connections * JOBS_PER_CONNECTION;
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
    slot->jobs++;
    slot->tried[lease->standing]++;
    slot->is_alone = group->first.due_class == DUE_SUSPECT;
    if (slot->is_alone)
        slot->clear_at_ms = 0;
    if (hop->is_paced)
        pace_take(&hop->pace, rate_of(run, hop), run->now_ms);
    run->given++;
    run->d->give(run->d->ctx, slot, lease, facts);
}

static void start_job(struct run *run, struct hop *hop, struct worker_slot *slot,
                      const struct due_group *group)
{
    struct job_facts facts;

    if (job_load(&run->jobs, hop, group, &facts))
        give_job(run, hop, slot, group, &facts);
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
    hop_forget_if_idle(&d->ring, hop);
    dispatch_look(d);
}

/* Its row in `wake` is earlier than anything it has. */
static void correct_wake(struct dispatch *d, struct hop *hop)
{
    struct correcting *correcting = memory_new(sizeof(*correcting));

    hop->correcting = true;
    correcting->d = d;
    memcpy(correcting->correct.hop, hop->name, sizeof(hop->name));
    correcting->correct.operation.done = on_corrected;
    correct_prepare(&correcting->correct);
    committer_add(d->parts.committer, &correcting->correct.operation);
}

/* Nothing of this hop can be leased now. */
static void nothing_due(struct run *run, struct hop *hop)
{
    struct dispatch *d = run->d;

    if (hop->leases == 0 && !hop->correcting)
        correct_wake(d, hop);
    hop->look_again_ms = run->walk.next_ms;
    if (hop->look_again_ms < d->look_again_ms)
        d->look_again_ms = hop->look_again_ms;
}

/* How many its rate lets go; when that is none it has its turn again when there is one. */
static unsigned hop_tokens(struct run *run, struct hop *hop)
{
    struct message_rate rate = rate_of(run, hop);
    unsigned tokens = pace_tokens(&hop->pace, rate, run->now_ms);

    hop->is_paced = rate.count > 0;
    if (tokens > 0)
        return tokens;
    hop->look_again_ms = pace_next_ms(&hop->pace, rate, run->now_ms);
    if (hop->look_again_ms < run->d->look_again_ms)
        run->d->look_again_ms = hop->look_again_ms;
    return 0;
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

/* How many more jobs a hop may have; 0: none now.  What may turn out silent is tried with few. */
static unsigned hop_allowance(struct run *run, struct hop *hop)
{
    struct record_key key = key_of_hop(hop_name(hop));
    arena_reset(&run->d->arena);
    const Queue__HopRecord *record =
        store_look_up(run->txn, TABLE_HOP, &key, &queue__hop_record__descriptor, &run->d->arena);

    if (!record)
        rebuild_if_damaged(run, hop, &key);
    if (!record || hop->failing > 0 || record->suspended_until_utc_ms > run->now_ms ||
        record->operator_until_utc_ms > run->now_ms)
        return 0;
    unsigned most = hop->most_jobs;
    hop->is_failing = record->failures > 0;
    enum hop_standing standing = standing_of(hop);
    if (standing == HOP_FAILING || standing == HOP_FOUND)
        most = 1;
    else if (standing == HOP_NEW && most > TRIAL_JOBS)
        most = TRIAL_JOBS;
    if (hop->jobs >= most)
        return 0;
    unsigned tokens = hop_tokens(run, hop);
    return tokens < most - hop->jobs ? tokens : most - hop->jobs;
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
    return NULL;
}

static struct error *visit_jobs(struct run *run, struct hop *hop, unsigned most,
                                enum visit *out_visit)
{
    struct error *err = NULL;

    *out_visit = VISIT_AGAIN;
    for (; most > 0 && hop->given < JOBS_PER_VISIT; most--) {
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
        start_job(run, hop, slot, &group);
        hop->given++;
    }
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

    struct error *err = due_walk_suspect(&run->walk, hop, &group, &found);
    if (found)
        hop->has_mark = false;
    for (unsigned i = 0; !err && i < JOBS_PER_VISIT; i++, found = false) {
        if (!found)
            err = due_walk_next(&run->walk, hop, &group, &found);
        if (err || !found) {
            nothing_due(run, hop);
            return err;
        }
        end_job(run, hop, &group);
    }
    *out_visit = VISIT_AGAIN;
    return err;
}

/* ---- a hop that fails: its old mail ---------------------------------------------------------- */

static struct error *visit_overdue(struct run *run, struct hop *hop, enum visit *out_visit)
{
    struct overdue_visit visit = {
        .jobs = &run->jobs, .walk = &run->walk, .settle = run->d->settle, .ctx = run->d->ctx
    };
    struct error *err = overdue_visit(&visit, hop);

    run->given += visit.given;
    *out_visit = VISIT_AGAIN;
    return err;
}

/* ---- one hop's visit ------------------------------------------------------------------------ */

static struct error *visit_hop(struct run *run, struct hop *hop, enum visit *out_visit)
{
    *out_visit = VISIT_OVER; /* whatever keeps it from more touches it when that ends */
    hop->look_again_ms = 0;
    hop->most_jobs = jobs_of(&run->d->limits, route_of(run, hop));
    if (routes_end(route_of(run, hop))) {
        run->walk.next_ms = INT64_MAX;
        return hop_allowance(run, hop) > 0 ? visit_end(run, hop, out_visit) : NULL;
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
    struct error *err = visit_suspect(run, hop);
    unsigned most = err ? 0 : hop_allowance(run, hop);
    return most > 0 ? visit_jobs(run, hop, most, out_visit) : err;
}

/* ---- which hops ----------------------------------------------------------------------------- */

static void scan_row(struct run *run, struct span name)
{
    struct dispatch *d = run->d;
    struct hop *hop = hop_find(&d->ring, name);

    if (hop && (hop->correcting || hop->look_again_ms > run->now_ms)) {
        if (hop->look_again_ms > run->now_ms && hop->look_again_ms < d->look_again_ms)
            d->look_again_ms = hop->look_again_ms;
        return;
    }
    hop_enter(&d->ring, hop ? hop : hop_have(&d->ring, name), HOP_WAITING);
}

/* Hops whose time has come enter the ring; *out_next_ms is when the next one's comes. */
static struct error *scan_wake(struct run *run, struct kv_cursor *cursor, int64_t *out_next_ms)
{
    struct dispatch *d = run->d;
    struct span key;
    struct span value;
    struct span name;
    struct error *err = kv_cursor_seek(cursor, SPAN(""), &key, &value);

    *out_next_ms = INT64_MAX;
    d->look_again_ms = INT64_MAX;
    while (!err && key.data && key_read_wake(key, out_next_ms, &name)) {
        if (*out_next_ms > run->now_ms)
            return NULL;
        if (d->ring.counts[HOP_WAITING] >= RING_MAX) {
            d->has_more = true; /* again when these had their turn, not before */
            *out_next_ms = INT64_MAX;
            return NULL;
        }
        scan_row(run, name);
        err = kv_cursor_next(cursor, &key, &value);
    }
    if (!key.data)
        *out_next_ms = INT64_MAX;
    return err;
}

static void set_timer(struct dispatch *d, int64_t next_ms, int64_t now_ms)
{
    if (d->look_again_ms < next_ms)
        next_ms = d->look_again_ms;
    int64_t wait_ms = next_ms > now_ms ? next_ms - now_ms : 0;
    if (wait_ms > LONGEST_SLEEP_MS || next_ms == INT64_MAX)
        wait_ms = LONGEST_SLEEP_MS;
    d->timer_ms = now_ms + wait_ms;
    loop_timer_start(d->timer, wait_ms);
}

static struct error *scan(struct run *run)
{
    struct kv_cursor *cursor = NULL;
    int64_t next_ms = INT64_MAX;

    run->d->scan = run->d->has_more = false;
    struct error *err = kv_cursor_open(run->txn, TABLE_WAKE, &cursor);
    if (!err)
        err = scan_wake(run, cursor, &next_ms);
    kv_cursor_close(&cursor);
    set_timer(run->d, next_ms, run->now_ms);
    return err;
}

/*
 * Its place until the next visit; true when that is the ring's end.  When the slots ran out in the
 * middle of its turn it goes on with that: mail for one hop stays together and shares connections.
 */
static bool hop_after_visit(struct hop_ring *ring, struct hop *hop, enum hop_line line,
                            enum visit visit, struct list *kept)
{
    if (visit == VISIT_NO_SLOT && hop->given > 0) {
        list_append(kept, &hop->ring);
        return false;
    }
    hop->given = 0;
    if (visit == VISIT_OVER)
        hop_forget_if_idle(ring, hop);
    else
        hop_enter(ring, hop, visit == VISIT_NO_SLOT ? line : HOP_WAITING);
    return visit != VISIT_OVER;
}

static void hops_keep_turn(struct hop_ring *ring, struct list *kept)
{
    while (!list_empty(kept)) {
        struct hop *hop = LIST_ITEM(kept->prev, struct hop, ring);
        list_remove(&hop->ring);
        hop_enter_first(ring, hop);
    }
}

/* Hops in turn until each had one without being given anything. */
static struct error *take_turns(struct run *run)
{
    struct hop_ring *ring = &run->d->ring;
    struct list kept;
    unsigned in_vain = 0;
    struct error *err = NULL;

    list_init(&kept);
    while (!err && in_vain < hops_in_turn(ring) && run->given < JOBS_PER_RUN &&
           slots_have_room(&run->d->slots)) {
        struct hop *hop = hop_in_turn(ring);
        enum hop_line line = hop->line;
        unsigned before = run->given;
        enum visit visit;
        hop->is_fresh = line == HOP_FRESH;
        hop_leave(ring, hop);
        err = visit_hop(run, hop, &visit);
        bool is_behind = hop_after_visit(ring, hop, line, visit, &kept);
        in_vain = run->given > before ? 0 : in_vain + is_behind;
    }
    hops_keep_turn(ring, &kept);
    return err;
}

static struct error *run_in_txn(struct run *run)
{
    struct dispatch *d = run->d;
    struct error *err = kv_begin_read(store_kv(d->parts.store), &run->txn);

    run->jobs.txn = run->txn;
    if (!err && d->scan)
        err = scan(run);
    if (!err && hops_in_turn(&d->ring) > 0)
        err = kv_cursor_open(run->txn, TABLE_DUE, &run->walk.cursor);
    if (!err && run->walk.cursor)
        err = take_turns(run);
    kv_cursor_close(&run->walk.cursor);
    kv_abort(&run->txn);
    return err;
}

static void on_run(void *ctx)
{
    struct dispatch *d = ctx;
    struct run run = { .d = d, .now_ms = clock_utc_ms() };

    if (!d->is_open || d->hold)
        return;
    if (!d->scan && (hops_in_turn(&d->ring) == 0 || !slots_have_room(&d->slots)))
        return;
    struct schedule *schedule = store_schedule(d->parts.store);
    run.walk = (struct due_walk){ .leases = d->parts.leases, .now_ms = run.now_ms };
    run.jobs = (struct job_loader){ .dispatch = d,
                                    .parts = &d->parts,
                                    .arena = &d->arena,
                                    .schedule = schedule,
                                    .now_ms = run.now_ms };
    struct error *err = run_in_txn(&run);
    schedule_drop(&schedule);
    if (err) {
        log_failure(LOG_ERROR, "queue-read-failed", err);
        error_free(&err);
        d->scan = true;
        loop_timer_start(d->timer, SECOND_MS);
        return;
    }
    d->scan = d->scan || (d->has_more && d->ring.counts[HOP_WAITING] < RING_MAX / 2);
    if (run.given >= JOBS_PER_RUN || d->scan)
        set_timer(d, run.now_ms, run.now_ms); /* the rest when the loop has turned */
    else if (d->look_again_ms < d->timer_ms)
        set_timer(d, d->timer_ms, run.now_ms);
}

static void on_timer(void *ctx)
{
    dispatch_look(ctx);
}

/* ---- from outside --------------------------------------------------------------------------- */

struct dispatch *dispatch_new(const struct dispatch_parts *parts, dispatch_give_fn *give,
                              dispatch_settle_fn *settle, void *ctx)
{
    struct dispatch *d = memory_new(sizeof(*d));

    d->parts = *parts;
    d->give = give;
    d->settle = settle;
    d->ctx = ctx;
    d->look_again_ms = INT64_MAX;
    d->scan = true;
    slots_init(&d->slots);
    hop_ring_init(&d->ring);
    arena_init(&d->arena);
    loop_task_init(&d->task, on_run, d);
    d->timer = loop_timer_new(parts->loop, on_timer, d);
    return d;
}

void dispatch_free(struct dispatch **dispatch)
{
    struct dispatch *d = *dispatch;

    *dispatch = NULL;
    if (!d)
        return;
    loop_task_cancel(&d->task);
    loop_timer_free(&d->timer);
    hop_ring_clear(&d->ring);
    arena_clear(&d->arena);
    free(d);
}

void dispatch_set(struct dispatch *dispatch, bool hold, struct hop_limits limits)
{
    dispatch->hold = hold;
    dispatch->limits = limits;
    dispatch_look(dispatch);
}

void dispatch_open(struct dispatch *dispatch)
{
    dispatch->is_open = true;
    dispatch_look(dispatch);
}

void dispatch_add_slot(struct dispatch *dispatch, struct worker_slot *slot)
{
    slots_add(&dispatch->slots, slot);
    dispatch_look(dispatch);
}

void dispatch_remove_slot(struct dispatch *dispatch, struct worker_slot *slot)
{
    (void)dispatch;
    list_remove(&slot->others);
}

void dispatch_touch(struct dispatch *dispatch, struct span hop)
{
    struct hop *known;

    if (dispatch->ring.counts[HOP_FRESH] >= RING_MAX) {
        dispatch->scan = true; /* its row in `wake` says the same */
        return;
    }
    known = hop_have(&dispatch->ring, hop);
    known->look_again_ms = 0;
    hop_enter(&dispatch->ring, known, HOP_FRESH);
    run_soon(dispatch);
}

void dispatch_look(struct dispatch *dispatch)
{
    dispatch->scan = true;
    run_soon(dispatch);
}

void dispatch_forget_marks(struct dispatch *dispatch)
{
    struct hop *hop;
    size_t cursor = 0;

    while ((hop = map_next(dispatch->ring.by_name, &cursor, NULL)) != NULL) {
        hop->has_mark = false;
        hop->look_again_ms = 0;
    }
    dispatch_look(dispatch);
}

struct worker_slot *dispatch_choose(struct dispatch *dispatch, struct span hop)
{
    if (!dispatch->is_open || dispatch->hold)
        return NULL;
    struct schedule *schedule = store_schedule(dispatch->parts.store);
    unsigned jobs = jobs_of(&dispatch->limits, schedule_route_of(schedule, hop));
    struct slot_wish wish = { hop, HOP_KNOWN, jobs };
    schedule_drop(&schedule);
    return slots_choose(&dispatch->slots, &wish, clock_utc_ms());
}

static void slot_leave(struct worker_slot *slot, const struct lease *lease)
{
    if (slot->jobs > 0)
        slot->jobs--;
    if (slot->tried[lease->standing] > 0)
        slot->tried[lease->standing]--; /* that of a lease taken over was never counted */
}

void dispatch_leave(struct dispatch *dispatch, struct lease *lease, struct worker_slot *slot,
                    enum hop_word word)
{
    struct hop *hop = lease->hop;

    if (slot)
        slot_leave(slot, lease);
    if (slot && slot->jobs == 0)
        slot->is_alone = false;
    if (hop) {
        hop->jobs--;
        if (word == HOP_FAILED)
            hop->failing++;
        if (word != HOP_SAID_NOTHING)
            hop->is_known = word == HOP_REACHED;
        hop_enter(&dispatch->ring, hop, HOP_WAITING);
    }
    run_soon(dispatch);
}

struct span dispatch_hop_of(const struct lease *lease)
{
    return lease->hop ? hop_name(lease->hop) : SPAN("");
}

void dispatch_end(struct dispatch *dispatch, struct lease **lease, bool hop_failed)
{
    struct hop *hop = (*lease)->hop;

    lease_end(dispatch->parts.leases, lease);
    if (!hop)
        return;
    hop->leases--;
    if (hop_failed)
        hop->failing--;
    hop->look_again_ms = 0;
    hop_enter(&dispatch->ring, hop, HOP_WAITING);
    run_soon(dispatch);
}

/* A mark says that all rows up to it are leased, which is true no more.  Which hop a lease of an
 * earlier queue is about is not known. */
void dispatch_return(struct dispatch *dispatch, struct lease **lease, bool hop_failed)
{
    struct hop *hop = (*lease)->hop;

    if (hop)
        hop->has_mark = false;
    else
        dispatch_forget_marks(dispatch);
    dispatch_end(dispatch, lease, hop_failed);
}

void dispatch_hop_failed(const struct lease *lease, const Ipc__Outcome *outcome)
{
    struct hop *hop = lease->hop;

    if (hop && !hop->overdue)
        hop->overdue = overdue_new(outcome);
}

void dispatch_set_aside(struct dispatch *dispatch, struct lease *lease, bool hop_failed)
{
    struct hop *hop = lease->hop;

    if (!hop || !hop_failed)
        return;
    hop->failing--;
    hop_enter(&dispatch->ring, hop, HOP_WAITING);
    run_soon(dispatch);
}
