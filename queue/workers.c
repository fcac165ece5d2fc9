#include "queue/workers.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/ipc/channel.h"
#include "lib/ipc/queue.pb-c.h"
#include "queue/content_reader.h"
#include "queue/delivery_log.h"
#include "queue/departures.h"
#include "queue/hop_release.h"
#include "queue/grants.h"
#include "queue/probes.h"
#include "queue/store_damage.h"
#include "queue/store_settle.h"

enum {
    JOB_ROOM_MAX = 4096,         /* of a worker */
    HELD_LEASES_MAX = 16 * 1024, /* that a worker reports */
    SLOTS_MAX = 20000,           /* twice the most that deliver-connections may be */
    PULL_MAX = STREAM_WINDOW / CONTENT_CHUNK_SIZE,
    PULLED_MAX = 16 * PULL_MAX,     /* a window for each transaction that was begun anew */
    DECISION_BYTES_MAX = 16 * 1024, /* a larger one is not kept */
    HELLO_WAIT_MS = MINUTE_MS,      /* a worker that says nothing is stuck */
    SETTLE_AGAIN_MS = SECOND_MS,    /* after the disk was full even for settlements */
};

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

/* ---- jobs ----------------------------------------------------------------------------------- */

static void send_job(const struct worker *worker, const struct lease *lease,
                     const struct job_facts *facts)
{
    Ipc__Job job = IPC__JOB__INIT;
    Ipc__Envelope envelope = *facts->message->envelope;

    envelope.recipients = facts->recipients;
    envelope.n_recipients = facts->count;
    job.lease = lease->number;
    job.id = lease->id;
    job.next_hop = bytes_of_span(facts->hop);
    job.envelope = &envelope;
    job.size = facts->message->size;
    job.chunks = facts->message->chunks;
    job.eight_bit = facts->message->eight_bit;
    job.skip_policy = facts->skip_policy;
    job.last_attempt = facts->last_attempt;
    job.attempts = facts->attempts;
    channel_send(worker->channel, FRAME_JOB, &job.base, nothing);
}

static void lease_to(struct worker *worker, struct lease *lease)
{
    lease->holder = worker;
    list_append(&worker->leases, &lease->of_worker);
    worker->leases_count++;
}

static void on_give(void *ctx, struct worker_slot *slot, struct lease *lease,
                    const struct job_facts *facts)
{
    struct worker *worker = (struct worker *)slot;

    (void)ctx;
    lease_to(worker, lease);
    send_job(worker, lease, facts);
}

/* ---- outcomes ------------------------------------------------------------------------------- */

struct settling {
    struct settle settle;
    struct workers *workers;
    struct lease *lease;
    struct loop_timer *again;
};

static void acknowledge(struct worker *worker, uint64_t lease)
{
    Ipc__OutcomeAck ack = IPC__OUTCOME_ACK__INIT;

    ack.lease = lease;
    channel_send(worker->channel, FRAME_OUTCOME_ACK, &ack.base, nothing);
}

/* Are some of its rows due as before: returned, or not in the outcome? */
static bool leaves_rows(const struct lease *lease, const struct settle *settle)
{
    return lease->covers_all || settle->count < lease->count;
}

static void acknowledge_lease(const struct lease *lease)
{
    struct worker *worker = lease->holder;

    if (!worker)
        return;
    worker->leases_count--;
    acknowledge(worker, lease->number);
}

static void end_lease(struct workers *w, struct lease *lease, const struct settle *settle)
{
    acknowledge_lease(lease);
    if (leaves_rows(lease, settle))
        dispatch_return(w->dispatch, &lease, settle->outcome->hop_failed);
    else
        dispatch_end(w->dispatch, &lease, settle->outcome->hop_failed);
}

static void on_settle_again(void *ctx)
{
    struct settling *settling = ctx;

    loop_timer_free(&settling->again);
    committer_add(settling->workers->parts.committer, &settling->settle.operation);
}

/* The outcome is not lost: the worker keeps its lease until it is on disk. */
static void settle_later(struct settling *settling)
{
    log_event(LOG_ERROR, "queue-no-room-to-settle");
    settling->again = loop_timer_new(settling->workers->parts.loop, on_settle_again, settling);
    loop_timer_start(settling->again, SETTLE_AGAIN_MS);
}

static void on_set_aside(struct operation *operation, enum operation_outcome outcome)
{
    struct damage *damage = (struct damage *)operation;
    struct workers *w = damage->ctx;

    if (outcome == OPERATION_COMMITTED) {
        damage_log(damage);
        acknowledge_lease(damage->lease);
        dispatch_end(w->dispatch, &damage->lease, damage->hop_failed);
    } else { /* the role ends, or there is no room: the worker keeps the outcome */
        dispatch_set_aside(w->dispatch, damage->lease, damage->hop_failed);
    }
    free(damage);
}

/* The message cannot be read whole: nobody tries it again, and what was delivered is not forgotten.
 */
static void set_aside(struct workers *w, struct lease *lease, const Ipc__Outcome *outcome,
                      const char *why)
{
    struct damage *damage = damage_new(lease->id, dispatch_hop_of(lease), why, outcome->n_results);

    for (size_t i = 0; i < outcome->n_results; i++) {
        damage->places[i].number = outcome->results[i]->number;
        damage->places[i].is_delivered = outcome->results[i]->kind == IPC__RESULT_KIND__DELIVERED;
    }
    lease->settling = true;
    damage->ctx = w;
    damage->lease = lease;
    damage->hop_failed = outcome->hop_failed;
    damage->operation.done = on_set_aside;
    committer_add(w->parts.committer, &damage->operation);
}

static bool changes_times(const struct settle *settle)
{
    for (size_t i = 0; i < settle->count; i++)
        if (settle->settled[i].as == SETTLED_DEFERRED ||
            settle->settled[i].as == SETTLED_WAITS_FOR_POLICY)
            return true;
    return settle->notices.notification != 0 || settle->notices.postmaster_copy != 0 ||
           settle->outcome->hop_failed;
}

static void on_settled(struct operation *operation, enum operation_outcome outcome)
{
    struct settling *settling = (struct settling *)operation;
    struct workers *w = settling->workers;

    if (outcome == OPERATION_FULL) {
        settle_later(settling);
        return;
    }
    if (outcome == OPERATION_COMMITTED) {
        delivery_log(&settling->settle);
        if (changes_times(&settling->settle))
            dispatch_look(w->dispatch);
        if (settling->settle.outcome->hop_failed)
            dispatch_hop_failed(settling->lease, settling->settle.outcome);
        if (settling->settle.hop_revived)
            hop_release(w->dispatch, w->parts.committer, dispatch_hop_of(settling->lease));
        end_lease(w, settling->lease, &settling->settle);
    } else { /* the role ends, or a record is damaged and the log says so */
        set_aside(w, settling->lease, settling->settle.outcome, "a record is damaged");
    }
    settle_clear(&settling->settle);
    free(settling);
}

/* Keeps the results that are the lease's, each recipient once. */
static void keep_own_results(const struct lease *lease, Ipc__Outcome *outcome)
{
    size_t kept = 0;

    for (size_t i = 0; i < outcome->n_results; i++) {
        bool is_new = true;
        for (size_t j = 0; j < kept && is_new; j++)
            is_new = outcome->results[j]->number != outcome->results[i]->number;
        if (is_new && lease_has(lease, outcome->results[i]->number) &&
            kept < RECIPIENTS_PER_JOB_MAX) {
            Ipc__Result *result = outcome->results[kept];
            outcome->results[kept++] = outcome->results[i];
            outcome->results[i] = result;
        }
    }
    while (outcome->n_results > kept)
        ipc__result__free_unpacked(outcome->results[--outcome->n_results], NULL);
}

static void bound_decision(Ipc__Outcome *outcome)
{
    if (!outcome->decision ||
        ipc__decision__get_packed_size(outcome->decision) <= DECISION_BYTES_MAX)
        return;
    ipc__decision__free_unpacked(outcome->decision, NULL);
    outcome->decision = NULL;
}

static enum hop_word word_of(const Ipc__Outcome *outcome)
{
    if (outcome->hop_failed)
        return HOP_FAILED;
    for (size_t i = 0; i < outcome->n_results; i++)
        if (outcome->results[i]->remote || outcome->results[i]->kind == IPC__RESULT_KIND__DELIVERED)
            return HOP_REACHED;
    return HOP_SAID_NOTHING;
}

/* Takes the outcome, a worker's or, of mail that its route ends, dispatch's. */
static void on_settle(void *ctx, struct lease *lease, Ipc__Outcome *outcome)
{
    struct workers *w = ctx;
    struct settling *settling = memory_new(sizeof(*settling));

    lease->settling = true;
    settling->workers = w;
    settling->lease = lease;
    settling->settle.outcome = outcome;
    settling->settle.last_attempt = lease->last_attempt;
    settling->settle.notices.settings = w->parts.notify;
    settling->settle.operation.done = on_settled;
    settle_prepare(&settling->settle);
    committer_add(w->parts.committer, &settling->settle.operation);
}

static void settle_outcome(struct worker *worker, struct lease *lease, Ipc__Outcome *outcome)
{
    struct workers *w = worker->workers;

    keep_own_results(lease, outcome);
    bound_decision(outcome);
    dispatch_leave(w->dispatch, lease, &worker->slot, word_of(outcome));
    if (!lease->is_damaged) {
        on_settle(w, lease, outcome);
        return;
    }
    set_aside(w, lease, outcome, "its content is damaged");
    ipc__outcome__free_unpacked(outcome, NULL);
}

static bool is_of_probe(struct worker *worker, const Ipc__Outcome *outcome)
{
    struct workers *w = worker->workers;

    if (!probes_take_outcome(w->probes, &worker->slot, outcome))
        return false;
    worker->slot.jobs -= worker->slot.jobs > 0;
    acknowledge(worker, outcome->lease);
    dispatch_look(w->dispatch);
    return true;
}

static const char *on_outcome(struct worker *worker, const struct channel_frame *frame)
{
    Ipc__Outcome *outcome = channel_decode(frame, &ipc__outcome__descriptor);

    if (!outcome)
        return "an outcome does not decode";
    if (is_of_probe(worker, outcome)) {
        ipc__outcome__free_unpacked(outcome, NULL);
        return NULL;
    }
    struct lease *lease = lease_find(worker->workers->parts.leases, outcome->lease);
    bool is_known = lease && lease->holder == worker;
    if (is_known && !lease->settling && lease->id == outcome->id) {
        settle_outcome(worker, lease, outcome);
        return NULL;
    }
    if (!is_known)
        acknowledge(worker, outcome->lease); /* settled long ago; if not, the rows are due anyway */
    ipc__outcome__free_unpacked(outcome, NULL);
    return NULL;
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
            content_reader_pull(w->reader, pull->lease, lease->id, pull->first_chunk, pull->count);
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
        lease_to(worker, lease);
        worker->slot.jobs++;
    }
}

/* Jobs are twice its connections: one ask for each job at most, and a slot for each connection. */
static unsigned slots_max(const Ipc__WorkerHello *hello)
{
    unsigned room = hello->job_room < SLOTS_MAX ? hello->job_room : SLOTS_MAX;

    return room + room / 2;
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
        wrong = on_outcome(worker, frame);
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
    w->dispatch = dispatch_new(&dispatch_parts, on_give, on_settle, w);
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

void workers_cancel(const struct lease *lease)
{
    const struct worker *worker = lease->holder;
    Ipc__JobCancel cancel = IPC__JOB_CANCEL__INIT;

    if (!worker || lease->settling)
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
