/*
 * slots - which worker gets a hop's next job.  A hop belongs to the worker that rendezvous hashing
 * names first, and to more of them only when its cap asks for more room than one has.  Hops
 * that nothing is known of, and those that fail, have a part of a worker's room only, and each of
 * their jobs has its place there for a moment: then it is parked, among many that wait for silent
 * hosts, and the place is another's.  Called by dispatch alone, workers ask for the bound; pure.
 */
#ifndef WAXSEAL_QUEUE_SLOTS_H
#define WAXSEAL_QUEUE_SLOTS_H

#include "queue/dispatch.h"

struct slots {
    struct list workers; /* struct worker_slot */
};

void slots_init(struct slots *slots);
void slots_add(struct slots *slots, struct worker_slot *slot);

/* A lease of a hop of that standing goes to the worker, at `loop_ms`; and comes back from it. */
void slots_take(struct worker_slot *slot, struct lease *lease, int64_t loop_ms);
void slots_give_back(struct worker_slot *slot, struct lease *lease);
/* Parks what had its moment; true when places have become free. */
bool slots_park(struct slots *slots, int64_t loop_ms);
/* Does any have a place that it is to give up? */
bool slots_have_trials(const struct slots *slots);
/* How many a worker with so much room may have parked, of all standings. */
unsigned slots_parked_max(unsigned room);

/* Is there a worker with room at all? */
bool slots_have_room(const struct slots *slots);

/* A hop that asks for a worker; it may have `jobs` at a time. */
struct slot_wish {
    struct span hop;
    enum hop_standing standing;
    unsigned jobs;
};
/* A worker with room for a job of it; NULL: none. */
struct worker_slot *slots_choose(const struct slots *slots, const struct slot_wish *wish,
                                 int64_t now_ms);

/*
 * A worker that has nothing else, for a suspect; NULL: none.  Then the one whose hop it is gets
 * nothing new for a while, from time to time, so that it becomes idle.
 */
struct worker_slot *slots_idle(const struct slots *slots, struct span hop, int64_t now_ms);

#endif
