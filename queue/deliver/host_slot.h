/*
 * host_slot - leave to connect to an MX host, leased from `queue` for one connection (design.md
 * section 3).  Asked for by lane and attempt before they connect, kept by the session until its
 * connection ends, given back with what came of it.  A worker has one table of them; what is said
 * in one turn of the loop goes in one report.  While the queue is away slots are kept, and asks
 * wait.
 */
#ifndef WAXSEAL_QUEUE_DELIVER_HOST_SLOT_H
#define WAXSEAL_QUEUE_DELIVER_HOST_SLOT_H

#include "lib/base/limits.h"
#include "lib/base/span.h"
#include "lib/io/loop.h"
#include "lib/ipc/queue.pb-c.h"
#include "queue/deliver/ladder.h"

struct host_slots;
struct host_slot;

/* Sends a report, which is lent; false: the queue is away. */
typedef bool host_slots_send_fn(void *ctx, const Ipc__SlotReport *report);

struct host_slots *host_slots_new(struct loop *loop, host_slots_send_fn *send, void *ctx);
void host_slots_free(struct host_slots **slots);
/* Adds what is held to a hello. */
void host_slots_hello(struct host_slots *slots, Ipc__WorkerHello *hello);
void host_slots_hello_clear(Ipc__WorkerHello *hello);
/* A new queue has not heard of what is still asked for. */
void host_slots_ask_again(struct host_slots *slots);
/* Takes what the queue grants. */
void host_slots_take(struct host_slots *slots, const Ipc__SlotGrants *grants);

/* The hosts of an ask, in lower case, the preferred one first. */
struct slot_hosts {
    char names[SLOT_HOSTS_MAX][DOMAIN_MAX + 1];
    unsigned count;
};
/* Adds a host, if there is room for it and it is not there; any case. */
void slot_hosts_add(struct slot_hosts *hosts, const char *name);

/* Asks for a slot at one of the hosts; `granted` is called once, later, from the loop. */
typedef void host_slot_granted_fn(void *ctx);
struct host_slot *host_slot_ask(struct host_slots *slots, const char *hop,
                                const struct slot_hosts *hosts, host_slot_granted_fn *granted,
                                void *ctx);
/* Gives it back, or asks no more.  Accepts NULL inside. */
void host_slot_free(struct host_slot **slot);

/* The host it was granted for; NULL: it was not granted yet. */
const char *host_slot_host(const struct host_slot *slot);
/* Is it leave to connect to this host?  Accepts NULL. */
bool host_slot_is_for(const struct host_slot *slot, const char *host);
/* What was learned of its TLS before it was granted; accepts NULL. */
enum lesson host_slot_lesson(const struct host_slot *slot);
/* Did connections to that host stand when it was granted? */
bool host_slot_has_others(const struct host_slot *slot);

/* What came of the connection; all accept NULL. */
void host_slot_stands(struct host_slot *slot);
/* What is learned of its TLS; what was known before is not said again. */
void host_slot_learned(struct host_slot *slot, enum lesson lesson);
void host_slot_refused(struct host_slot *slot, struct span words);
/* It was, since it stands if it does. */
bool host_slot_is_refused(const struct host_slot *slot);

#endif
