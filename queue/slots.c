#include "queue/slots.h"

#include "lib/base/clock.h"
#include "lib/base/limits.h"

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
    list_init(&slot->trials);
}

static bool is_being_cleared(const struct worker_slot *slot, int64_t now_ms)
{
    return slot->clear_at_ms != 0 && now_ms >= slot->clear_at_ms &&
           now_ms < slot->clear_at_ms + CLEAR_FOR_MS;
}

static unsigned parked_in(const struct worker_slot *slot)
{
    unsigned parked = 0;

    for (int standing = 0; standing < HOP_STANDINGS; standing++)
        parked += slot->parked[standing];
    return parked;
}

static bool has_room(const struct worker_slot *slot)
{
    return slot->takes_jobs && !slot->is_alone && slot->jobs < slot->room + parked_in(slot);
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

/* ---- those that are silent for longer than a moment are parked ---------------------------------
 */

/* Halves of the room; together SILENT_PER_CONNECTION for each connection. */
static const unsigned parking_of[HOP_STANDINGS] = {
    [HOP_NEW] = 6,
    [HOP_FOUND] = 1,
    [HOP_FAILING] = 1,
};

static unsigned parking(unsigned room, enum hop_standing standing)
{
    unsigned half = room / 2;
    unsigned most = SILENT_MAX / SILENT_PER_CONNECTION;

    return parking_of[standing] * (half < most ? half : most);
}

unsigned slots_parked_max(unsigned room)
{
    unsigned most = 0;

    for (int standing = 0; standing < HOP_STANDINGS; standing++)
        most += parking(room, standing);
    return most;
}

void slots_take(struct worker_slot *slot, struct lease *lease, int64_t loop_ms)
{
    slot->jobs++;
    slot->tried[lease->standing]++;
    lease->tried_ms = loop_ms;
    if (lease->standing != HOP_KNOWN)
        list_append(&slot->trials, &lease->of_trials);
}

void slots_give_back(struct worker_slot *slot, struct lease *lease)
{
    unsigned *count = lease->is_parked ? slot->parked : slot->tried;

    list_remove(&lease->of_trials);
    lease->is_parked = false;
    if (slot->jobs > 0)
        slot->jobs--;
    if (count[lease->standing] > 0)
        count[lease->standing]--; /* that of a lease taken over was never counted */
}

static void park(struct worker_slot *slot, struct lease *lease)
{
    list_remove(&lease->of_trials);
    lease->is_parked = true;
    slot->tried[lease->standing]--;
    slot->parked[lease->standing]++;
}

static bool park_at(struct worker_slot *slot, int64_t loop_ms)
{
    struct lease *lease;
    bool parked = false;

    LIST_EACH(lease, &slot->trials, struct lease, of_trials)
    {
        if (loop_ms - lease->tried_ms < SILENT_PARK_MS)
            break;
        if (slot->parked[lease->standing] >= parking(slot->room, lease->standing))
            continue;
        park(slot, lease);
        parked = true;
    }
    return parked;
}

bool slots_park(struct slots *slots, int64_t loop_ms)
{
    struct worker_slot *slot;
    bool parked = false;

    LIST_EACH(slot, &slots->workers, struct worker_slot, others)
    {
        if (park_at(slot, loop_ms))
            parked = true;
    }
    return parked;
}

bool slots_have_trials(const struct slots *slots)
{
    struct worker_slot *slot;

    LIST_EACH(slot, &slots->workers, struct worker_slot, others)
    {
        if (!list_empty(&slot->trials))
            return true;
    }
    return false;
}

/* ---- the choice ---------------------------------------------------------------------------------
 */

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
