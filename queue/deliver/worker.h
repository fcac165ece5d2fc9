/*
 * worker - what all parts of a delivery worker share: loop, settings, clients of the other roles,
 * TLS contexts, seats.  A plain struct, owned by deliver; handed down, never global.
 */
#ifndef WAXSEAL_QUEUE_DELIVER_WORKER_H
#define WAXSEAL_QUEUE_DELIVER_WORKER_H

#include "lib/base/map.h"
#include "lib/base/settings.h"
#include "lib/io/addresses.h"
#include "lib/io/resolver.h"
#include "lib/io/tls.h"
#include "lib/ipc/policy_client.h"
#include "lib/ipc/tlsrpt_client.h"
#include "queue/deliver/dialogue.h"
#include "queue/deliver/host_slot.h"
#include "queue/deliver/job.h"
#include "queue/deliver/ladder.h"
#include "queue/deliver/login.h"
#include "queue/deliver/target.h"
#include "queue/deliver/resumption.h"
#include "queue/deliver/unreachable.h"

enum { TLS_FLOORS = TLS_FLOOR_LEGACY + 1 };

struct worker {
    struct loop *loop;
    const struct settings *settings;
    struct dialogue_waits waits;
    struct resolver *resolver;
    struct resolver_proof *proof; /* that it validates */
    struct policy_client *policies;
    struct tlsrpt_client *reports;
    struct tls_context *contexts[TLS_FLOORS][TLS_HELLOS];
    bool hellos_differ; /* with this TLS library */
    uint64_t trust_generation;
    struct resumption *past; /* TLS sessions to resume */
    struct unreachable *unreachable;
    struct login_identity identities[SETTINGS_ROUTES_MAX]; /* empty: the file is not to be had */
    struct network *route_allow[SETTINGS_ROUTES_MAX]; /* mx-allow of all mail and of the route */

    struct map *lanes; /* by next hop, those for reports of ours beside them */
    struct host_slots *slots;
    struct pool *pool;
    unsigned seats;      /* connections, made or being made, but for those that are parked */
    unsigned greetings;  /* of these, waiting for a greeting */
    struct list waiting; /* those sessions, the oldest first */
    struct list parked;  /* those that wait for longer than a moment, and have no seat */
    unsigned parked_count;
    unsigned parked_max;
    struct loop_timer *silence;
    struct list starving;  /* lanes that want a seat */
    struct loop_task turn; /* gives free seats to them */
    bool draining;

    /* An attempt is over: the job goes back, with its results.  Takes *job. */
    void (*job_over)(void *owner, struct job **job);
    /* It was stopped before anything came of it.  Takes *job. */
    void (*job_dropped)(void *owner, struct job **job);
    void *owner;
};

/* A seat for one more connection, which an idle session may have to leave. */
bool worker_has_seat(struct worker *worker);
/* Somebody gave a seat back. */
void worker_seat_is_free(struct worker *worker);

/* Once there are settings: how many sessions may be parked. */
void worker_size_parking(struct worker *worker);

/*
 * Who waits for a greeting for longer than a moment is parked: it gives its seat to others.  When
 * very many are parked, first attempts are ended sooner than in time, so that there is room for
 * those that come.  The longer way is that of the later attempts.
 */
void worker_watch_silence(struct worker *worker);
void worker_end_silent(struct worker *worker);

/* Gives free seats to the lanes that want one, in turn. */
void worker_serve_starving(struct worker *worker);

/*
 * Everything may be connected to when the administrator named it; else the filter of the settings,
 * and what the route lets through besides.  A listener of ours is no next hop (CLI-13).
 */
struct address_filter worker_filter(struct worker *worker, const struct target *target);

/* The context of a rung; NULL: without TLS. */
struct tls_context *worker_context(const struct worker *worker, const struct rung *rung);

/* What the route of a target says of how to connect, to greet and to log in. */
void worker_plan_route(const struct worker *worker, const struct target *target,
                       struct dialogue_plan *plan);

#endif
