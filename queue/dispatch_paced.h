/*
 * dispatch_paced - the hops whose rate lets nothing go yet, the one whose time comes first at the
 * top of a heap: what is due there is known without a look at the others, and were one of them
 * forgotten, more would go than its rate says.  Called by dispatch_hops alone, dispatch asks for
 * the first; owns the heap, not the hops.
 */
#ifndef WAXSEAL_QUEUE_DISPATCH_PACED_H
#define WAXSEAL_QUEUE_DISPATCH_PACED_H

#include <stddef.h>

struct hop;

/* Begins as all zero. */
struct paced {
    struct hop **heap; /* by paced_until_ms; each knows its place in paced_at */
    size_t count;
    size_t room;
};

void paced_clear(struct paced *paced);
void paced_add(struct paced *paced, struct hop *hop);
void paced_remove(struct paced *paced, struct hop *hop);
/* The one whose time comes first; NULL: there is none. */
struct hop *paced_first(const struct paced *paced);

#endif
