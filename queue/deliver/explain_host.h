/*
 * explain_host - one MX candidate looked at for `waxseal explain`: asked for in DNS as an attempt
 * does, decided about, and contacted, unless nobody wants that, up to the EHLO inside TLS: then
 * QUIT, or again in a lower way where mail would.  No message, no login, no TLS session resumed or
 * kept.  Called by explain.
 */
#ifndef WAXSEAL_QUEUE_DELIVER_EXPLAIN_HOST_H
#define WAXSEAL_QUEUE_DELIVER_EXPLAIN_HOST_H

#include "queue/deliver/explain_facts.h"
#include "queue/deliver/worker.h"

struct explain_host;

/* What to look at; `hop` and `plan` outlive it. */
struct explain_order {
    const char *hop; /* whose connection it counts as */
    const struct plan *plan;
    unsigned candidate;
    bool is_offline;
};

/* `done` is called once, later, from the loop, when all is known. */
struct explain_host *explain_host_new(struct worker *worker, const struct explain_order *order,
                                      void (*done)(void *ctx), void *ctx);
/* Stops whatever is under way; the facts stand as they are by then. */
void explain_host_stop(struct explain_host *host);
void explain_host_free(struct explain_host **host);

struct explain_facts *explain_host_facts(struct explain_host *host);

#endif
