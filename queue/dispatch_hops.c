#include "queue/dispatch_hops.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/error.h"
#include "lib/base/memory.h"

void hop_ring_init(struct hop_ring *ring)
{
    ring->by_name = map_new();
    list_init(&ring->waiting);
    ring->waiting_count = 0;
}

void hop_ring_clear(struct hop_ring *ring)
{
    for (;;) {
        size_t cursor = 0;
        struct hop *hop = map_next(ring->by_name, &cursor, NULL);
        if (!hop)
            break;
        map_remove(ring->by_name, hop_name(hop));
        free(hop);
    }
    map_free(&ring->by_name);
    list_init(&ring->waiting);
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
    hop = memory_new(sizeof(*hop));
    memcpy(hop->name, name.data, name.len);
    hop->name_len = name.len;
    list_init(&hop->ring);
    map_put(ring->by_name, name, hop);
    return hop;
}

void hop_enter(struct hop_ring *ring, struct hop *hop)
{
    if (!list_empty(&hop->ring))
        return;
    list_append(&ring->waiting, &hop->ring);
    ring->waiting_count++;
}

void hop_enter_first(struct hop_ring *ring, struct hop *hop)
{
    if (!list_empty(&hop->ring))
        return;
    list_prepend(&ring->waiting, &hop->ring);
    ring->waiting_count++;
}

void hop_leave(struct hop_ring *ring, struct hop *hop)
{
    if (list_empty(&hop->ring))
        return;
    list_remove(&hop->ring);
    ring->waiting_count--;
}

void hop_forget_if_idle(struct hop_ring *ring, struct hop *hop)
{
    if (!list_empty(&hop->ring) || hop->leases > 0 || hop->failing > 0 || hop->correcting)
        return;
    map_remove(ring->by_name, hop_name(hop));
    free(hop);
}
