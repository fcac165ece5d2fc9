#include "queue/dispatch.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "queue/dispatch_overdue.h"
#include "queue/dispatch_private.h"

enum {
    RING_MAX = 1024,              /* hops in each line, waiting for their turn */
    PACED_MAX = RING_MAX / 2,     /* with so many no paced ones join them: some come from `wake` */
    JOBS_PER_RUN = 256,           /* before the loop turns */
    LONGEST_SLEEP_MS = MINUTE_MS, /* the clock may be stepped */
    FORGOTTEN_LOOK_MS = 250,      /* paced ones that are too many to be remembered */
};

static void run_soon(struct dispatch *d)
{
    loop_defer(d->parts.loop, &d->task);
}

/* ---- which hops ----------------------------------------------------------------------------- */

void dispatch_scan_by(struct dispatch *d, int64_t utc_ms)
{
    if (utc_ms < d->scan_ms)
        d->scan_ms = utc_ms;
}

/* A paced one has its turn when its time comes. */
static void scan_row(struct run *run, struct span name)
{
    struct dispatch *d = run->d;
    struct hop *hop = hop_find(&d->ring, name);

    if (hop && (hop->line == HOP_PACED || hop->correcting || hop->look_again_ms > run->now_ms)) {
        if (hop->look_again_ms > run->now_ms)
            dispatch_scan_by(d, hop->look_again_ms);
        return;
    }
    hop_enter(&d->ring, hop ? hop : hop_have(&d->ring, name), HOP_WAITING);
}

/* Hops whose time has come enter the ring, and when the next one's comes it is read again. */
static struct error *scan_wake(struct run *run, struct kv_cursor *cursor)
{
    struct dispatch *d = run->d;
    struct span key;
    struct span value;
    struct span name;
    int64_t utc_ms;
    struct error *err = kv_cursor_seek(cursor, SPAN(""), &key, &value);

    while (!err && key.data && key_read_wake(key, &utc_ms, &name)) {
        if (utc_ms > run->now_ms) {
            dispatch_scan_by(d, utc_ms);
            return NULL;
        }
        if (d->ring.counts[HOP_WAITING] >= RING_MAX) {
            d->has_more = true; /* again when these had their turn, not before */
            return NULL;
        }
        scan_row(run, name);
        err = kv_cursor_next(cursor, &key, &value);
    }
    return err;
}

static struct error *scan(struct run *run)
{
    struct kv_cursor *cursor = NULL;

    run->d->scan = run->d->has_more = false;
    run->d->scan_ms = run->now_ms + LONGEST_SLEEP_MS;
    struct error *err = kv_cursor_open(run->txn, TABLE_WAKE, &cursor);
    if (!err)
        err = scan_wake(run, cursor);
    kv_cursor_close(&cursor);
    return err;
}

/* When it has to look without being told: at paced hops, which needs place for them and no scan, or
 * at `wake`. */
static int64_t next_look_ms(struct dispatch *d, int64_t now_ms)
{
    const struct hop *paced = paced_first(&d->ring.paced);

    if (d->ring.paced.count == HOPS_PACED_MAX)
        dispatch_scan_by(d, now_ms + FORGOTTEN_LOOK_MS);
    if (paced && paced->paced_until_ms < d->scan_ms && d->ring.counts[HOP_WAITING] < PACED_MAX)
        return paced->paced_until_ms;
    return d->scan_ms;
}

static void set_timer(struct dispatch *d, int64_t next_ms, int64_t now_ms)
{
    int64_t wait_ms = next_ms > now_ms ? next_ms - now_ms : 0;

    loop_timer_start(d->timer, wait_ms < LONGEST_SLEEP_MS ? wait_ms : LONGEST_SLEEP_MS);
}

/*
 * Its place until the next visit; true when that is the ring's end.  When the slots ran out in the
 * middle of its turn it goes on with that: mail for one hop stays together and shares connections.
 */
static bool hop_after_visit(struct run *run, struct hop *hop, enum hop_line line, enum visit visit,
                            struct list *kept)
{
    if (visit == VISIT_NO_SLOT && hop->given > 0) {
        list_append(kept, &hop->ring);
        return false;
    }
    hop->given = 0;
    if (visit == VISIT_OVER)
        hop_forget_if_idle(&run->d->ring, hop, run->now_ms);
    else
        hop_enter(&run->d->ring, hop, visit == VISIT_NO_SLOT ? line : HOP_WAITING);
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
        err = dispatch_visit(run, hop, &visit);
        bool is_behind = hop_after_visit(run, hop, line, visit, &kept);
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

static struct error *run_once(struct run *run)
{
    struct dispatch *d = run->d;
    struct schedule *schedule = store_schedule(d->parts.store);

    run->walk = (struct due_walk){ .leases = d->parts.leases, .now_ms = run->now_ms };
    run->jobs = (struct job_loader){ .dispatch = d,
                                     .parts = &d->parts,
                                     .arena = &d->arena,
                                     .schedule = schedule,
                                     .now_ms = run->now_ms };
    struct error *err = run_in_txn(run);
    schedule_drop(&schedule);
    return err;
}

static void on_run(void *ctx)
{
    struct dispatch *d = ctx;
    struct run run = { .d = d, .now_ms = clock_utc_ms() };
    struct error *err = NULL;

    if (!d->is_open || d->hold)
        return;
    d->scan = d->scan || d->scan_ms <= run.now_ms;
    hops_enter_paced(&d->ring, PACED_MAX, run.now_ms);
    if (d->scan || (hops_in_turn(&d->ring) > 0 && slots_have_room(&d->slots)))
        err = run_once(&run);
    if (err) {
        log_failure(LOG_ERROR, "queue-read-failed", err);
        error_free(&err);
        d->scan = true;
        loop_timer_start(d->timer, SECOND_MS);
        return;
    }
    d->scan = d->scan || (d->has_more && d->ring.counts[HOP_WAITING] < RING_MAX / 2);
    int64_t next_ms = next_look_ms(d, run.now_ms);
    bool goes_on = run.given >= JOBS_PER_RUN || d->scan; /* when the loop has turned */
    set_timer(d, goes_on ? run.now_ms : next_ms, run.now_ms);
}

static void on_timer(void *ctx)
{
    struct dispatch *d = ctx;

    run_soon(d);
}

static void on_parking(void *ctx)
{
    struct dispatch *d = ctx;

    if (slots_park(&d->slots, loop_now(d->parts.loop)))
        run_soon(d);
    if (slots_have_trials(&d->slots))
        loop_timer_start(d->parking, SILENT_LOOK_MS);
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
    d->scan = true;
    slots_init(&d->slots);
    hop_ring_init(&d->ring);
    arena_init(&d->arena);
    loop_task_init(&d->task, on_run, d);
    d->timer = loop_timer_new(parts->loop, on_timer, d);
    d->parking = loop_timer_new(parts->loop, on_parking, d);
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
    loop_timer_free(&d->parking);
    hop_ring_clear(&d->ring);
    arena_clear(&d->arena);
    free(d);
}

void dispatch_set(struct dispatch *dispatch, bool hold, struct hop_limits limits)
{
    dispatch->hold = hold;
    dispatch->limits = limits;
    dispatch_forget_marks(dispatch); /* rates may be others now, of routes, too */
}

bool dispatch_holds(const struct dispatch *dispatch)
{
    return dispatch->hold;
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
    while (!list_empty(&slot->trials))
        list_remove(slot->trials.next);
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
        hop->paced_until_ms = 0; /* of all: their order stays one */
    }
    dispatch_look(dispatch);
}

struct worker_slot *dispatch_choose(struct dispatch *dispatch, struct span hop)
{
    if (!dispatch->is_open || dispatch->hold)
        return NULL;
    struct schedule *schedule = store_schedule(dispatch->parts.store);
    unsigned jobs = dispatch_jobs_of(&dispatch->limits, schedule_route_of(schedule, hop));
    struct slot_wish wish = { hop, HOP_KNOWN, jobs };
    schedule_drop(&schedule);
    return slots_choose(&dispatch->slots, &wish, clock_utc_ms());
}

void dispatch_leave(struct dispatch *dispatch, struct lease *lease, struct worker_slot *slot,
                    enum hop_word word)
{
    struct hop *hop = lease->hop;

    list_remove(&lease->of_trials);
    if (slot)
        slots_give_back(slot, lease);
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
