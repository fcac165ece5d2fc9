#include "queue/deliver/lane.h"

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "lib/ipc/channel.h"
#include "lib/mail/next_hop.h"
#include "queue/deliver/attempt.h"
#include "queue/deliver/relief.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    JOBS_PER_SEAT = 4, /* may wait; making a connection takes as long as sending about so many */
    LANE_KEY_SIZE = HOP_NAME_MAX + 1,
    PATIENCE_MS = 500, /* then one more connection is made all the same */
};

static void on_turn(void *ctx);
static void on_patience(void *ctx);

/* --- birth and death */

/* Lanes are many, and most have one. */
static void lane_find_targets(struct lane *lane, struct span next_hop)
{
    struct target found[TARGETS_MAX] = { { .name = "" } };

    lane->leads = targets_of_hop(lane->worker->settings, next_hop, found, &lane->target_count);
    lane->targets = memory_new_array(lane->target_count, sizeof(*lane->targets));
    memcpy(lane->targets, found, lane->target_count * sizeof(*lane->targets));
}

static struct lane *lane_new(struct worker *worker, struct span next_hop, bool for_reports)
{
    struct lane *lane = memory_new(sizeof(*lane));

    lane->worker = worker;
    lane->for_reports = for_reports;
    lane->next_hop = memory_copy_span(next_hop);
    list_init(&lane->starving);
    list_init(&lane->waiting);
    list_init(&lane->attempts);
    loop_task_init(&lane->turn, on_turn, lane);
    lane->patience = loop_timer_new(worker->loop, on_patience, lane);
    lane_find_targets(lane, next_hop);
    return lane;
}

/* No next hop has a NUL in its name. */
static struct span lane_key(struct span next_hop, bool for_reports, char room[LANE_KEY_SIZE])
{
    struct span name = span_first(next_hop, HOP_NAME_MAX);

    if (!for_reports)
        return next_hop;
    memcpy(room, name.data, name.len);
    room[name.len] = '\0';
    return (struct span){ room, name.len + 1 };
}

struct lane *lane_of(struct worker *worker, struct span next_hop, bool for_reports)
{
    char room[LANE_KEY_SIZE];
    struct span key = lane_key(next_hop, for_reports, room);
    struct lane *lane = map_get(worker->lanes, key);

    if (!lane) {
        lane = lane_new(worker, next_hop, for_reports);
        map_put(worker->lanes, key, lane);
    }
    return lane;
}

bool lane_is_idle(const struct lane *lane)
{
    return list_empty(&lane->waiting) && list_empty(&lane->attempts) && lane->seats == 0 &&
           !lane->asking && (!lane->plans || lane->plans->until_ms <= loop_now(lane->worker->loop));
}

void lane_free(struct lane **lane)
{
    struct lane *l = *lane;
    char room[LANE_KEY_SIZE];
    struct job *job;

    *lane = NULL;
    map_remove(l->worker->lanes, lane_key(span_of(l->next_hop), l->for_reports, room));
    LIST_EACH(job, &l->waiting, struct job, others)
    job_free(&job);
    list_remove(&l->starving);
    loop_task_cancel(&l->turn);
    loop_timer_free(&l->patience);
    host_slot_free(&l->slot);
    plan_cancel(&l->asking);
    plans_free(&l->plans);
    free(l->next_hop);
    free(l->targets);
    free(l);
}

/* --- the plan */

static bool plan_is_good(const struct lane *lane, const struct job *job)
{
    return lane->plans && lane->plans->until_ms > loop_now(lane->worker->loop) &&
           (lane->plans->is_fresh || !job->last_attempt);
}

static void on_plans(void *ctx, struct plans *plans)
{
    struct lane *lane = ctx;

    lane->asking = NULL;
    plans_free(&lane->plans);
    lane->plans = plans;
    lane_wake(lane);
}

void lane_rest(struct lane *lane)
{
    if (!list_empty(&lane->attempts) || !list_empty(&lane->waiting))
        return;
    plans_free(&lane->plans);
}

/* Before mail is given up for good the policy is fetched anew (RFC 8461 s.5.1). */
static void lane_look_up(struct lane *lane, const struct job *job)
{
    struct worker *worker = lane->worker;

    if (!lane->asking)
        lane->asking =
            plan_ask(worker->loop, worker->resolver, lane->for_reports ? NULL : worker->policies,
                     lane->targets, lane->target_count, worker->settings->hostname,
                     job->last_attempt, on_plans, lane);
}

/* --- jobs that need not be tried */

void job_take_plan(struct job *job, const struct plan *plan)
{
    const Ipc__Policy *policy = plan_policy(plan);

    job->policy = plan_policy_words(plan);
    job->route = plan->target.route ? plan->target.route->name : "";
    job->policy_id = "";
    job->policy_expires_utc_ms = 0;
    job->relief = relief_of(job, &plan->target, clock_utc_ms());
    if (plan->answer)
        job->policy_trouble = job_keep(job, span_of_bytes(plan->answer->fetch_reason));
    if (!policy)
        return;
    job->policy_id = job_keep(job, span_of_bytes(policy->id));
    job->policy_expires_utc_ms = policy->expires_utc_ms;
}

static void lane_end_job(struct lane *lane, struct job *job, const struct outcome *outcome,
                         const char *words)
{
    list_remove(&job->others);
    job_end(job, outcome, span_of(words), false);
    lane->worker->job_over(lane->worker->owner, &job);
}

static void refuse_nowhere(struct lane *lane, struct job *job)
{
    struct outcome o = { .kind = OUTCOME_FAILED, .status = "5.1.2" };
    char words[HOP_NAME_MAX + 80];

    snprintf(words, sizeof(words), "%.*s is no domain that mail can go to", HOP_NAME_MAX,
             lane->next_hop);
    lane_end_job(lane, job, &o, words);
}

/* The queue has other settings than we: it asks again, or somebody else, when all have the same.
 */
static void give_back_unknown_hop(struct lane *lane, struct job *job)
{
    struct outcome o = { .kind = OUTCOME_POLICY_UNKNOWN, .status = "4.3.5" };
    char words[HOP_NAME_MAX + 80];

    snprintf(words, sizeof(words), "the settings have no next hop %.*s any more", HOP_NAME_MAX,
             lane->next_hop);
    lane_end_job(lane, job, &o, words);
}

struct outcome target_excuse(const struct target *target, struct outcome outcome)
{
    if (!target->is_chosen || outcome.kind != OUTCOME_FAILED)
        return outcome;
    outcome.kind = OUTCOME_DEFERRED;
    strcpy(outcome.status, "4.3.5"); /* RFC 3463 s.3.4: system incorrectly configured */
    return outcome;
}

static void refuse_without_route(struct lane *lane, struct job *job, const struct plan *plan)
{
    struct outcome o = target_excuse(&plan->target, outcome_of_route(plan->route.verdict));
    char chooser[TARGET_CHOOSER_SIZE];
    char words[DOMAIN_MAX + sizeof(plan->route.reason) + TARGET_CHOOSER_SIZE + 80];

    target_chooser(&plan->target, chooser);
    snprintf(words, sizeof(words), "%s: %s%s%s%s", plan->target.name, plan->route.reason,
             plan->target.route ? "; the administrator of this relay must mend " : "",
             plan->target.route ? chooser : "", "");
    job->hop_failed = o.kind == OUTCOME_DEFERRED;
    lane_end_job(lane, job, &o, words);
}

static void give_back_unknown(struct lane *lane, struct job *job, const struct plan *plan)
{
    struct outcome o = { .kind = OUTCOME_POLICY_UNKNOWN, .status = "4.4.3" };
    struct span reason = span_of_bytes(plan->answer->fetch_reason);
    char words[DOMAIN_MAX + 200];

    snprintf(words, sizeof(words), "the MTA-STS policy of %s is not known yet: %.*s",
             plan->target.name, (int)span_first(reason, 120).len, reason.data ? reason.data : "");
    lane_end_job(lane, job, &o, words);
}

/* Do the plans alone say what becomes of the job?  Null MX comes before any policy (STS-110). */
static bool is_settled_by_plan(struct lane *lane, struct job *job)
{
    const struct plan *open = relief_open_plan(job, lane->plans, clock_utc_ms());
    const struct plan *first = &lane->plans->items[0];

    if (open) /* the attempt takes it, whenever it begins */
        return false;
    job_take_plan(job, first);
    if (first->route.verdict != ROUTE_FOUND)
        refuse_without_route(lane, job, first);
    else
        give_back_unknown(lane, job, first);
    return true;
}

void lane_hop_failed(struct lane *lane, const struct job *tried)
{
    const struct job_result *result = &tried->results[0];
    struct outcome o = { .kind = OUTCOME_DEFERRED };
    struct job *job;

    if (result->kind != OUTCOME_DEFERRED)
        return;
    memcpy(o.status, result->status, sizeof(o.status));
    LIST_EACH(job, &lane->waiting, struct job, others)
    {
        if (job->last_attempt && !job->begun)
            continue; /* it is to be tried before it ends */
        if (job_says_tls_required_no(job) && !job_says_tls_required_no(tried))
            continue; /* what a policy stops says nothing about it */
        if (lane->plans)
            job_take_plan(job, &lane->plans->items[0]);
        list_remove(&job->others);
        if (job->begun)
            job_close(job); /* it was tried, too */
        else
            job_end(job, &o, span_of(result->reply), result->remote);
        lane->worker->job_over(lane->worker->owner, &job);
    }
    lane_settle_slot(lane);
}

/* --- beginning */

/* Reports have one beside those of all other mail, which may need its own for hours. */
bool lane_has_seat(const struct lane *lane)
{
    if (lane->for_reports)
        return lane->seats == 0;
    const struct route_settings *route = lane->targets[0].route;
    unsigned most = lane->worker->settings->hop_connections;

    return lane->seats < (route && route->connections > 0 ? route->connections : most);
}

static bool more_than(const struct list *jobs, unsigned count)
{
    const struct list *at = jobs->next;

    for (; at != jobs && count > 0; at = at->next)
        count--;
    return at != jobs;
}

/*
 * Has a job waited for too long, as it does where each takes its time, without that one more
 * connection was made meanwhile?  While others have no seat at all nobody is late.
 */
static bool lane_is_late(const struct lane *lane)
{
    int64_t since_ms = LIST_FIRST(&lane->waiting, struct job, others)->waiting_ms;

    if (since_ms < lane->connected_ms)
        since_ms = lane->connected_ms;
    return loop_now(lane->worker->loop) - since_ms >= PATIENCE_MS &&
           list_empty(&lane->worker->starving);
}

/*
 * May it make one more connection?  Jobs that the connections it has can soon take along, each
 * behind another in one write (design.md section 10), are sent sooner and cheaper by these.
 */
static bool lane_may_connect(const struct lane *lane)
{
    return lane_has_seat(lane) &&
           (more_than(&lane->waiting, JOBS_PER_SEAT * lane->seats) || lane_is_late(lane));
}

/* Nothing can be begun now: it is woken when one of its sessions is free or ends, or by this. */
static void lane_be_patient(struct lane *lane)
{
    if (!loop_timer_running(lane->patience))
        loop_timer_start(lane->patience, PATIENCE_MS);
}

static void on_patience(void *ctx)
{
    lane_wake(ctx);
}

void lane_settle_slot(struct lane *lane)
{
    if (list_empty(&lane->waiting))
        host_slot_free(&lane->slot);
}

static void on_granted(void *ctx)
{
    lane_wake(ctx);
}

static bool is_one_of(const struct slot_hosts *hosts, const struct host_slot *slot)
{
    for (unsigned i = 0; i < hosts->count; i++)
        if (host_slot_is_for(slot, hosts->names[i]))
            return true;
    return false;
}

/* Is a slot at hand for a host that the job would begin with?  Else one is asked for. */
static bool lane_has_slot(struct lane *lane, struct job *job)
{
    struct slot_hosts hosts;

    if (lane->slot && !host_slot_host(lane->slot))
        return false;
    attempt_first_hosts(lane, job, &hosts);
    if (hosts.count == 0 || is_one_of(&hosts, lane->slot))
        return true;
    host_slot_free(&lane->slot);
    lane->slot = host_slot_ask(lane->worker->slots, lane->next_hop, &hosts, on_granted, lane);
    return false;
}

/*
 * May it go by this plan over a session that is open?  Where nobody can say whether the MX records
 * are secure, nobody can say whether TLSA records bind: each host is to be looked up.
 */
static bool may_share(const struct plan *plan, const struct job *job)
{
    return relief_plan_is_open(job, plan, clock_utc_ms()) && !plan->route.in_doubt;
}

/* An idle session with one of the plan's candidates that are to be tried first. */
static struct session *idle_session_of(struct lane *lane, const struct job *job,
                                       const struct plan *plan)
{
    const struct route *route = &plan->route;
    struct pool_key needs;
    struct session *session = NULL;

    for (unsigned i = 0; i < route->count && !session; i++) {
        if (route->candidates[i].preference != route->candidates[0].preference)
            break;
        if (attempt_needs(lane, job, plan, i, &needs))
            session = pool_take(lane->worker->pool, &needs);
    }
    return session;
}

/* The same of all hosts of the least priority, in the order that chance has for this job. */
static struct session *lane_idle_session(struct lane *lane, const struct job *job)
{
    const struct plans *plans = lane->plans;
    unsigned order[TARGETS_MAX], priority = lane->targets[0].priority;
    struct session *session = NULL;

    target_order(lane->targets, plans->count, job->lease, order);
    for (unsigned n = 0; n < plans->count && !session; n++) {
        const struct plan *plan = &plans->items[order[n]];
        if (!may_share(plan, job))
            continue;
        if (n > 0 && plan->target.priority != priority)
            break;
        priority = plan->target.priority;
        session = idle_session_of(lane, job, plan);
    }
    return session;
}

static void lane_begin_job(struct lane *lane, struct job *job)
{
    list_remove(&job->others);
    if (!job->begun)
        job->started_ms = loop_now(lane->worker->loop);
    job->begun = true;
}

enum beginning { BEGUN, HOP_IS_FULL, NO_SLOT, NO_SEAT };

static enum beginning lane_begin(struct lane *lane, struct job *job)
{
    struct session *session = job->next_candidate == 0 ? lane_idle_session(lane, job) : NULL;

    if (session) {
        lane_begin_job(lane, job);
        attempt_start_over(lane, job, &session);
        return BEGUN;
    }
    if (!lane_may_connect(lane)) {
        host_slot_free(&lane->slot);
        lane_be_patient(lane);
        return HOP_IS_FULL;
    }
    if (!worker_has_seat(lane->worker))
        return NO_SEAT;
    if (!lane_has_slot(lane, job))
        return NO_SLOT;
    lane->connected_ms = loop_now(lane->worker->loop);
    lane_begin_job(lane, job);
    attempt_start(lane, job);
    return BEGUN;
}

bool lane_run(struct lane *lane)
{
    enum beginning beginning = BEGUN;

    while (!list_empty(&lane->waiting) && beginning == BEGUN) {
        struct job *job = LIST_FIRST(&lane->waiting, struct job, others);
        if (lane->worker->draining) {
            list_remove(&job->others);
            lane->worker->job_dropped(lane->worker->owner, &job);
        } else if (lane->leads == TARGETS_NONSENSE) {
            refuse_nowhere(lane, job);
        } else if (lane->leads == TARGETS_UNKNOWN) {
            give_back_unknown_hop(lane, job);
        } else if (!plan_is_good(lane, job)) {
            lane_look_up(lane, job);
            return false;
        } else if (!is_settled_by_plan(lane, job)) {
            beginning = lane_begin(lane, job);
        }
    }
    lane_settle_slot(lane);
    return beginning == NO_SEAT;
}

static void on_turn(void *ctx)
{
    struct lane *lane = ctx;

    if (!list_empty(&lane->starving) || !lane_run(lane))
        return;
    list_append(&lane->worker->starving, &lane->starving);
}

void lane_wake(struct lane *lane)
{
    if (!list_empty(&lane->waiting))
        loop_defer(lane->worker->loop, &lane->turn);
}

void lane_add(struct lane *lane, struct job *job)
{
    job->waiting_ms = loop_now(lane->worker->loop);
    list_append(&lane->waiting, &job->others);
    lane_wake(lane);
}

void lane_add_first(struct lane *lane, struct job *job)
{
    job->waiting_ms = loop_now(lane->worker->loop);
    list_prepend(&lane->waiting, &job->others);
    lane_wake(lane);
}

/* --- sessions between two jobs */

void lane_take_back(struct lane *lane, struct session **session)
{
    struct session *s = *session;

    *session = NULL;
    if (lane->worker->draining || dialogue_is_spent(s->dialogue)) {
        session_free(&s);
        return;
    }
    pool_put(lane->worker->pool, &s);
    lane_wake(lane);
    worker_seat_is_free(lane->worker); /* whoever starves may end it */
}

static int candidate_of(const struct plan *plan, const char *mx)
{
    for (unsigned i = 0; i < plan->route.count; i++)
        if (span_equal_nocase(span_of(plan->route.candidates[i].name), span_of(mx)))
            return (int)i;
    return -1;
}

/* The plan by which the job may go over this session; NULL: none. */
static const struct plan *plan_of_session(struct lane *lane, const struct job *job,
                                          const struct session *session)
{
    struct pool_key needs;

    for (unsigned n = 0; n < lane->plans->count; n++) {
        const struct plan *plan = &lane->plans->items[n];
        int i = candidate_of(plan, session->key.mx);
        if (i >= 0 && may_share(plan, job) && attempt_needs(lane, job, plan, (unsigned)i, &needs) &&
            pool_key_serves(&session->key, &needs))
            return plan;
    }
    return NULL;
}

struct job *lane_next_for(struct lane *lane, const struct session *session)
{
    const struct plan *plan;
    struct job *job;

    if (list_empty(&lane->waiting) || lane->worker->draining)
        return NULL;
    job = LIST_FIRST(&lane->waiting, struct job, others);
    if (!plan_is_good(lane, job) || job->next_candidate > 0)
        return NULL;
    plan = plan_of_session(lane, job, session);
    if (!plan)
        return NULL;
    job_take_plan(job, plan);
    lane_begin_job(lane, job);
    lane_settle_slot(lane);
    return job;
}
