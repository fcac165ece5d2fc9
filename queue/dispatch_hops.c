#include "queue/dispatch_hops.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/error.h"
#include "lib/base/memory.h"
#include "queue/dispatch_overdue.h"

void hop_ring_init(struct hop_ring *ring)
{
    *ring = (struct hop_ring){ .by_name = map_new() };
    for (int line = 0; line < HOP_LINES; line++)
        list_init(&ring->lines[line]);
}

void hop_ring_clear(struct hop_ring *ring)
{
    struct hop *hop;
    size_t cursor = 0;

    while ((hop = map_next(ring->by_name, &cursor, NULL)) != NULL) {
        overdue_free(&hop->overdue);
        free(hop);
    }
    map_free(&ring->by_name);
    paced_clear(&ring->paced);
}

struct span hop_name(const struct hop *hop)
{
    return (struct span){ hop->name, hop->name_len };
}

struct hop *hop_find(const struct hop_ring *ring, struct span name)
{
    return map_get(ring->by_name, name);
}

struct hop *hop_have(struct hop_ring *ring, struct span name)
{
    struct hop *hop = hop_find(ring, name);

    if (hop)
        return hop;
    ensure(name.len <= HOP_NAME_MAX);
    hop = memory_new(sizeof(*hop) + name.len + 1);
    memcpy(hop->name, name.data, name.len);
    hop->name_len = name.len;
    list_init(&hop->ring);
    hop->line = HOP_NOWHERE;
    map_put(ring->by_name, name, hop);
    return hop;
}

static void put(struct hop_ring *ring, struct hop *hop, enum hop_line line, bool first)
{
    if (first)
        list_prepend(&ring->lines[line], &hop->ring);
    else
        list_append(&ring->lines[line], &hop->ring);
    hop->line = line;
    ring->counts[line]++;
}

void hop_leave(struct hop_ring *ring, struct hop *hop)
{
    if (hop->line == HOP_NOWHERE)
        return;
    if (hop->line == HOP_PACED) {
        paced_remove(&ring->paced, hop);
    } else {
        list_remove(&hop->ring);
        ring->counts[hop->line]--;
    }
    hop->line = HOP_NOWHERE;
}

static bool is_in_turn(const struct hop *hop)
{
    return hop->line != HOP_IDLE && !list_empty(&hop->ring);
}

void hop_enter(struct hop_ring *ring, struct hop *hop, enum hop_line line)
{
    bool may_change = hop->line == HOP_WAITING && line == HOP_FRESH && !hop->is_failing;

    if (is_in_turn(hop) && !may_change)
        return;
    hop_leave(ring, hop);
    put(ring, hop, line, false);
}

void hop_enter_first(struct hop_ring *ring, struct hop *hop)
{
    if (is_in_turn(hop))
        return;
    hop_leave(ring, hop);
    put(ring, hop, HOP_WAITING, true);
}

struct hop *hop_in_turn(struct hop_ring *ring)
{
    bool fresh =
        ring->counts[HOP_FRESH] > 0 && (ring->counts[HOP_WAITING] == 0 || !ring->fresh_was_last);
    enum hop_line line = fresh ? HOP_FRESH : HOP_WAITING;

    ring->fresh_was_last = fresh;
    return ring->counts[line] > 0 ? LIST_FIRST(&ring->lines[line], struct hop, ring) : NULL;
}

void hops_enter_paced(struct hop_ring *ring, unsigned most, int64_t now_ms)
{
    while (ring->counts[HOP_WAITING] < most) {
        struct hop *first = paced_first(&ring->paced);
        if (!first || first->paced_until_ms > now_ms)
            return;
        hop_enter(ring, first, HOP_WAITING);
    }
}

unsigned hops_in_turn(const struct hop_ring *ring)
{
    return ring->counts[HOP_FRESH] + ring->counts[HOP_WAITING];
}

static bool is_needed(const struct hop *hop)
{
    return !list_empty(&hop->ring) || hop->leases > 0 || hop->failing > 0 || hop->correcting ||
           hop->overdue;
}

/* One that has something under way is only in no line any more. */
static void forget(struct hop_ring *ring, struct hop *hop)
{
    hop_leave(ring, hop);
    if (is_needed(hop))
        return;
    map_remove(ring->by_name, hop_name(hop));
    free(hop);
}

static void set_idle(struct hop_ring *ring, struct hop *hop)
{
    hop_leave(ring, hop);
    put(ring, hop, HOP_IDLE, false);
    if (ring->counts[HOP_IDLE] > HOPS_IDLE_MAX)
        forget(ring, LIST_FIRST(&ring->lines[HOP_IDLE], struct hop, ring));
}

/* Where there are too many, the one whose time comes first loses the least. */
static void set_paced(struct hop_ring *ring, struct hop *hop)
{
    hop->line = HOP_PACED;
    paced_add(&ring->paced, hop);
    if (ring->paced.count > HOPS_PACED_MAX)
        forget(ring, paced_first(&ring->paced));
}

void hop_forget_if_idle(struct hop_ring *ring, struct hop *hop, int64_t now_ms)
{
    if (hop->line != HOP_NOWHERE || !list_empty(&hop->ring))
        return;
    if (hop->is_paced && hop->paced_until_ms > now_ms)
        set_paced(ring, hop);
    else if (is_needed(hop))
        return;
    else if (hop->is_known || hop->is_paced)
        set_idle(ring, hop);
    else
        forget(ring, hop);
}
