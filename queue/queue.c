#include "queue/queue.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "lib/mail/routing.h"
#include "queue/clock_steps.h"
#include "queue/control.h"
#include "queue/exceptions.h"
#include "queue/history_sweep.h"
#include "queue/routes.h"
#include "queue/signing.h"
#include "queue/streams.h"
#include "queue/workers.h"

enum {
    LOCK_WAIT_MS = 30 * SECOND_MS, /* for a predecessor that is ending */
    CHECK_MS = SECOND_MS,          /* room, clock */
    DRAIN_CHECK_MS = 20,
    FLUSH_MS = SECOND_MS, /* for replies, before the process ends */
};

struct queue {
    struct role *role;
    struct loop *loop;
    struct store *store;
    struct committer *committer;
    struct leases *leases;
    struct streams *streams;
    struct workers *workers;
    struct probes *probes;
    struct clock_steps *clock_steps;
    struct history_sweep *history_sweep;
    struct exceptions *exceptions;
    struct control control;
    struct loop_timer *check_timer;
    struct loop_timer *drain_timer;
    struct loop_task start_task;
    int64_t drain_until_ms;
};

/* ---- settings ---------------------------------------------------------------------------------
 */

/* Settlements under way may still point to the ones before: they are few, and are kept. */
static const struct notify_settings *notify_settings_of(const struct settings *settings)
{
    struct notify_settings *notify = memory_new(sizeof(*notify));

    span_to_string(span_of(settings->hostname), notify->hostname, sizeof(notify->hostname));
    span_to_string(span_of(settings->postmaster), notify->postmaster, sizeof(notify->postmaster));
    notify->notices_per_sender = settings->notices_per_sender;
    notify->postmaster_copies = settings->postmaster_copies;
    notify->hashes_relaxed = settings_dkim_bodies(settings).relaxed;
    notify->hashes_simple = settings_dkim_bodies(settings).simple;
    return notify;
}

static void take_settings(struct queue *q)
{
    const struct settings *settings = role_settings(q->role);

    store_set_limits(q->store, store_limits_of(settings));
    streams_set_messages_max(q->streams, settings->queue_messages_max);
    store_set_schedule(q->store, settings);
    q->control.notify = notify_settings_of(settings);
    workers_set_notify(q->workers, q->control.notify);
    streams_set_notify(q->streams, q->control.notify);
    exceptions_set(q->exceptions, settings);
    signing_set(workers_signing(q->workers), settings->dkim_count > 0);
    hosts_set(workers_hosts(q->workers), settings->host_connections);
    dispatch_set(workers_dispatch(q->workers), settings->delivery == DELIVERY_HOLD,
                 (struct hop_limits){ settings->hop_connections, settings->hop_rate });
}

static unsigned hop_connections(void *ctx, struct span hop)
{
    const struct queue *q = ctx;
    const struct settings *settings = role_settings(q->role);
    const struct route_settings *route = routing_of_hop(settings, hop);

    return route && route->connections > 0 ? route->connections : settings->hop_connections;
}

static void on_settings(void *ctx)
{
    take_settings(ctx);
}

/* ---- events -----------------------------------------------------------------------------------
 */

static void on_check(void *ctx)
{
    struct queue *q = ctx;

    clock_steps_check(q->clock_steps, clock_utc_ms(), clock_monotonic_ms());
    streams_check_room(q->streams);
    exceptions_check(q->exceptions, clock_utc_ms());
    loop_timer_start(q->check_timer, CHECK_MS);
}

static void on_accepted(void *ctx, const struct envelope *envelope)
{
    struct queue *q = ctx;
    struct schedule *schedule = store_schedule(q->store);
    struct routing routing;

    for (unsigned i = 0; i < envelope->recipient_count; i++) {
        struct routing_facts facts =
            routes_facts_of_new(envelope, &envelope->recipients[i].forward_path);
        schedule_route(schedule, &facts, &routing);
        dispatch_touch(workers_dispatch(q->workers), span_of(routing.hop));
    }
    schedule_drop(&schedule);
    if (envelope->expanded_count > 0) /* there is a notification, too */
        dispatch_look(workers_dispatch(q->workers));
}

static void on_probe(void *ctx, struct probe_asker *asker, uint64_t id,
                     const struct address *mailbox, const struct routing_facts *facts)
{
    struct queue *q = ctx;
    struct routing routing;

    routing_choose(role_settings(q->role), facts, &routing);
    if (routes_end(routing.route)) /* nobody is behind it; an error was refused at RCPT */
        asker->answer(asker->ctx, id, IPC__PROBE_VERDICT__PROBE_TAKEN);
    else
        probes_ask(q->probes, asker, id, mailbox, span_of(routing.hop));
}

static bool send_probe(void *ctx, struct span hop, const Ipc__Job *job,
                       const struct worker_slot **out_slot)
{
    struct queue *q = ctx;

    *out_slot = workers_send_probe(q->workers, hop, job);
    return *out_slot != NULL;
}

static void on_peer(void *ctx, enum role_id peer, unsigned instance, int fd)
{
    struct queue *q = ctx;

    if (peer == ROLE_SMTPD || peer == ROLE_PICKUP || peer == ROLE_TLSRPT)
        streams_attach(q->streams, fd, peer == ROLE_TLSRPT);
    else if (peer == ROLE_DELIVER)
        workers_attach(q->workers, instance, fd);
    else if (peer == ROLE_SIGN)
        signing_attach(workers_signing(q->workers), fd);
    else
        close(fd);
}

static void on_control(void *ctx, struct role_request *request)
{
    struct queue *q = ctx;

    control_answer(&q->control, request);
}

/* All have their answer; what is written is on disk, or will be found out by the next process. */
static void on_broken(void *ctx, int exit_status, const struct error *why)
{
    struct queue *q = ctx;

    streams_flush(q->streams, FLUSH_MS);
    workers_flush(q->workers, FLUSH_MS);
    role_die(exit_status,
             error_new(ERROR_LOCAL, "%s", why ? error_text(why) : "the queue's database failed"));
}

/* The others have drained before; what they handed in is answered when it is on disk. */
static void on_drain_check(void *ctx)
{
    struct queue *q = ctx;

    if (committer_pending(q->committer) == 0 || loop_now(q->loop) >= q->drain_until_ms)
        role_end(q->role, ROLE_EXIT_DONE);
    else
        loop_timer_start(q->drain_timer, DRAIN_CHECK_MS);
}

static void on_drain(void *ctx, int64_t wait_ms)
{
    struct queue *q = ctx;

    workers_drain(q->workers);
    q->drain_until_ms = loop_now(q->loop) + wait_ms;
    loop_timer_start(q->drain_timer, DRAIN_CHECK_MS);
}

static void on_start(void *ctx)
{
    struct queue *q = ctx;

    workers_start(q->workers);
}

/* ---- from start to end ------------------------------------------------------------------------
 */

static void on_swept(struct operation *operation, enum operation_outcome outcome)
{
    (void)outcome; /* what is left is swept at the next start */
    free(operation);
}

/* What a crash left half received: a few rows in a table of their own, whatever the queue holds. */
static struct error *sweep_unfinished(struct queue *q)
{
    uint64_t *ids;
    size_t count;
    struct error *err = store_unfinished(q->store, &ids, &count);

    for (size_t i = 0; i < count && !err; i++) {
        struct discard *discard = memory_new(sizeof(*discard));
        discard->id = ids[i];
        discard->operation.done = on_swept;
        discard_prepare(discard);
        committer_add(q->committer, &discard->operation);
    }
    free(ids);
    return err;
}

static void open_store(struct queue *q)
{
    const struct settings *settings = role_settings(q->role);
    int exit_status;
    struct error *err =
        store_open(".", store_limits_of(settings), LOCK_WAIT_MS, &q->store, &exit_status);

    if (err && exit_status == ROLE_EXIT_STORAGE)
        err = error_wrap(err,
                         "the queue was left as it is; to save what can be read, move %s/queue "
                         "aside and run \"waxseal queue salvage\" on it",
                         settings->state_dir);
    if (err)
        role_die(exit_status, err);
    store_set_schedule(q->store, settings);
}

static struct clock_steps *open_clock_steps(struct queue *q)
{
    const struct dispatch_parts parts = { q->loop, q->store, q->committer, q->leases };

    return clock_steps_new(&parts, workers_dispatch(q->workers), clock_utc_ms(),
                           clock_monotonic_ms());
}

static void open_parts(struct queue *q)
{
    static const struct streams_events streams_events = { on_accepted, on_probe };
    struct workers_parts parts = { .loop = q->loop, .store = q->store };

    q->committer = committer_new(q->loop, q->store, on_broken, q);
    q->leases = leases_new();
    q->exceptions = exceptions_new();
    q->streams = streams_new(q->loop, q->store, q->committer, &streams_events, q);
    parts.committer = q->committer;
    parts.leases = q->leases;
    parts.exceptions = q->exceptions;
    parts.hop_connections = hop_connections;
    parts.ctx = q;
    q->workers = workers_new(&parts);
    q->probes = probes_new(q->loop, send_probe, q);
    workers_set_probes(q->workers, q->probes);
    q->control = (struct control){
        .loop = q->loop,
        .store = q->store,
        .committer = q->committer,
        .dispatch = workers_dispatch(q->workers),
        .hosts = workers_hosts(q->workers),
        .streams = q->streams,
        .leases = q->leases,
        .exceptions = q->exceptions,
        .role = q->role,
    };
    control_init(&q->control);
    take_settings(q);
    struct error *err = sweep_unfinished(q);
    if (err)
        role_die(ROLE_EXIT_STORAGE, err);
    q->clock_steps = open_clock_steps(q);
    q->history_sweep = history_sweep_new(q->loop, q->committer);
    q->check_timer = loop_timer_new(q->loop, on_check, q);
    loop_timer_start(q->check_timer, CHECK_MS);
    q->drain_timer = loop_timer_new(q->loop, on_drain_check, q);
    loop_task_init(&q->start_task, on_start, q);
    loop_defer(q->loop, &q->start_task); /* the peers there are come before the first turn ends */
}

static void close_parts(struct queue *q)
{
    hosts_flush(workers_hosts(q->workers));
    committer_free(&q->committer); /* commits what is under way */
    streams_flush(q->streams, FLUSH_MS);
    workers_flush(q->workers, FLUSH_MS);
    loop_task_cancel(&q->start_task);
    loop_timer_free(&q->check_timer);
    loop_timer_free(&q->drain_timer);
    clock_steps_free(&q->clock_steps);
    history_sweep_free(&q->history_sweep);
    control_end(&q->control);
    workers_free(&q->workers);
    streams_free(&q->streams);
    probes_free(&q->probes);
    leases_free(&q->leases);
    exceptions_free(&q->exceptions);
    store_close(&q->store);
}

int queue_main(struct role *role)
{
    static const struct role_events events = {
        .peer = on_peer,
        .settings = on_settings,
        .drain = on_drain,
        .control = on_control,
    };
    struct queue queue = { .role = role, .loop = role_loop(role) };

    open_store(&queue);
    open_parts(&queue);
    int exit_status = role_serve(role, &events, &queue);
    close_parts(&queue);
    return exit_status;
}
