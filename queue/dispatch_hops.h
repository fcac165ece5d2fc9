/*
 * dispatch_hops - the hops that dispatch remembers, and the order in which they take turns.  Called
 * by dispatch alone.
 */
#ifndef WAXSEAL_QUEUE_DISPATCH_HOPS_H
#define WAXSEAL_QUEUE_DISPATCH_HOPS_H

#include "lib/base/list.h"
#include "lib/base/map.h"
#include "queue/records.h"

struct hop {
    struct list ring;      /* in dispatch's ring, or in no list */
    unsigned jobs;         /* with workers */
    unsigned leases;       /* these, and those whose rows are being settled or moved */
    unsigned failing;      /* outcomes "no candidate usable" on their way to disk */
    bool correcting;       /* its wake time is being put right */
    int64_t look_again_ms; /* nothing but leased rows is due before; 0: not known */
    unsigned given;        /* jobs in this turn of the ring */
    unsigned turn;
    unsigned next_bucket[DUE_CLASSES];
    bool has_mark;   /* rows of the mark's class and bucket up to it are leased */
    struct due mark; /* its hop is this one */
    size_t name_len;
    char name[HOP_NAME_MAX + 1];
};

struct hop_ring {
    struct map *by_name;
    struct list waiting; /* hops to be looked at, in turn */
    unsigned waiting_count;
};

void hop_ring_init(struct hop_ring *ring);
void hop_ring_clear(struct hop_ring *ring);
struct span hop_name(const struct hop *hop);
struct hop *hop_find(const struct hop_ring *ring, struct span name);
struct hop *hop_have(struct hop_ring *ring, struct span name);
/* At the end of the ring, if it is not in it. */
void hop_enter(struct hop_ring *ring, struct hop *hop);
/* At its beginning: it keeps its turn. */
void hop_enter_first(struct hop_ring *ring, struct hop *hop);
void hop_leave(struct hop_ring *ring, struct hop *hop);
/* Forgets a hop of which there is nothing to remember. */
void hop_forget_if_idle(struct hop_ring *ring, struct hop *hop);

#endif
