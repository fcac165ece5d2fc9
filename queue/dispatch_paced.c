#include "queue/dispatch_paced.h"

#include <stdlib.h>

#include "lib/base/memory.h"
#include "queue/dispatch_hops.h"

enum { ROOM_FIRST = 64 };

void paced_clear(struct paced *paced)
{
    free(paced->heap);
    *paced = (struct paced){ .heap = NULL };
}

static void place(struct paced *paced, struct hop *hop, size_t at)
{
    paced->heap[at] = hop;
    hop->paced_at = at;
}

/* Finds the place of a hop that is at `at` or above. */
static void rise(struct paced *paced, struct hop *hop, size_t at)
{
    while (at > 0 && paced->heap[(at - 1) / 2]->paced_until_ms > hop->paced_until_ms) {
        place(paced, paced->heap[(at - 1) / 2], at);
        at = (at - 1) / 2;
    }
    place(paced, hop, at);
}

/* The place that is free with the earlier one of the two below it moved up; a leaf: the same. */
static size_t sink(struct paced *paced, size_t at)
{
    size_t below;

    while ((below = 2 * at + 1) < paced->count) {
        if (below + 1 < paced->count &&
            paced->heap[below + 1]->paced_until_ms < paced->heap[below]->paced_until_ms)
            below++;
        place(paced, paced->heap[below], at);
        at = below;
    }
    return at;
}

void paced_add(struct paced *paced, struct hop *hop)
{
    if (paced->count == paced->room) {
        paced->room = paced->room > 0 ? 2 * paced->room : ROOM_FIRST;
        paced->heap = memory_resize(paced->heap, paced->room * sizeof(struct hop *));
    }
    rise(paced, hop, paced->count++);
}

void paced_remove(struct paced *paced, struct hop *hop)
{
    struct hop *last = paced->heap[--paced->count];

    if (last != hop)
        rise(paced, last, sink(paced, hop->paced_at));
}

struct hop *paced_first(const struct paced *paced)
{
    return paced->count > 0 ? paced->heap[0] : NULL;
}
