/*
 * dispatch_hops - the hops that dispatch remembers, and the order in which they take turns.  Called
 * by dispatch alone.  Hops with something new stand in a line of their own, so that they need not
 * wait for a backlog; each of the two lines has every other turn.  Those that answered are
 * remembered for a while when they have nothing; those whose rate lets nothing go yet, until it
 * does: then they have their turn, without being looked for.
 */
#ifndef WAXSEAL_QUEUE_DISPATCH_HOPS_H
#define WAXSEAL_QUEUE_DISPATCH_HOPS_H

#include "lib/base/list.h"
#include "lib/base/map.h"
#include "queue/dispatch_paced.h"
#include "queue/pace.h"
#include "queue/records.h"

enum hop_line { HOP_FRESH, HOP_WAITING, HOP_IDLE, HOP_LINES, HOP_PACED = HOP_LINES, HOP_NOWHERE };

/* How many are remembered that have nothing under way: without a pace, and for their pace. */
enum { HOPS_IDLE_MAX = 1024, HOPS_PACED_MAX = 65536 };

struct overdue;

struct hop {
    struct list ring; /* in its line, or in no list of the ring's */
    enum hop_line line;
    bool is_known;   /* its hosts answered, and have not failed since */
    bool is_fresh;   /* its turn is that of a hop with something new */
    bool is_failing; /* as its record was read last */
    bool is_paced;   /* by the rate of its route, or of all hops */
    struct pace pace;
    int64_t paced_until_ms; /* nothing goes before, by its pace */
    size_t paced_at;        /* its place among the paced ones, if it is one of them */
    unsigned most_jobs;     /* with workers at a time, as its visit found */
    unsigned jobs;          /* with workers */
    unsigned leases;        /* these, and those whose rows are being settled or moved */
    unsigned failing;       /* outcomes "no candidate usable" on their way to disk */
    bool correcting;        /* its wake time is being put right */
    int64_t look_again_ms;  /* nothing but leased rows is due before; 0: not known */
    unsigned given;         /* jobs in this turn of the ring */
    unsigned turn;
    unsigned next_bucket[DUE_CLASSES];
    struct overdue *overdue; /* what the last failure means for its old mail; or NULL */
    bool has_mark;           /* rows of the mark's class and bucket up to it are leased */
    struct due mark;         /* its hop is this one */
    size_t name_len;
    char name[]; /* ends with NUL */
};

struct hop_ring {
    struct map *by_name;
    struct list lines[HOP_LINES];
    unsigned counts[HOP_LINES];
    struct paced paced;
    bool fresh_was_last; /* the other line has the next turn */
};

void hop_ring_init(struct hop_ring *ring);
void hop_ring_clear(struct hop_ring *ring);
struct span hop_name(const struct hop *hop);
struct hop *hop_find(const struct hop_ring *ring, struct span name);
struct hop *hop_have(struct hop_ring *ring, struct span name);
/* At the end of a line, if it waits in none; what has something new leaves the other line. */
void hop_enter(struct hop_ring *ring, struct hop *hop, enum hop_line line);
/* At the beginning: it keeps its turn. */
void hop_enter_first(struct hop_ring *ring, struct hop *hop);
void hop_leave(struct hop_ring *ring, struct hop *hop);
/* The hop whose turn it is; NULL when none waits. */
struct hop *hop_in_turn(struct hop_ring *ring);
/* Paced ones whose time has come wait for their turn, too, as long as fewer than `most` do. */
void hops_enter_paced(struct hop_ring *ring, unsigned most, int64_t now_ms);
/* How many wait for their turn. */
unsigned hops_in_turn(const struct hop_ring *ring);
/* Of one that waits in no line: sets it with the paced ones, whatever it has under way; when it has
 * nothing, with the idle ones, or forgets it.  Where these are too many it forgets another, or the
 * same. */
void hop_forget_if_idle(struct hop_ring *ring, struct hop *hop, int64_t now_ms);

#endif
