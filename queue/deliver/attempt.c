#include "queue/deliver/attempt_private.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "queue/deliver/relief.h"
#include "queue/deliver/verdict.h"

const char *attempt_mx(const struct attempt *a)
{
    return a->plan->route.candidates[a->candidate].name;
}

struct worker *attempt_worker(const struct attempt *a)
{
    return a->lane->worker;
}

/* --- birth and death */

/* Among equally good candidates jobs begin with different ones (CLI-9). */
static void order_candidates(struct attempt *a)
{
    const struct route *route = &a->plan->route;
    unsigned first = 0, behind;

    while (first < route->count) {
        for (behind = first; behind < route->count && route->candidates[behind].preference ==
                                                          route->candidates[first].preference;)
            behind++;
        for (unsigned i = first; i < behind; i++)
            a->order[i] = first + (unsigned)((i + a->job->lease) % (behind - first));
        first = behind;
    }
    a->order_count = route->count;
}

void attempt_take_plan(struct attempt *a, unsigned place)
{
    a->place = place;
    a->plan = &a->plans->items[a->places[place]];
    a->next = 0;
    order_candidates(a);
    job_take_plan(a->job, a->plan);
}

unsigned attempt_position(const struct attempt *a)
{
    unsigned next = a->next < MX_NAMES_MAX ? a->next : MX_NAMES_MAX; /* in the second round: all */

    return a->place * MX_NAMES_MAX + next;
}

static bool is_open(const struct attempt *a)
{
    return relief_plan_is_open(a->job, a->plan, clock_utc_ms());
}

/* The next host of the route, when all candidates of this one are tried; false: there is none. */
static bool take_next_plan(struct attempt *a)
{
    while (a->place + 1 < a->plans->count) {
        attempt_take_plan(a, a->place + 1);
        if (is_open(a))
            return true;
    }
    return false;
}

/*
 * Where the job went on before, or the first host behind that can be used at all.  There may be
 * none: the plans can be newer than the position, and a policy not known any more.
 */
void attempt_begin_at(struct attempt *a, unsigned position)
{
    unsigned place = position / MX_NAMES_MAX;

    attempt_take_plan(a, place < a->plans->count ? place : a->plans->count - 1);
    if (place < a->plans->count && is_open(a))
        a->next = position % MX_NAMES_MAX;
    else if (place >= a->plans->count || !take_next_plan(a))
        a->next = a->order_count; /* none is left */
}

struct attempt *attempt_new(struct lane *lane, struct job *job)
{
    struct attempt *a = memory_new(sizeof(*a));

    a->lane = lane;
    a->plans = plans_keep(lane->plans);
    a->job = job;
    a->until_ms = loop_now(lane->worker->loop) + ATTEMPT_MS;
    target_order(lane->targets, a->plans->count, job->lease, a->places);
    attempt_begin_at(a, job->next_candidate);
    job->next_candidate = 0;
    list_append(&lane->attempts, &a->others);
    return a;
}

void attempt_free(struct attempt *a)
{
    struct lane *lane = a->lane;

    list_remove(&a->others);
    race_cancel(&a->race);
    host_lookup_cancel(&a->lookup);
    tlsa_set_free(&a->tlsa);
    host_slot_free(&a->asking);
    loop_timer_free(&a->slot_wait);
    session_free(&a->session);
    plans_free(&a->plans);
    free(a);
    lane_rest(lane);
}

/* The session goes on to whoever wants it; that of a host that is busy ends, and so tells of it. */
static void attempt_leave_session(struct attempt *a)
{
    if (a->session && a->session->dialogue && dialogue_is_idle(a->session->dialogue) &&
        !host_slot_is_refused(a->session->slot))
        lane_take_back(a->lane, &a->session);
}

/*
 * No candidate was fit for mail, and that was not our own trouble.  What a message with REQUIRETLS
 * finds says nothing about others.
 */
static bool has_failed(const struct attempt *a)
{
    return !a->was_ready && a->blames_hop && !job_requires_tls(a->job);
}

enum others { OTHERS_NONE, OTHERS_TRY, OTHERS_HAVE_SESSION };

/* The attempts of the lane that have a connection of their own, or are about to. */
static enum others others_of(const struct attempt *self)
{
    enum others others = OTHERS_NONE;
    const struct attempt *a;

    LIST_EACH(a, &self->lane->attempts, struct attempt, others)
    {
        if (a == self || a->is_follower)
            continue;
        if (a->was_ready)
            return OTHERS_HAVE_SESSION;
        others = OTHERS_TRY;
    }
    return others;
}

/*
 * Others have a session, or may get one: a host may want no more than these at a time.  The job
 * waits for them; the last one of a lane to fail says that the host is dead, and so does one that
 * waited for long for those of other lanes.  For those that only try it waits a few times: where
 * all hosts are dead, two attempts would else wait for each other without end.
 */
static bool is_one_too_many(const struct attempt *a)
{
    int64_t waited_ms = loop_now(attempt_worker(a)->loop) - a->job->started_ms;
    enum others others = others_of(a);

    if (!has_failed(a) || job_open_count(a->job) == 0)
        return false;
    return others == OTHERS_HAVE_SESSION ||
           (others == OTHERS_TRY && a->job->gave_way < GIVE_WAY_MAX) ||
           (a->is_crowded && waited_ms < CROWDED_MS);
}

void attempt_over(struct attempt *a)
{
    struct lane *lane = a->lane;
    struct worker *worker = lane->worker;
    struct job *job = a->job;

    if (is_one_too_many(a)) {
        job->gave_way++;
        attempt_requeue(a, 0);
        return;
    }
    attempt_settle_unknown(a);
    job_close(job);
    job->took_ms = loop_now(worker->loop) - job->started_ms;
    job->hop_failed = has_failed(a) && job->results[0].kind == OUTCOME_DEFERRED;
    attempt_leave_session(a);
    attempt_free(a);
    if (job->hop_failed)
        lane_hop_failed(lane, job);
    worker->job_over(worker->owner, &job);
    lane_wake(lane);
}

void attempt_requeue(struct attempt *a, unsigned position)
{
    struct lane *lane = a->lane;
    struct job *job = a->job;

    job->next_candidate = position;
    lane_add_first(lane, job);
    attempt_free(a);
}

void attempt_discard(struct attempt *a)
{
    struct worker *worker = attempt_worker(a);
    struct job *job = a->job;

    if (a->session)
        dialogue_free(&a->session->dialogue);
    attempt_free(a);
    worker->job_dropped(worker->owner, &job);
}

/* --- connecting */

void attempt_refused(struct attempt *a, struct span words)
{
    host_slot_refused(a->session->slot, words);
    if (a->session->slot && host_slot_has_others(a->session->slot))
        a->is_crowded = true;
}

static void drop_address(struct attempt *a, const struct ip_address *address)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < a->address_count; i++)
        if (!ip_address_equal(&a->addresses[i], address))
            a->addresses[kept++] = a->addresses[i];
    a->address_count = kept;
}

/* Each counts, also one that is outrun or given up. */
static void on_begun(void *ctx)
{
    struct attempt *a = ctx;

    a->connects++;
}

static void on_lost(void *ctx, const struct endpoint *remote, const struct dialogue_end *end)
{
    struct attempt *a = ctx;

    drop_address(a, &remote->address);
    a->blames_hop = a->blames_hop || !end->is_ours;
    if (end->stage == STAGE_CONNECT && !end->is_ours)
        unreachable_note(attempt_worker(a)->unreachable, remote, loop_now(attempt_worker(a)->loop));
    if (!end->is_ours)
        attempt_refused(a, end->words);
    attempt_add_line(a, verdict_of_end(end->stage, end->outcome.kind));
    attempt_line_address(a, &remote->address);
    attempt_line(a)->reply = job_keep(a->job, end->words);
    attempt_settle(a, &end->outcome, end->words, end->remote);
}

static void on_outrun(void *ctx, const struct endpoint *remote)
{
    struct worker *worker = attempt_worker(ctx);

    unreachable_note(worker->unreachable, remote, loop_now(worker->loop));
}

static void on_won(void *ctx, struct dialogue *winner)
{
    struct attempt *a = ctx;

    unreachable_forget(attempt_worker(a)->unreachable, &dialogue_facts(winner)->remote);
    a->race = NULL;
    drop_address(a, &dialogue_facts(winner)->remote.address);
    a->session->dialogue = winner;
    dialogue_bind(winner, &attempt_events, a);
}

static void on_used_up(void *ctx)
{
    struct attempt *a = ctx;

    a->race = NULL;
    attempt_walk(a);
}

static const struct race_events race_events = { on_begun, on_lost, on_outrun, on_won, on_used_up };

/* How long a session may begin messages. */
static int64_t session_life_ms(const struct attempt *a)
{
    int64_t life_ms = attempt_worker(a)->settings->connection_age_s * SECOND_MS;
    int64_t tlsa_ms = a->tlsa ? (int64_t)a->tlsa->ttl * SECOND_MS : life_ms; /* DNS-54 */

    return tlsa_ms < life_ms ? tlsa_ms : life_ms;
}

/* Those behind the bound are not tried. */
static unsigned count_within_bound(const struct attempt *a, unsigned count)
{
    unsigned left = ATTEMPT_CONNECTS_MAX - a->connects;

    return count < left ? count : left;
}

void attempt_connect(struct attempt *a, const struct ip_address *addresses, unsigned count)
{
    struct worker *worker = attempt_worker(a);
    const struct rung *rung = &a->rung;
    const struct target *target = &a->plan->target;
    const char *mx = attempt_mx(a);
    bool by_tlsa = a->decision.by_tlsa;
    struct dialogue_plan plan = { .helo = worker->settings->hostname,
                                  .mx = mx,
                                  .no_chunking = a->no_chunking,
                                  .mx_is_valid =
                                      a->decision.mx_is_valid && rung->floor == TLS_FLOOR_STRICT,
                                  .context = worker_context(worker, rung),
                                  .past = a->in_full || by_tlsa ? NULL : worker->past,
                                  .tlsa = by_tlsa ? a->tlsa : NULL,
                                  .tlsa_names = attempt_tlsa_names(a),
                                  .key.floor = rung->floor,
                                  .filter = worker_filter(worker, target),
                                  .waits = &worker->waits,
                                  .messages_max = worker->settings->connection_messages,
                                  .life_ms = session_life_ms(a) };

    a->trust_generation = worker->trust_generation;
    plan.key.pool = pool_key_needed(&a->decision, mx, target->port, a->trust_generation);
    plan.key.pool.for_reports = job_is_report(a->job);
    target_chooser(target, plan.key.pool.chooser);
    worker_plan_route(worker, target, &plan);
    session_wait(a->session, false); /* whatever went before took its time from no host */
    session_wait(a->session, true);
    a->is_sent = a->is_judged = false;
    a->race = race_start(worker->loop, addresses, count_within_bound(a, count), target->port, &plan,
                         &race_events, a);
}

bool attempt_may_connect(const struct attempt *a)
{
    return a->connects < ATTEMPT_CONNECTS_MAX && loop_now(attempt_worker(a)->loop) < a->until_ms;
}

/* --- leave to connect */

static void on_slot(void *ctx)
{
    struct attempt *a = ctx;

    loop_timer_free(&a->slot_wait);
    a->session->slot = a->asking;
    a->asking = NULL;
    attempt_walk(a);
}

/* Its host is busy with others: the next one, or later. */
static void on_slot_late(void *ctx)
{
    struct attempt *a = ctx;
    struct outcome o = { .kind = OUTCOME_DEFERRED, .elsewhere = true, .status = "4.4.5" };

    loop_timer_free(&a->slot_wait);
    host_slot_free(&a->asking);
    a->address_count = 0;
    attempt_add_line(a, "no connection to spare");
    attempt_settle(a, &o, SPAN("as many connections to the host as it bears are open already"),
                   false);
    attempt_walk(a);
}

/* The lane asked for the first candidate's; for another one this does, with its seat. */
static bool has_slot(struct attempt *a)
{
    struct worker *worker = attempt_worker(a);
    struct slot_hosts hosts = { .count = 0 };

    if (host_slot_is_for(a->session->slot, attempt_mx(a)))
        return true;
    host_slot_free(&a->session->slot);
    session_wait(a->session, false);
    slot_hosts_add(&hosts, attempt_mx(a));
    a->asking = host_slot_ask(worker->slots, a->lane->next_hop, &hosts, on_slot, a);
    a->slot_wait = loop_timer_new(worker->loop, on_slot_late, a);
    loop_timer_start(a->slot_wait, SLOT_WAIT_MS);
    return false;
}

/* Those that are as good as the one it would try next. */
static unsigned count_equals(const struct attempt *a)
{
    const struct mx_candidate *candidates = a->plan->route.candidates;
    unsigned behind = a->next;

    while (behind < a->plan->route.count &&
           candidates[a->order[behind]].preference == candidates[a->order[a->next]].preference)
        behind++;
    return behind - a->next;
}

void attempt_first_hosts(struct lane *lane, struct job *job, struct slot_hosts *out)
{
    struct attempt a = { .lane = lane, .plans = lane->plans, .job = job };
    struct pool_key needs;

    out->count = 0;
    target_order(lane->targets, a.plans->count, job->lease, a.places);
    attempt_begin_at(&a, job->next_candidate);
    unsigned count = count_equals(&a);
    for (unsigned i = a.next; i < a.next + count; i++)
        if (attempt_needs(lane, job, a.plan, a.order[i], &needs))
            slot_hosts_add(out, a.plan->route.candidates[a.order[i]].name);
}

/* The one of its first candidates for which the lane got a slot is the first of them. */
static void take_slot(struct attempt *a)
{
    unsigned behind = a->next + count_equals(a);

    for (unsigned i = a->next; i < behind; i++) {
        unsigned chosen = a->order[i];
        if (!host_slot_is_for(a->lane->slot, a->plan->route.candidates[chosen].name))
            continue;
        a->order[i] = a->order[a->next];
        a->order[a->next] = chosen;
        a->session->slot = a->lane->slot;
        a->lane->slot = NULL;
        return;
    }
}

void attempt_walk(struct attempt *a)
{
    for (;;) {
        bool may_connect = attempt_may_connect(a);
        if (a->address_count > 0 && may_connect && !has_slot(a))
            return;
        if (a->address_count > 0 && may_connect) {
            a->rung = ladder_begin(&a->decision, host_slot_lesson(a->session->slot));
            a->failed_before = a->in_full = false;
            attempt_connect(a, a->addresses, a->address_count);
            return;
        }
        a->address_count = 0;
        if (!may_connect || (a->next >= a->order_count && !take_next_plan(a))) {
            attempt_over(a);
            return;
        }
        if (attempt_open_candidate(a))
            return;
    }
}

/* --- what lane, worker and deliver call */

static struct attempt *attempt_of(const struct session *session)
{
    struct attempt *a;

    LIST_EACH(a, &session->lane->attempts, struct attempt, others)
    {
        if (a->session == session)
            return a;
    }
    return NULL;
}

bool attempt_end_silent(struct session *session)
{
    struct attempt *a = attempt_of(session);
    struct outcome o = outcome_of_loss(STAGE_GREETING, LOSS_TIMEOUT);
    struct span words =
        SPAN("the host was not ready for mail within seconds, as many others at this time");

    if (!a || !a->job->is_first_try || (!a->race && !session->dialogue))
        return false;
    race_cancel(&a->race);
    dialogue_free(&session->dialogue);
    attempt_refused(a, words);
    if (!a->is_judged)
        attempt_add_line(a, "silent");
    attempt_settle(a, &o, words, false);
    a->blames_hop = true;
    a->address_count = 0;
    attempt_walk(a);
    return true;
}

void attempt_start(struct lane *lane, struct job *job)
{
    struct attempt *a = attempt_new(lane, job);

    a->session = session_new(lane);
    session_wait(a->session, true);
    take_slot(a);
    attempt_walk(a);
}

void attempt_start_over(struct lane *lane, struct job *job, struct session **session)
{
    struct attempt *a = attempt_new(lane, job);
    struct session *s = *session;

    *session = NULL;
    session_move(s, lane);
    attempt_join(a, s);
    dialogue_send(s->dialogue, job);
}

bool attempt_needs(const struct lane *lane, const struct job *job, const struct plan *plan,
                   unsigned candidate, struct pool_key *out)
{
    const char *mx = plan->route.candidates[candidate].name;
    struct sts_facts f = attempt_facts(plan, candidate, job);
    struct sts_decision d = sts_decide_candidate(f);

    *out = pool_key_needed(&d, mx, plan->target.port, lane->worker->trust_generation);
    target_chooser(&plan->target, out->chooser);
    out->for_reports = job_is_report(job);
    out->is_sure = attempt_asks_tlsa(plan, &f);
    out->only_by_tlsa = !d.deliver;
    snprintf(out->domain, sizeof(out->domain), "%s", plan->target.name);
    f.tlsa = TLSA_USABLE; /* what they are worth is seen when the host is looked up */
    return d.deliver || (out->is_sure && sts_decide_candidate(f).deliver);
}

/* The final dot is out and we go: RFC 5321 s.6.1, it may have been delivered. */
static void attempt_leave_unknown(struct attempt *a)
{
    struct outcome o = outcome_of_loss(STAGE_DOT, LOSS_TIMEOUT);

    job_settle(a->job, RECIPIENT_ACCEPTED, &o,
               SPAN("the relay stopped before the answer to the message came"), false);
    a->job->dot_is_out = false;
    dialogue_free(&a->session->dialogue);
    attempt_line_result(a, STAGE_DOT);
    attempt_over(a);
}

static bool is_to_drop(const struct attempt *a, enum drop which)
{
    if (a->is_follower)
        return false; /* goes with its leader */
    return which == DROP_ALL || (which == DROP_UNSENT && !a->job->dot_is_out) ||
           (which == DROP_CONNECTING && !a->is_sent);
}

static void drop_one(struct attempt *a)
{
    struct attempt *follower = a->follower;
    bool dot_is_out = a->job->dot_is_out;

    a->follower = NULL;
    if (a->session)
        dialogue_free(&a->session->dialogue);
    if (follower)
        attempt_discard(follower);
    if (dot_is_out)
        attempt_leave_unknown(a);
    else
        attempt_discard(a);
}

static struct attempt *first_to_drop(struct lane *lane, enum drop which)
{
    struct attempt *a;

    LIST_EACH(a, &lane->attempts, struct attempt, others)
    if (is_to_drop(a, which))
        return a;
    return NULL;
}

void attempt_drop(struct lane *lane, enum drop which)
{
    struct attempt *a;

    while ((a = first_to_drop(lane, which)) != NULL)
        drop_one(a);
    if (which == DROP_UNSENT)
        LIST_EACH(a, &lane->attempts, struct attempt, others)
    if (a->is_follower)
        a->is_doomed = true;
}
