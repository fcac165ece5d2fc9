/*
 * dispatch_private - what the two files of dispatch share: dispatch.c has the hops in turn and what
 * is said from outside, dispatch_visit.c one hop's turn.  Nobody else includes it.
 */
#ifndef WAXSEAL_QUEUE_DISPATCH_PRIVATE_H
#define WAXSEAL_QUEUE_DISPATCH_PRIVATE_H

#include "lib/io/loop.h"
#include "queue/dispatch.h"
#include "queue/dispatch_hops.h"
#include "queue/dispatch_jobs.h"
#include "queue/due_walk.h"
#include "queue/slots.h"

struct dispatch {
    struct dispatch_parts parts;
    dispatch_give_fn *give;
    dispatch_settle_fn *settle;
    void *ctx;
    struct slots slots;
    struct hop_ring ring;
    struct loop_task task;
    struct loop_timer *timer;
    struct loop_timer *parking; /* as long as some have a place only for a moment */
    struct arena arena;
    int64_t scan_ms; /* when `wake` is to be read again, in UTC */
    struct hop_limits limits;
    bool hold;
    bool is_open;
    bool scan;     /* it is to be read now */
    bool has_more; /* hops are due that found no place in the ring */
};

/* One run: all of it in one read transaction. */
struct run {
    struct dispatch *d;
    struct kv_txn *txn;
    struct due_walk walk;
    struct job_loader jobs;
    int64_t now_ms;
    unsigned given;
    int64_t rest_until_ms; /* of the hop that is visited; 0: it does not rest */
    bool suspect_waits;    /* of the hop that is visited: for a worker that has nothing else */
};

enum visit { VISIT_AGAIN, VISIT_NO_SLOT, VISIT_OVER };

/* `wake` is read again at that time at the latest. */
void dispatch_scan_by(struct dispatch *d, int64_t utc_ms);
/* How many jobs a hop may have at a time, by its route or by the limits of all. */
unsigned dispatch_jobs_of(const struct hop_limits *limits, const struct route_settings *route);
/* Gives the hop what it may have; *out_visit says whether and where it waits on. */
struct error *dispatch_visit(struct run *run, struct hop *hop, enum visit *out_visit) MUST_CHECK;

#endif
