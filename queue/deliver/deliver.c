#include "queue/deliver/deliver.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/io/resolver_proof.h"
#include "lib/ipc/channel.h"
#include "lib/ipc/role.h"
#include "lib/mail/credentials.h"
#include "queue/deliver/attempt.h"
#include "queue/deliver/explain.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LANES_SWEEP_MS = 10 * SECOND_MS, SWEPT_AT_ONCE = 64, LAST_WORDS_MS = SECOND_MS };

struct deliver {
    struct role *role;
    struct worker worker;
    struct channel *queue; /* NULL while the queue is away */
    struct content_source source;
    struct map *jobs; /* by lease, all that are held */
    struct list unacknowledged;
    struct tls_trust *trust;
    struct loop_timer *sweep;
    struct loop_timer *drain_end;
    struct explains *explains;
};

static const struct span no_body = { NULL, 0 };

/* --- what we say to the queue */

static void pull_content(void *ctx, uint64_t lease, uint32_t first_chunk, uint32_t count)
{
    struct deliver *self = ctx;
    Ipc__ContentPull pull = IPC__CONTENT_PULL__INIT;

    pull.lease = lease;
    pull.first_chunk = first_chunk;
    pull.count = count;
    if (self->queue)
        channel_send(self->queue, FRAME_CONTENT_PULL, &pull.base, no_body);
}

static void send_outcome(void *ctx, const Ipc__Outcome *outcome)
{
    struct deliver *self = ctx;

    channel_send(self->queue, FRAME_OUTCOME, &outcome->base, no_body);
}

static bool send_slots(void *ctx, const Ipc__SlotReport *report)
{
    struct deliver *self = ctx;

    if (self->queue)
        channel_send(self->queue, FRAME_SLOT_REPORT, &report->base, no_body);
    return self->queue != NULL;
}

static void say_hello(struct deliver *self)
{
    Ipc__WorkerHello hello = IPC__WORKER_HELLO__INIT;
    uint64_t *leases = memory_new_array(map_count(self->jobs) + 1, sizeof(*leases));
    const struct job *job;
    size_t cursor = 0;

    hello.instance = role_instance(self->role);
    hello.job_room = 2 * self->worker.settings->deliver_connections;
    hello.draining = self->worker.draining;
    hello.leases = leases;
    while ((job = map_next(self->jobs, &cursor, NULL)) != NULL)
        leases[hello.n_leases++] = job->lease;
    host_slots_hello(self->worker.slots, &hello);
    channel_send(self->queue, FRAME_WORKER_HELLO, &hello.base, no_body);
    host_slots_hello_clear(&hello);
    free(leases);
}

/* --- the end of jobs */

static void forget_job(struct deliver *self, struct job *job)
{
    map_remove_number(self->jobs, job->lease);
    job_free(&job);
}

static void end_if_drained(struct deliver *self)
{
    if (self->worker.draining && map_count(self->jobs) == 0)
        role_end(self->role, ROLE_EXIT_DONE);
}

static void on_job_over(void *ctx, struct job **job)
{
    struct deliver *self = ctx;

    (*job)->is_over = true;
    list_append(&self->unacknowledged, &(*job)->others);
    if (self->queue)
        job_outcome(*job, send_outcome, self);
    *job = NULL;
}

/* Not tried, or not to its end: back to the queue as it was.  A queue that died knows by itself. */
static void on_job_dropped(void *ctx, struct job **job)
{
    struct deliver *self = ctx;
    struct outcome o = { .kind = OUTCOME_RETURNED };

    if (!self->queue) {
        forget_job(self, *job);
        *job = NULL;
        return;
    }
    job_end(*job, &o, no_body, false);
    on_job_over(ctx, job);
}

/* --- what the queue says */

static bool take_job(struct deliver *self, const struct channel_frame *frame)
{
    Ipc__Job *message = channel_decode(frame, &ipc__job__descriptor);
    struct job *job = NULL;

    if (message && !map_get_number(self->jobs, message->lease))
        job = job_new(message, &self->source);
    if (job) {
        map_put_number(self->jobs, job->lease, job);
        if (self->worker.draining)
            on_job_dropped(self, &job);
        else
            lane_add(lane_of(&self->worker, span_of_bytes(message->next_hop), job_is_report(job)),
                     job);
    }
    bool is_fine = job || (message && self->worker.draining);
    if (message)
        ipc__job__free_unpacked(message, NULL);
    return is_fine;
}

static bool take_content(struct deliver *self, const struct channel_frame *frame)
{
    Ipc__JobContent *message = channel_decode(frame, &ipc__job_content__descriptor);
    struct job *job;
    bool is_fine = message != NULL;

    if (!message)
        return false;
    job = map_get_number(self->jobs, message->lease);
    if (job) /* else it is over, and its last chunks were still on their way */
        is_fine = content_arrived(&job->content, message->chunk, message->damaged, frame->body);
    ipc__job_content__free_unpacked(message, NULL);
    return is_fine;
}

static bool take_acknowledgement(struct deliver *self, const struct channel_frame *frame)
{
    Ipc__OutcomeAck *message = channel_decode(frame, &ipc__outcome_ack__descriptor);
    struct job *job = message ? map_get_number(self->jobs, message->lease) : NULL;
    bool is_fine = message && (!job || job->is_over);

    if (message)
        ipc__outcome_ack__free_unpacked(message, NULL);
    if (is_fine && job)
        forget_job(self, job);
    end_if_drained(self);
    return is_fine;
}

static bool take_cancel(struct deliver *self, const struct channel_frame *frame)
{
    Ipc__JobCancel *message = channel_decode(frame, &ipc__job_cancel__descriptor);
    struct job *job = message ? map_get_number(self->jobs, message->lease) : NULL;

    if (!message)
        return false;
    ipc__job_cancel__free_unpacked(message, NULL);
    if (job && !job->begun && !job->is_over) {
        list_remove(&job->others);
        on_job_dropped(self, &job);
    }
    return true;
}

static bool take_grants(struct deliver *self, const struct channel_frame *frame)
{
    Ipc__SlotGrants *message = channel_decode(frame, &ipc__slot_grants__descriptor);

    if (!message)
        return false;
    host_slots_take(self->worker.slots, message);
    ipc__slot_grants__free_unpacked(message, NULL);
    return true;
}

static void on_frame(void *ctx, struct channel_frame *frame)
{
    struct deliver *self = ctx;
    bool is_fine = false;

    if (frame->type == FRAME_JOB)
        is_fine = take_job(self, frame);
    else if (frame->type == FRAME_JOB_CONTENT)
        is_fine = take_content(self, frame);
    else if (frame->type == FRAME_OUTCOME_ACK)
        is_fine = take_acknowledgement(self, frame);
    else if (frame->type == FRAME_JOB_CANCEL)
        is_fine = take_cancel(self, frame);
    else if (frame->type == FRAME_SLOT_GRANTS)
        is_fine = take_grants(self, frame);
    if (!is_fine && self->queue)
        channel_refuse(self->queue, "the queue sent what makes no sense");
}

/* --- lanes as a whole */

static void lane_drop_waiting(struct lane *lane)
{
    struct worker *worker = lane->worker;

    while (!list_empty(&lane->waiting)) {
        struct job *job = LIST_FIRST(&lane->waiting, struct job, others);
        list_remove(&job->others);
        worker->job_dropped(worker->owner, &job);
    }
    lane_settle_slot(lane);
}

/* Lanes are only taken out by the sweep, so that the visit may work on them. */
static void drop_in_all_lanes(struct deliver *self, enum drop which)
{
    struct lane *lane;
    size_t cursor = 0;

    while ((lane = map_next(self->worker.lanes, &cursor, NULL)) != NULL) {
        lane_drop_waiting(lane);
        attempt_drop(lane, which);
    }
    cursor = 0;
    while ((lane = map_next(self->worker.lanes, &cursor, NULL)) != NULL)
        lane_drop_waiting(lane); /* what came back from an attempt */
}

static unsigned find_idle_lanes(struct deliver *self, struct lane *found[SWEPT_AT_ONCE])
{
    struct lane *lane;
    size_t cursor = 0;
    unsigned count = 0;

    while (count < SWEPT_AT_ONCE && (lane = map_next(self->worker.lanes, &cursor, NULL)) != NULL)
        if (lane_is_idle(lane))
            found[count++] = lane;
    return count;
}

static void on_sweep(void *ctx)
{
    struct deliver *self = ctx;
    struct lane *found[SWEPT_AT_ONCE];
    unsigned count;

    do {
        count = find_idle_lanes(self, found);
        for (unsigned i = 0; i < count; i++)
            lane_free(&found[i]);
    } while (count == SWEPT_AT_ONCE);
    loop_timer_start(self->sweep, LANES_SWEEP_MS);
}

static void on_silence(void *ctx)
{
    worker_end_silent(ctx);
}

static void on_turn(void *ctx)
{
    worker_serve_starving(ctx);
}

/* --- the queue comes and goes */

/* What has its final dot out is kept until the reply; all else the new queue leases again. */
static void queue_is_gone(struct deliver *self)
{
    channel_free(&self->queue);
    drop_in_all_lanes(self, DROP_UNSENT);
}

static void on_queue_closed(void *ctx, const struct error *err)
{
    (void)err;
    queue_is_gone(ctx);
}

static const struct channel_events queue_events = { on_frame, on_queue_closed };

static void attach_queue(struct deliver *self, int fd)
{
    struct job *job;

    if (self->queue)
        queue_is_gone(self);
    self->queue = channel_open(self->worker.loop, fd, &queue_events, self);
    say_hello(self);
    host_slots_ask_again(self->worker.slots);
    LIST_EACH(job, &self->unacknowledged, struct job, others)
    job_outcome(job, send_outcome, self);
}

static void on_peer(void *ctx, enum role_id peer, unsigned instance, int fd)
{
    struct deliver *self = ctx;

    (void)instance;
    if (peer == ROLE_QUEUE)
        attach_queue(self, fd);
    else if (peer == ROLE_POLICY)
        policy_client_attach(self->worker.policies, fd);
    else if (peer == ROLE_TLSRPT)
        tlsrpt_client_attach(self->worker.reports, fd);
    else
        close(fd);
}

/* --- the end */

static void on_drain_end(void *ctx)
{
    struct deliver *self = ctx;

    drop_in_all_lanes(self, DROP_ALL);
    if (self->queue)
        channel_drain(self->queue, LAST_WORDS_MS);
    role_end(self->role, ROLE_EXIT_DONE);
}

static void on_drain(void *ctx, int64_t wait_ms)
{
    struct deliver *self = ctx;

    self->worker.draining = true;
    if (self->queue)
        say_hello(self);
    drop_in_all_lanes(self, DROP_CONNECTING);
    while (pool_end_oldest(self->worker.pool))
        ;
    loop_timer_start(self->drain_end, wait_ms);
    end_if_drained(self);
}

/* --- files handed over */

static void free_contexts(struct tls_context *contexts[TLS_FLOORS][TLS_HELLOS])
{
    for (int floor = 0; floor < TLS_FLOORS; floor++)
        for (int hello = 0; hello < TLS_HELLOS; hello++)
            tls_context_free(&contexts[floor][hello]);
}

static struct error *make_contexts(struct tls_trust *trust,
                                   struct tls_context *out[TLS_FLOORS][TLS_HELLOS])
{
    struct error *err = NULL;

    for (int floor = 0; floor < TLS_FLOORS && !err; floor++) {
        err = tls_client_context_new(trust, (enum tls_floor)floor, &out[floor][TLS_HELLO_FULL]);
        if (!err)
            err = tls_classic_context_new(trust, (enum tls_floor)floor,
                                          &out[floor][TLS_HELLO_CLASSIC]);
    }
    return err;
}

static struct error *load_trust(struct deliver *self)
{
    struct tls_context *fresh[TLS_FLOORS][TLS_HELLOS] = { { NULL } };
    struct tls_trust *trust = NULL;
    struct error *err = tls_trust_new(role_content(self->role, CONTENT_CA_BUNDLE, 0), &trust);

    if (!err)
        err = make_contexts(trust, fresh);
    if (err) {
        free_contexts(fresh);
        tls_trust_free(&trust);
        return error_wrap(err, "trusted certificates");
    }
    free_contexts(self->worker.contexts);
    memcpy(self->worker.contexts, fresh, sizeof(fresh));
    self->worker.hellos_differ = tls_hellos_differ();
    tls_trust_free(&self->trust);
    self->trust = trust;
    resumption_clear(self->worker.past);
    self->worker.trust_generation++; /* sessions judged with the old ones are not used again */
    return NULL;
}

static struct error *load_resolver(struct deliver *self)
{
    struct worker *worker = &self->worker;
    struct endpoint servers[SETTINGS_RESOLVERS_MAX];
    struct error *err;
    bool trusted;
    unsigned count = resolver_servers_for(
        worker->settings, role_content(self->role, CONTENT_RESOLV_CONF, 0), servers, &trusted);

    if (worker->resolver)
        err = resolver_servers(worker->resolver, servers, count, trusted);
    else
        err = resolver_new(worker->loop, servers, count, trusted, &worker->resolver);
    if (err)
        return err;
    if (!worker->proof)
        worker->proof = resolver_proof_new(worker->loop, worker->resolver);
    resolver_proof_start(worker->proof, worker->settings->dnssec_bogus_name);
    return NULL;
}

/* Those of all routes; what cannot be used was refused or complained of by the supervisor. */
static void load_credentials(struct deliver *self)
{
    const struct settings *settings = self->worker.settings;

    for (unsigned i = 0; i < settings->route_count; i++) {
        struct span text = role_content(self->role, CONTENT_ROUTE_CREDENTIALS, i);
        struct credentials credentials = { .user = no_body };
        struct error *err = text.data ? credentials_parse(text, &credentials) : NULL;

        error_free(&err);
        self->worker.identities[i] =
            (struct login_identity){ credentials.user, credentials.password };
    }
}

static void on_content(void *ctx, enum role_content kind, unsigned index)
{
    struct deliver *self = ctx;
    struct error *err = NULL;

    (void)index;
    if (kind == CONTENT_CA_BUNDLE)
        err = load_trust(self);
    else if (kind == CONTENT_RESOLV_CONF)
        err = load_resolver(self);
    else if (kind == CONTENT_ROUTE_CREDENTIALS)
        load_credentials(self);
    if (err)
        log_failure(LOG_ERROR, "reload-failed", err); /* the old ones stay in force */
    error_free(&err);
}

/* --- what an operator asks */

static void reply_dnssec(const struct deliver *self, struct role_request **request)
{
    struct json *answer = resolver_proof_json(self->worker.proof);

    role_reply_json(request, &answer);
}

static void on_control(void *ctx, struct role_request *request)
{
    struct deliver *self = ctx;

    if (span_equal(role_request_verb(request), SPAN("deliver dnssec")))
        reply_dnssec(self, &request);
    else if (span_equal(role_request_verb(request), SPAN("deliver explain")))
        explain_control(self->explains, &request);
    else
        role_reply_failed(&request, "a delivery worker knows no such request");
}

/* --- the beginning */

static void open_worker(struct deliver *self)
{
    struct worker *worker = &self->worker;

    worker->loop = role_loop(self->role);
    worker->settings = role_settings(self->role);
    worker->waits = dialogue_waits(worker->settings);
    worker->lanes = map_new();
    worker->slots = host_slots_new(worker->loop, send_slots, self);
    worker->pool = pool_new(worker->loop, worker->settings->connection_idle_s * SECOND_MS);
    worker->past = resumption_new();
    worker->unreachable = unreachable_new();
    worker->policies = policy_client_new(worker->loop);
    worker->reports = tlsrpt_client_new(worker->loop);
    worker->job_over = on_job_over;
    worker->job_dropped = on_job_dropped;
    worker->owner = self;
    list_init(&worker->starving);
    list_init(&worker->waiting);
    list_init(&worker->parked);
    worker_size_parking(worker);
    worker->silence = loop_timer_new(worker->loop, on_silence, worker);
    loop_task_init(&worker->turn, on_turn, worker);
}

static const struct role_events role_events = {
    .peer = on_peer,
    .content = on_content,
    .drain = on_drain,
    .control = on_control,
};

int deliver_main(struct role *role)
{
    struct deliver *self = memory_new(sizeof(*self));
    struct error *err;

    self->role = role;
    self->source = (struct content_source){ pull_content, self };
    self->jobs = map_new();
    list_init(&self->unacknowledged);
    open_worker(self);
    err = load_trust(self);
    if (!err)
        err = load_resolver(self);
    if (err)
        role_die(ROLE_EXIT_REFUSED, err);
    load_credentials(self);
    self->explains = explains_new(&self->worker);
    self->sweep = loop_timer_new(self->worker.loop, on_sweep, self);
    self->drain_end = loop_timer_new(self->worker.loop, on_drain_end, self);
    loop_timer_start(self->sweep, LANES_SWEEP_MS);
    return role_serve(role, &role_events, self);
}
