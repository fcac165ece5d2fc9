/*
 * store_release - a next hop that failed takes mail again: what was deferred because of it waits no
 * longer (RFC 5321 s.4.5.4.1).  Mail that was deferred by a server's words keeps its own time.
 * Called by workers.
 */
#ifndef WAXSEAL_QUEUE_STORE_RELEASE_H
#define WAXSEAL_QUEUE_STORE_RELEASE_H

#include "queue/committer.h"
#include "queue/records.h"

/*
 * Walks over the rows of a hop in slices of RELEASE_SLICE, one transaction each: while `more` is
 * set after `done`, release_advance and add it again.
 */
enum { RELEASE_SLICE = 500 };
struct release {
    struct operation operation;
    void *ctx; /* the caller's */
    char hop[HOP_NAME_MAX + 1];
    struct due next;  /* where to go on; its hop is this one */
    struct due after; /* where the slice ended, taken over when it is committed */
    bool more;
    size_t changed; /* in this slice */
};

/* The caller frees it. */
struct release *release_new(struct span hop);
void release_advance(struct release *release);

#endif
