/*
 * lane - mail for one next hop: the jobs that wait, the plan by which they go, the attempts under
 * way, and the seats they may have.  Called by deliver; starts attempts.
 */
#ifndef WAXSEAL_QUEUE_DELIVER_LANE_H
#define WAXSEAL_QUEUE_DELIVER_LANE_H

#include "queue/deliver/plan.h"
#include "queue/deliver/session.h"
#include "queue/deliver/worker.h"

struct lane {
    struct worker *worker;
    struct list starving; /* in the worker's list while it wants a seat */
    char *next_hop;
    bool for_reports;       /* of ours: they go by plans and sessions of their own */
    struct target *targets; /* what its name means: several hosts, of a route only */
    unsigned target_count;
    enum target_verdict leads; /* anywhere? */
    struct list waiting;       /* jobs */
    struct list attempts;
    unsigned seats;
    struct host_slot *slot; /* for its next connection: asked for, or at hand */
    struct loop_timer *patience;
    int64_t connected_ms; /* of the loop: when it made a connection last */
    struct plans *plans;  /* NULL: not looked up yet */
    struct plan_query *asking;
    struct loop_task turn;
};

/*
 * The lane of a next hop, made when there is none.  Reports of ours have one of their own, so that
 * no policy is asked for on their account and no other mail goes over their sessions.
 */
struct lane *lane_of(struct worker *worker, struct span next_hop, bool for_reports);
/* When there is nothing in it and its plan is over; takes itself out of the worker's map. */
bool lane_is_idle(const struct lane *lane);
void lane_free(struct lane **lane);

/* Takes a job in. */
void lane_add(struct lane *lane, struct job *job);
/* A job that was begun comes back, to go on before all others. */
void lane_add_first(struct lane *lane, struct job *job);
/* Looks at the end of the turn whether something can be begun. */
void lane_wake(struct lane *lane);
/* The worker has a seat: begins what can be begun; true when it wants another one. */
bool lane_run(struct lane *lane);

bool lane_has_seat(const struct lane *lane);
/* A session is free: for the next job, or for the pool. */
void lane_take_back(struct lane *lane, struct session **session);
/* It gives up the slot when nothing waits for it. */
void lane_settle_slot(struct lane *lane);
/* The next job that may leave over `session`, taken out of the lane; NULL when there is none. */
struct job *lane_next_for(struct lane *lane, const struct session *session);
/* Nothing is under way: the next job is to find the policy and the route as they are by then. */
void lane_rest(struct lane *lane);
/* No candidate could be used: what has not been tried waits, too, with the same words. */
void lane_hop_failed(struct lane *lane, const struct job *tried);

/* A host of our own choice that cannot be found is our own trouble: mail waits until that is
 * mended. */
struct outcome target_excuse(const struct target *target, struct outcome outcome);

/* The policy under which a job goes, for its decision record. */
void job_take_plan(struct job *job, const struct plan *plan);

#endif
