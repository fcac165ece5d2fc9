/*
 * hosts - connection slots: leave to connect to an MX host, leased to delivery workers, so that a
 * host and a next hop get no more connections than their caps and than they were seen to bear,
 * whatever number of workers and domains send there (design.md section 3).  Called by workers and
 * control; owns the states and the slots.
 */
#ifndef WAXSEAL_QUEUE_HOSTS_H
#define WAXSEAL_QUEUE_HOSTS_H

#include "lib/ipc/queue.pb-c.h"
#include "queue/host_keep.h"
#include "queue/host_states.h"

struct hosts;

/* A worker as hosts sees it; embedded in the worker. */
struct slot_holder {
    struct map *slots; /* by the worker's number */
    unsigned slots_max;
};
void slot_holder_init(struct slot_holder *holder);

/*
 * A slot is granted: the `host`-th of those asked for, where `others` connections stand and of
 * which `tls` was learned.
 */
typedef void hosts_granted_fn(void *ctx, struct slot_holder *holder, uint64_t number, unsigned host,
                              unsigned others, Ipc__HostTls tls);
/* How many connections a next hop may have at most. */
typedef unsigned hosts_hop_cap_fn(void *ctx, struct span hop);

struct hosts_events {
    hosts_granted_fn *granted; /* never from inside hosts_free */
    hosts_hop_cap_fn *hop_cap;
};

struct hosts *hosts_new(struct loop *loop, struct store *store, struct committer *committer,
                        const struct hosts_events *events, void *ctx);
void hosts_free(struct hosts **hosts);
/* `host_cap` connections to one MX host; the caps of next hops may have changed, too. */
void hosts_set(struct hosts *hosts, unsigned host_cap);

/* What a worker says; gives what is wrong with it, or NULL. */
const char *hosts_report(struct hosts *hosts, struct slot_holder *holder,
                         const Ipc__SlotReport *report);
/* What it has from before this process, whatever the limits say. */
void hosts_adopt(struct hosts *hosts, struct slot_holder *holder, Ipc__SlotHeld **held,
                 size_t count);
/* The worker is gone, and its connections with it. */
void hosts_release(struct hosts *hosts, struct slot_holder *holder);

/* For the end of the role. */
void hosts_flush(struct hosts *hosts);

/* ---- for the operator */

struct host_keep *hosts_keep(struct hosts *hosts);
struct host_states *hosts_states(struct hosts *hosts);
unsigned hosts_cap(const struct hosts *hosts, const struct host_state *state);
/* Forgets what was learned of an MX host or a next hop of that name; false: nothing was. */
bool hosts_forget(struct hosts *hosts, struct span name);

#endif
