#include "queue/slots.h"

#include "lib/base/clock.h"

enum {
    CLEAR_AFTER_MS = 30 * SECOND_MS, /* a suspect waits so long for a worker that is idle anyway */
    CLEAR_FOR_MS = 30 * SECOND_MS,   /* then one gets nothing new, */
    CLEAR_AGAIN_MS = 5 * MINUTE_MS,  /* and if that was in vain once more after this */
    TRIAL_LEAST = 4,                 /* jobs of each standing, however small its share */
};

void slots_init(struct slots *slots)
{
    list_init(&slots->workers);
}

void slots_add(struct slots *slots, struct worker_slot *slot)
{
    list_append(&slots->workers, &slot->others);
}

static bool is_being_cleared(const struct worker_slot *slot, int64_t now_ms)
{
    return slot->clear_at_ms != 0 && now_ms >= slot->clear_at_ms &&
           now_ms < slot->clear_at_ms + CLEAR_FOR_MS;
}

static bool has_room(const struct worker_slot *slot)
{
    return slot->takes_jobs && !slot->is_alone && slot->jobs < slot->room;
}

/*
 * The shares of the room of those that may turn out silent: together they stay below the half of a
 * worker's connections that may wait for a greeting, for its room is twice their number.
 */
static const unsigned share_of[HOP_STANDINGS] = {
    [HOP_KNOWN] = 1,
    [HOP_NEW] = 8,
    [HOP_FOUND] = 8,
    [HOP_FAILING] = 16,
};

static bool takes_trial(const struct worker_slot *slot, enum hop_standing standing)
{
    unsigned most = slot->room / share_of[standing];

    return slot->tried[standing] < (most > TRIAL_LEAST ? most : TRIAL_LEAST);
}

bool slots_have_room(const struct slots *slots)
{
    struct worker_slot *slot;

    LIST_EACH(slot, &slots->workers, struct worker_slot, others)
    {
        if (has_room(slot))
            return true;
    }
    return false;
}

/* FNV-1a, then the finisher of splitmix64: rendezvous hashing needs well-mixed scores. */
static uint64_t score(struct span hop, unsigned instance)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < hop.len; i++)
        hash = (hash ^ (unsigned char)hop.data[i]) * UINT64_C(1099511628211);
    hash += (instance + 1) * UINT64_C(0x9e3779b97f4a7c15);
    hash = (hash ^ hash >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    hash = (hash ^ hash >> 27) * UINT64_C(0x94d049bb133111eb);
    return hash ^ hash >> 31;
}

/* The worker with the highest score below `below`. */
static struct worker_slot *next_best(const struct slots *slots, struct span hop, uint64_t below,
                                     uint64_t *out_score)
{
    struct worker_slot *slot;
    struct worker_slot *best = NULL;

    LIST_EACH(slot, &slots->workers, struct worker_slot, others)
    {
        uint64_t its = score(hop, slot->instance);
        if (!slot->takes_jobs || its >= below || (best && its <= *out_score))
            continue;
        best = slot;
        *out_score = its;
    }
    return best;
}

struct worker_slot *slots_choose(const struct slots *slots, const struct slot_wish *wish,
                                 int64_t now_ms)
{
    uint64_t below = UINT64_MAX;
    unsigned room = 0;

    while (room < wish->jobs) {
        uint64_t its = 0;
        struct worker_slot *slot = next_best(slots, wish->hop, below, &its);
        if (!slot)
            return NULL;
        if (has_room(slot) && takes_trial(slot, wish->standing) && !is_being_cleared(slot, now_ms))
            return slot;
        room += slot->room > 0 ? slot->room : 1;
        below = its;
    }
    return NULL;
}

struct worker_slot *slots_idle(const struct slots *slots, struct span hop, int64_t now_ms)
{
    struct worker_slot *slot;
    uint64_t its = 0;

    LIST_EACH(slot, &slots->workers, struct worker_slot, others)
    {
        if (has_room(slot) && slot->jobs == 0)
            return slot;
    }
    slot = next_best(slots, hop, UINT64_MAX, &its);
    if (slot && slot->clear_at_ms == 0)
        slot->clear_at_ms = now_ms + CLEAR_AFTER_MS;
    else if (slot && now_ms >= slot->clear_at_ms + CLEAR_FOR_MS)
        slot->clear_at_ms = now_ms + CLEAR_AGAIN_MS;
    return NULL;
}
