/*
 * workers - the queue's side of the delivery workers: their channels, the jobs they are sent, the
 * content they pull, the outcomes they report, and what is done when one dies.  Called by queue;
 * owns the workers.
 */
#ifndef WAXSEAL_QUEUE_WORKERS_H
#define WAXSEAL_QUEUE_WORKERS_H

#include "lib/ipc/queue.pb-c.h"
#include "queue/dispatch.h"
#include "queue/hosts.h"
#include "queue/notify.h"

struct workers;

struct workers_parts {
    struct loop *loop;
    struct store *store;
    struct committer *committer;
    struct leases *leases;
    struct exceptions *exceptions;
    const struct notify_settings *notify; /* lives as long as the process */
    hosts_hop_cap_fn *hop_connections;    /* to a next hop at most */
    void *ctx;
};

struct workers *workers_new(const struct workers_parts *parts);
void workers_free(struct workers **workers);
/* The dispatch that works for these workers. */
struct dispatch *workers_dispatch(struct workers *workers);
/* What asks for their jobs' signatures. */
struct signing *workers_signing(struct workers *workers);
/* The hosts that these workers connect to. */
struct hosts *workers_hosts(struct workers *workers);

/* A channel to a worker, new or from before this process; takes the descriptor. */
void workers_attach(struct workers *workers, unsigned instance, int fd);
/* All workers there were at start are attached: leasing begins when each has reported or is gone.
 */
void workers_start(struct workers *workers);

/* A job that is no message's: gives the slot that has it, NULL when none has room.  What comes of
 * it goes to the probes. */
struct probes;
void workers_set_probes(struct workers *workers, struct probes *probes);
struct worker_slot *workers_send_probe(struct workers *workers, struct span hop,
                                       const Ipc__Job *job);

/* Asks the holder of a lease to drop its job, if nothing of it was begun: then the lease ends. */
void workers_cancel(struct lease *lease);

void workers_set_notify(struct workers *workers, const struct notify_settings *notify);
/* The relay ends: a worker that goes now has not died of its mail. */
void workers_drain(struct workers *workers);
/* Sends acknowledgements; for the end of the role. */
void workers_flush(struct workers *workers, int64_t wait_ms);

#endif
