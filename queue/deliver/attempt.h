/*
 * attempt - one attempt for one job: the candidates of its plan in turn, and their addresses, until
 * one takes the message.  Started by lane; gives the job back through worker.job_over, its session
 * through lane_take_back, and frees itself.  Which candidate may be used, and how, is the decision
 * of policy/decide; the ladder of TLS floors follows from it.
 */
#ifndef WAXSEAL_QUEUE_DELIVER_ATTEMPT_H
#define WAXSEAL_QUEUE_DELIVER_ATTEMPT_H

#include "queue/deliver/lane.h"

/* Begins with a new connection; a seat is free, and the lane has a slot for one of its hosts. */
void attempt_start(struct lane *lane, struct job *job);
/* Begins with a session that is open and serves. */
void attempt_start_over(struct lane *lane, struct job *job, struct session **session);

/* What a session must be like for the job and a plan's candidate; false when it may not be used
 * at all. */
bool attempt_needs(const struct lane *lane, const struct job *job, const struct plan *plan,
                   unsigned candidate, struct pool_key *out);

/* The hosts that an attempt for this job would begin with: those that it may use of the best. */
void attempt_first_hosts(struct lane *lane, struct job *job, struct slot_hosts *out);

/*
 * The host of a session has not greeted, and others want to be heard: the attempt goes on with the
 * next candidate, if it is its job's first.  False: it is not.
 */
bool attempt_end_silent(struct session *session);

/* Which attempts of a lane are to stop now. */
enum drop {
    DROP_CONNECTING, /* those whose message has not begun to leave */
    DROP_UNSENT,     /* those whose final dot is not out */
    DROP_ALL,        /* the others, too: what came of them is not known */
};
/* Stops them; their jobs go to worker.job_dropped, those with the dot out to worker.job_over. */
void attempt_drop(struct lane *lane, enum drop which);

#endif
