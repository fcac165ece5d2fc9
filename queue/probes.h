/*
 * probes - whether a next hop would take mail for a mailbox: asked of it by a worker with MAIL and
 * RCPT alone, for clients that wait at an edge (verify-recipients), and remembered for a while.
 * Called by queue (what smtpd asks) and workers (what came of it); owns what is remembered, which
 * is bounded, and in memory only.  Each ask is answered once, at the latest after PROBE_WAIT_MS.
 */
#ifndef WAXSEAL_QUEUE_PROBES_H
#define WAXSEAL_QUEUE_PROBES_H

#include "lib/io/loop.h"
#include "lib/ipc/queue.pb-c.h"
#include "lib/mail/address.h"
#include "queue/dispatch.h"

struct probes;

/* Somebody who asks; embedded in what lives as long. */
struct probe_asker {
    struct list asks;
    unsigned count;
    void (*answer)(void *ctx, uint64_t id, Ipc__ProbeVerdict verdict);
    void *ctx;
};
void probe_asker_init(struct probe_asker *asker,
                      void (*answer)(void *ctx, uint64_t id, Ipc__ProbeVerdict verdict), void *ctx);

/* Hands a job to a worker and gives its slot; false: none has room now. */
typedef bool probes_send_fn(void *ctx, struct span hop, const Ipc__Job *job,
                            const struct worker_slot **out_slot);

struct probes *probes_new(struct loop *loop, probes_send_fn *send, void *ctx);
void probes_free(struct probes **probes);

void probes_ask(struct probes *probes, struct probe_asker *asker, uint64_t id,
                const struct address *mailbox, struct span hop);
/* The asker goes: it gets no answers any more. */
void probes_forget(struct probe_asker *asker);

/* What came of a job; false when it was no probe of that worker's. */
bool probes_take_outcome(struct probes *probes, const struct worker_slot *slot,
                         const Ipc__Outcome *outcome);
/* The worker is gone, with the probes it had. */
void probes_worker_gone(struct probes *probes, const struct worker_slot *slot);

#endif
