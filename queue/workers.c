#include "queue/workers_private.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/ipc/queue.pb-c.h"
#include "queue/content_reader.h"
#include "queue/departures.h"
#include "queue/grants.h"
#include "queue/probes.h"
#include "queue/signing.h"
#include "queue/slots.h"

enum {
    JOB_ROOM_MAX = 4096,         /* of a worker */
    HELD_LEASES_MAX = 16 * 1024, /* that a worker reports: more than its room and SILENT_MAX */
    SLOTS_MAX = 20000,           /* twice the most that deliver-connections may be */
    PULL_MAX = STREAM_WINDOW / CONTENT_CHUNK_SIZE,
    PULLED_MAX = 16 * PULL_MAX, /* a window for each transaction that was begun anew */
    HELLO_WAIT_MS = MINUTE_MS,  /* a worker that says nothing is stuck */
};

static const struct span nothing = { NULL, 0 };

/* ---- when leasing may begin ----------------------------------------------------------------- */

static void open_when_all_reported(struct workers *w)
{
    struct worker *worker;

    if (!w->started)
        return;
    LIST_EACH(worker, &w->all, struct worker, others)
    {
        if (!worker->has_reported)
            return;
    }
    loop_timer_cancel(w->hello_timer);
    dispatch_open(w->dispatch);
}

static void on_hello_late(void *ctx)
{
    struct workers *w = ctx;
    struct worker *worker;

    LIST_EACH(worker, &w->all, struct worker, others)
    {
        if (!worker->has_reported)
            channel_refuse(worker->channel, "a worker does not report");
    }
}

/* ---- content -------------------------------------------------------------------------------- */

static void on_chunk(void *ctx, uint64_t lease_number, uint32_t chunk, struct span bytes)
{
    struct workers *w = ctx;
    struct lease *lease = lease_find(w->parts.leases, lease_number);
    Ipc__JobContent content = IPC__JOB_CONTENT__INIT;

    if (!lease || !lease->holder)
        return; /* ended meanwhile */
    const struct worker *worker = lease->holder;
    if (lease->pulled > 0)
        lease->pulled--;
    content.lease = lease_number;
    content.chunk = chunk;
    content.damaged = bytes.data == NULL;
    lease->is_damaged |= content.damaged;
    channel_send(worker->channel, FRAME_JOB_CONTENT, &content.base, bytes);
}

/* Has it asked for more than it reads?  What it asked for is not to gather in our memory. */
static bool is_glutted(const struct worker *worker, const struct lease *lease)
{
    size_t windows = ((size_t)worker->slot.room + 1) * 2; /* those of leases that ended included */

    return lease->pulled > PULLED_MAX || channel_pending(worker->channel) > windows * STREAM_WINDOW;
}

static void pull_for(struct workers *w, const struct lease *lease, const Ipc__ContentPull *pull)
{
    const struct content_pull wanted = {
        .lease = lease->number,
        .id = lease->id,
        .accepted_utc_ms = lease->accepted_utc_ms,
        .chunk = pull->first_chunk,
        .count = pull->count,
    };

    content_reader_pull(w->reader, &wanted);
}

static const char *on_pull(struct worker *worker, const struct channel_frame *frame)
{
    struct workers *w = worker->workers;
    Ipc__ContentPull *pull = channel_decode(frame, &ipc__content_pull__descriptor);

    if (!pull)
        return "a pull of content does not decode";
    struct lease *lease = lease_find(w->parts.leases, pull->lease);
    bool is_fair = pull->count <= PULL_MAX && pull->first_chunk <= UINT32_MAX - PULL_MAX;
    if (is_fair && lease && lease->holder == worker) {
        lease->pulled += pull->count;
        is_fair = !is_glutted(worker, lease);
        if (is_fair)
            pull_for(w, lease, pull);
    }
    ipc__content_pull__free_unpacked(pull, NULL);
    return is_fair ? NULL : "a pull beyond the window";
}

/* ---- connection slots ----------------------------------------------------------------------- */

static const char *on_slots(struct worker *worker, const struct channel_frame *frame)
{
    Ipc__SlotReport *report = channel_decode(frame, &ipc__slot_report__descriptor);

    if (!report)
        return "a report of slots does not decode";
    const char *wrong = hosts_report(worker->workers->hosts, &worker->grants.holder, report);
    ipc__slot_report__free_unpacked(report, NULL);
    return wrong;
}

static unsigned hop_cap(void *ctx, struct span hop)
{
    const struct workers *w = ctx;

    return w->parts.hop_connections(w->parts.ctx, hop);
}

/* ---- workers come and go -------------------------------------------------------------------- */

static void take_over_leases(struct worker *worker, const Ipc__WorkerHello *hello)
{
    struct workers *w = worker->workers;

    for (size_t i = 0; i < hello->n_leases && i < HELD_LEASES_MAX; i++) {
        struct lease *lease = lease_take_over(w->parts.leases, hello->leases[i]);
        if (!lease)
            continue; /* a later hello of the same worker */
        lease->started_ms = clock_utc_ms();
        workers_lease_to(worker, lease);
        worker->slot.jobs++;
    }
}

/* Jobs are twice its connections: one ask for each job at most, and a slot for each connection; the
 * same for those that are parked. */
static unsigned slots_max(const Ipc__WorkerHello *hello)
{
    unsigned room = hello->job_room < SLOTS_MAX ? hello->job_room : SLOTS_MAX;

    return room + room / 2 + 2 * slots_parked_max(room);
}

static const char *on_hello(struct worker *worker, const struct channel_frame *frame)
{
    struct workers *w = worker->workers;
    Ipc__WorkerHello *hello = channel_decode(frame, &ipc__worker_hello__descriptor);

    if (!hello)
        return "a worker's hello does not decode";
    worker->slot.room = hello->job_room < JOB_ROOM_MAX ? hello->job_room : JOB_ROOM_MAX;
    worker->grants.holder.slots_max = slots_max(hello);
    if (!worker->has_reported) {
        take_over_leases(worker, hello);
        hosts_adopt(w->hosts, &worker->grants.holder, hello->slots, hello->n_slots);
    }
    worker->has_reported = true;
    worker->is_draining = hello->draining;
    worker->slot.takes_jobs = !hello->draining;
    ipc__worker_hello__free_unpacked(hello, NULL);
    open_when_all_reported(w);
    dispatch_look(w->dispatch);
    return NULL;
}

static void on_frame(void *ctx, struct channel_frame *frame)
{
    struct worker *worker = ctx;
    const char *wrong = "unknown frame from a worker";

    if (frame->type == FRAME_WORKER_HELLO)
        wrong = on_hello(worker, frame);
    else if (frame->type == FRAME_CONTENT_PULL)
        wrong = on_pull(worker, frame);
    else if (frame->type == FRAME_OUTCOME)
        wrong = workers_on_outcome(worker, frame);
    else if (frame->type == FRAME_SLOT_REPORT)
        wrong = on_slots(worker, frame);
    if (wrong)
        channel_refuse(worker->channel, wrong);
}

static void worker_free(struct worker *worker)
{
    probes_worker_gone(worker->workers->probes, &worker->slot);
    dispatch_remove_slot(worker->workers->dispatch, &worker->slot);
    list_remove(&worker->others);
    hosts_release(worker->workers->hosts, &worker->grants.holder);
    grants_clear(&worker->grants);
    channel_free(&worker->channel);
    free(worker);
}

static void on_closed(void *ctx, const struct error *err)
{
    struct worker *worker = ctx;
    struct workers *w = worker->workers;

    (void)err; /* the channel has logged what is worth it */
    workers_take_back_all_unsent(worker);
    if (w->ending)
        departure_let_go(&worker->leases);
    else if (worker->is_draining)
        departure_take_back(w->dispatch, &worker->leases);
    else
        departure_bury(w->dispatch, w->parts.committer, &worker->leases);
    worker_free(worker);
    open_when_all_reported(w);
}

void workers_attach(struct workers *workers, unsigned instance, int fd)
{
    static const struct channel_events events = { on_frame, on_closed };
    struct worker *worker = memory_new(sizeof(*worker));

    worker->workers = workers;
    worker->slot.instance = instance;
    list_init(&worker->leases);
    list_append(&workers->all, &worker->others);
    dispatch_add_slot(workers->dispatch, &worker->slot);
    worker->channel = channel_open(workers->parts.loop, fd, &events, worker);
    grants_init(&worker->grants, workers->parts.loop, worker->channel);
}

/* ---- all of them ---------------------------------------------------------------------------- */

struct workers *workers_new(const struct workers_parts *parts)
{
    static const struct hosts_events hosts_events = { grants_add, hop_cap };
    struct workers *w = memory_new(sizeof(*w));
    struct dispatch_parts dispatch_parts = { parts->loop, parts->store, parts->committer,
                                             parts->leases };

    w->parts = *parts;
    list_init(&w->all);
    w->dispatch = dispatch_new(&dispatch_parts, workers_give, workers_settle, w);
    w->signing = signing_new(parts->loop, parts->store, SIGNING_WAIT_MS, SIGNING_DOWN_MS,
                             workers_on_signed, w);
    w->reader = content_reader_new(parts->loop, parts->store, on_chunk, w);
    w->hello_timer = loop_timer_new(parts->loop, on_hello_late, w);
    w->hosts = hosts_new(parts->loop, parts->store, parts->committer, &hosts_events, w);
    return w;
}

struct dispatch *workers_dispatch(struct workers *workers)
{
    return workers->dispatch;
}

struct hosts *workers_hosts(struct workers *workers)
{
    return workers->hosts;
}

struct signing *workers_signing(struct workers *workers)
{
    return workers->signing;
}

void workers_start(struct workers *workers)
{
    workers->started = true;
    loop_timer_start(workers->hello_timer, HELLO_WAIT_MS);
    open_when_all_reported(workers);
}

void workers_drain(struct workers *workers)
{
    workers->ending = true;
    dispatch_set(workers->dispatch, true, (struct hop_limits){ 0 });
}

void workers_set_probes(struct workers *workers, struct probes *probes)
{
    workers->probes = probes;
}

struct worker_slot *workers_send_probe(struct workers *workers, struct span hop,
                                       const Ipc__Job *job)
{
    struct worker_slot *slot = dispatch_choose(workers->dispatch, hop);

    if (!slot)
        return NULL;
    slot->jobs++;
    channel_send(((struct worker *)slot)->channel, FRAME_JOB, &job->base, nothing);
    return slot;
}

void workers_cancel(struct lease *lease)
{
    const struct worker *worker = lease->holder;
    Ipc__JobCancel cancel = IPC__JOB_CANCEL__INIT;

    if (!worker || lease->settling || workers_take_back_unsent(lease))
        return;
    cancel.lease = lease->number;
    channel_send(worker->channel, FRAME_JOB_CANCEL, &cancel.base, nothing);
}

void workers_set_notify(struct workers *workers, const struct notify_settings *notify)
{
    workers->parts.notify = notify;
}

void workers_flush(struct workers *workers, int64_t wait_ms)
{
    struct worker *worker;

    LIST_EACH(worker, &workers->all, struct worker, others)
    {
        channel_drain(worker->channel, wait_ms);
    }
}

void workers_free(struct workers **workers)
{
    struct workers *w = *workers;

    *workers = NULL;
    if (!w)
        return;
    signing_free(&w->signing);
    while (!list_empty(&w->all)) {
        struct worker *worker = LIST_FIRST(&w->all, struct worker, others);
        departure_let_go(&worker->leases);
        worker_free(worker);
    }
    content_reader_free(&w->reader);
    loop_timer_free(&w->hello_timer);
    hosts_free(&w->hosts);
    dispatch_free(&w->dispatch);
    free(w);
}
