/*
 * workers_private - what the parts of workers share: workers.c has the workers' channels, jobs and
 * content, workers_outcomes.c what comes of their jobs, until it is on disk and acknowledged.
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

/* A frame with an outcome; gives what is wrong with it, or NULL. */
const char *workers_on_outcome(struct worker *worker, const struct channel_frame *frame);
/* Takes the outcome, a worker's or, of mail that its route ends, dispatch's.  `ctx`: the workers.
 */
void workers_settle(void *ctx, struct lease *lease, Ipc__Outcome *outcome);

#endif
