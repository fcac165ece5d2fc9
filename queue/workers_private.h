/*
 * workers_private - what the parts of workers share: workers.c has the workers' channels and
 * their content, workers_jobs.c jobs until they are sent, signed where they have to be, and
 * workers_outcomes.c what comes of them, until it is on disk and acknowledged.
 */
#ifndef WAXSEAL_QUEUE_WORKERS_PRIVATE_H
#define WAXSEAL_QUEUE_WORKERS_PRIVATE_H

#include "lib/ipc/channel.h"
#include "queue/grants.h"
#include "queue/workers.h"

struct workers {
    struct workers_parts parts;
    struct dispatch *dispatch;
    struct content_reader *reader;
    struct signing *signing;
    struct probes *probes;
    struct hosts *hosts;
    struct list all;
    struct loop_timer *hello_timer;
    bool started;
    bool ending;
};

struct worker {
    struct worker_slot slot; /* first: dispatch hands it back */
    struct list others;
    struct workers *workers;
    struct channel *channel;
    struct grants grants;
    struct list leases;
    unsigned leases_count;
    bool has_reported;
    bool is_draining;
};

/* dispatch_give_fn and signing_done_fn; `ctx`: the workers. */
void workers_give(void *ctx, struct worker_slot *slot, struct lease *lease,
                  const struct job_facts *facts);
struct signing_result;
void workers_on_signed(void *ctx, const struct signing_result *result);
/* The lease is the worker's from here on. */
void workers_lease_to(struct worker *worker, struct lease *lease);
/* Ends a lease whose job was not sent yet, as if it had not been given; false: it was sent. */
bool workers_take_back_unsent(struct lease *lease);
void workers_take_back_all_unsent(struct worker *worker);

/* A frame with an outcome; gives what is wrong with it, or NULL. */
const char *workers_on_outcome(struct worker *worker, const struct channel_frame *frame);
/* Takes the outcome, a worker's or, of mail that its route ends, dispatch's.  `ctx`: the workers.
 */
void workers_settle(void *ctx, struct lease *lease, Ipc__Outcome *outcome);

#endif
