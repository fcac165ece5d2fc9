/*
 * dispatch - hands due recipients to workers: hops take turns, within a hop classes and then
 * senders take turns, and a hop has no more jobs under way than its cap.  Hops with something new
 * and hops that were found on disk have every other turn.  Hops that nothing is known of, and those
 * that fail, have a few jobs each and a part of the workers' room each, so that silent hosts,
 * however many, leave the rest to those that answer; and for a moment each, so that they leave even
 * that part to those that nothing is known of yet.  Reads `wake`, `hop` and `due` in short
 * transactions; remembers only hops with something under way or about to be looked at, so that
 * memory does not depend on the length of the queue.  Called by workers and queue; owns the leases'
 * hops, not the leases.
 */
#ifndef WAXSEAL_QUEUE_DISPATCH_H
#define WAXSEAL_QUEUE_DISPATCH_H

#include "queue/committer.h"
#include "queue/leases.h"
#include "queue/records.pb-c.h"

struct dispatch;

/* What is known of a hop's hosts since this process began, or since they last failed. */
enum hop_standing {
    HOP_KNOWN,   /* they answered */
    HOP_NEW,     /* nothing, and mail for it has just come */
    HOP_FOUND,   /* nothing, and its mail was found on disk */
    HOP_FAILING, /* at the last attempt none could be used */
    HOP_STANDINGS,
};

/* A worker as dispatch sees it; embedded in the worker. */
struct worker_slot {
    struct list others;
    unsigned instance;
    unsigned room;                  /* jobs it takes at a time */
    unsigned jobs;                  /* with it now */
    unsigned tried[HOP_STANDINGS];  /* of these, by the standing of their hops when they began */
    unsigned parked[HOP_STANDINGS]; /* of these, those that gave up their places: slots.h */
    struct list trials;             /* leases with a place that may turn out silent, oldest first */
    bool takes_jobs;                /* it has reported and does not drain */
    bool is_alone;                  /* with a suspect: gets nothing else */
    int64_t clear_at_ms;            /* a suspect waits for it to be idle since; 0: none */
};

/* What a worker needs to know; lent for the call. */
struct job_facts {
    struct span hop;
    const Queue__MessageRecord *message;
    Ipc__Recipient **recipients;
    size_t count;
    const struct route_settings *route; /* NULL: none */
    unsigned attempts;                  /* made before */
    bool skip_policy;
    bool last_attempt;
    bool signing_is_over; /* it goes unsigned rather than wait for its signatures again */
};

struct dispatch_parts {
    struct loop *loop;
    struct store *store;
    struct committer *committer;
    struct leases *leases;
};
/* Sends a job; the lease is the worker's from now on. */
typedef void dispatch_give_fn(void *ctx, struct worker_slot *slot, struct lease *lease,
                              const struct job_facts *facts);

/* Takes the outcome of a lease that is nobody's: its route ended the mail. */
typedef void dispatch_settle_fn(void *ctx, struct lease *lease, Ipc__Outcome *outcome);

struct dispatch *dispatch_new(const struct dispatch_parts *parts, dispatch_give_fn *give,
                              dispatch_settle_fn *settle, void *ctx);
void dispatch_free(struct dispatch **dispatch);

/* For hops whose route says nothing of it. */
struct hop_limits {
    unsigned connections;     /* at a time */
    struct message_rate rate; /* of messages handed out; count 0: any */
};
/* `hold`: nothing is delivered.  To be called after the routes have changed, too. */
void dispatch_set(struct dispatch *dispatch, bool hold, struct hop_limits limits);
bool dispatch_holds(const struct dispatch *dispatch);
/* Nothing is leased before every worker of an earlier queue has reported or is gone. */
void dispatch_open(struct dispatch *dispatch);

void dispatch_add_slot(struct dispatch *dispatch, struct worker_slot *slot);
void dispatch_remove_slot(struct dispatch *dispatch, struct worker_slot *slot);

/* Looks for work soon: at a hop with something new; or at all, when times on disk have changed. */
void dispatch_touch(struct dispatch *dispatch, struct span hop);
void dispatch_look(struct dispatch *dispatch);
/* The clock was stepped: what is known of positions in `due` is void. */
void dispatch_forget_marks(struct dispatch *dispatch);

/* A worker with room for a job of this hop; NULL: none, or nothing is leased now. */
struct worker_slot *dispatch_choose(struct dispatch *dispatch, struct span hop);

/* What an attempt told of its hop. */
enum hop_word {
    HOP_SAID_NOTHING,
    HOP_REACHED, /* a host answered to the message */
    HOP_FAILED,  /* no candidate could be used */
};
/* The worker is done with a lease: its place is free, its rows are not yet settled. */
void dispatch_leave(struct dispatch *dispatch, struct lease *lease, struct worker_slot *slot,
                    enum hop_word word);
/* Where its rows wait; empty when that is not known. */
struct span dispatch_hop_of(const struct lease *lease);
/* Its rows are settled: ends the lease. */
void dispatch_end(struct dispatch *dispatch, struct lease **lease, bool hop_failed);
/* The same when rows of it are due as before: they are to be found where they were. */
void dispatch_return(struct dispatch *dispatch, struct lease **lease, bool hop_failed);
/* An attempt of it failed for its hop, and that is on disk: it may mean something for others. */
void dispatch_hop_failed(const struct lease *lease, const Ipc__Outcome *outcome);
/* Its rows can neither be settled nor be set aside: they stay leased to nobody until the next
 * start, and the hop goes on with its other mail. */
void dispatch_set_aside(struct dispatch *dispatch, struct lease *lease, bool hop_failed);

#endif
