/*
 * slots - which worker gets a hop's next job.  A hop belongs to the worker that rendezvous hashing
 * names first, and to more of them only when its cap asks for more room than one has.  Hops
 * that nothing is known of, and those that fail, have a part of a worker's room only.  Called by
 * dispatch alone; pure.
 */
#ifndef WAXSEAL_QUEUE_SLOTS_H
#define WAXSEAL_QUEUE_SLOTS_H

#include "queue/dispatch.h"

struct slots {
    struct list workers; /* struct worker_slot */
};

void slots_init(struct slots *slots);
void slots_add(struct slots *slots, struct worker_slot *slot);

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
