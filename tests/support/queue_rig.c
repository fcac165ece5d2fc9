#include "tests/support/queue_rig.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/memory.h"
#include "lib/ipc/role.h"
#include "lib/ipc/supervisor.pb-c.h"
#include "queue/queue.h"

enum { PATIENCE_MS = 20 * SECOND_MS, ANSWER_MAX = 64 * 1024 * 1024 };

static const struct span nothing = { NULL, 0 };

/* ---- waiting -------------------------------------------------------------------------------- */

static void on_patience(void *ctx)
{
    struct queue_rig *rig = ctx;

    rig->impatient = true;
    loop_stop(rig->loop);
}

bool rig_wait(struct queue_rig *rig, const unsigned *counter, unsigned count)
{
    rig->impatient = false;
    loop_timer_start(rig->patience, PATIENCE_MS);
    while (*counter < count && !rig->impatient)
        loop_run(rig->loop); /* each event that counts stops it */
    loop_timer_cancel(rig->patience);
    return *counter >= count;
}

void rig_idle(struct queue_rig *rig, int64_t ms)
{
    rig->impatient = false;
    loop_timer_start(rig->patience, ms);
    while (!rig->impatient)
        loop_run(rig->loop);
}

static bool wait_flag(struct queue_rig *rig, const bool *flag)
{
    rig->impatient = false;
    loop_timer_start(rig->patience, PATIENCE_MS);
    while (!*flag && !rig->impatient)
        loop_run(rig->loop);
    loop_timer_cancel(rig->patience);
    return *flag;
}

/* ---- in place of the supervisor -------------------------------------------------------------- */

static void on_supervisor_frame(void *ctx, struct channel_frame *frame)
{
    struct queue_rig *rig = ctx;

    if (frame->type == FRAME_READY)
        rig->ready = true;
    if (frame->type == FRAME_CONTROL_REPLY) {
        Ipc__ControlReply *reply = channel_decode(frame, &ipc__control_reply__descriptor);
        ensure(reply && buf_append(&rig->answer, frame->body));
        rig->answered = reply->last;
        rig->answer_failed = reply->failed;
        ipc__control_reply__free_unpacked(reply, NULL);
    }
    loop_stop(rig->loop);
}

static void on_supervisor_closed(void *ctx, const struct error *err)
{
    struct queue_rig *rig = ctx;

    (void)err;
    channel_free(&rig->supervisor);
    loop_stop(rig->loop);
}

static const struct channel_events supervisor_events = { on_supervisor_frame,
                                                         on_supervisor_closed };

static void make_pair(int pair[2])
{
    ensure(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
}

/* Gives the queue one end of a new channel; gives the other. */
int rig_peer(struct queue_rig *rig, enum role_id role)
{
    Ipc__Peer peer = IPC__PEER__INIT;
    int pair[2];

    make_pair(pair);
    peer.role = role;
    peer.generation = 1;
    channel_send_fd(rig->supervisor, FRAME_PEER, &peer.base, pair[1]);
    return pair[0];
}

static void be_the_queue(struct queue_rig *rig, int fd)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "queue-role");
    ensure(chdir(rig->folder) == 0);
    struct role *role = role_open(fd);
    int exit_status = queue_main(role);
    log_flush();
    _exit(exit_status);
}

static void say_hello(struct queue_rig *rig, const char *settings)
{
    Ipc__Hello hello = IPC__HELLO__INIT;
    Ipc__Start start = IPC__START__INIT;

    hello.build_id = bytes_of_span(SPAN(WAXSEAL_VERSION));
    hello.generation = 1;
    hello.role = ROLE_QUEUE;
    hello.settings = bytes_of_span(span_of(settings));
    channel_send(rig->supervisor, FRAME_HELLO, &hello.base, nothing);
    queue_client_attach(rig->smtpd, rig_peer(rig, ROLE_SMTPD));
    channel_send(rig->supervisor, FRAME_START, &start.base, nothing);
}

void rig_start(struct queue_rig *rig, const char *settings)
{
    int pair[2];

    make_pair(pair);
    rig->ready = false;
    rig->job_count = 0;
    rig->jobs_taken = 0;
    rig->ack_count = 0;
    rig->pid = fork();
    ensure(rig->pid >= 0);
    if (rig->pid == 0) {
        close(pair[0]);
        be_the_queue(rig, pair[1]);
    }
    close(pair[1]);
    rig->supervisor = channel_open(rig->loop, pair[0], &supervisor_events, rig);
    say_hello(rig, settings);
    wait_flag(rig, &rig->ready);
}

int rig_wait_end(struct queue_rig *rig)
{
    int status = 0;

    if (rig->pid > 0)
        waitpid(rig->pid, &status, 0);
    rig->pid = 0;
    channel_free(&rig->supervisor);
    rig->exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return rig->exit_status;
}

void rig_kill(struct queue_rig *rig)
{
    if (rig->pid > 0)
        kill(rig->pid, SIGKILL);
    rig_wait_end(rig);
    channel_free(&rig->worker);
    channel_free(&rig->signer);
}

struct span rig_ask(struct queue_rig *rig, const char *verb, const char *name, const char *value)
{
    Ipc__ControlRequest request = IPC__CONTROL_REQUEST__INIT;
    Ipc__Argument argument = IPC__ARGUMENT__INIT;
    Ipc__Argument *arguments[] = { &argument };

    argument.name = bytes_of_span(span_of(name));
    argument.value = bytes_of_span(span_of(value));
    request.id = 1;
    request.verb = bytes_of_span(span_of(verb));
    request.arguments = arguments;
    request.n_arguments = name ? 1 : 0;
    buf_reset(&rig->answer);
    rig->answered = false;
    channel_send(rig->supervisor, FRAME_CONTROL_REQUEST, &request.base, nothing);
    ensure(wait_flag(rig, &rig->answered));
    return buf_span(&rig->answer);
}

/* ---- in place of a delivery worker ----------------------------------------------------------- */

static void answer_job(struct queue_rig *rig, const struct rig_job *job)
{
    if (!rig->answers_itself)
        return;
    rig_pull(rig, job);
    rig_outcome(rig, job, rig->kind, "2.0.0", "250 2.0.0 taken", false);
}

static void on_job(struct queue_rig *rig, struct channel_frame *frame)
{
    struct rig_job *kept = &rig->jobs[rig->job_count % RIG_JOBS_MAX];
    Ipc__Job *job = channel_decode(frame, &ipc__job__descriptor);

    ensure(job != NULL);
    if (kept->job)
        ipc__job__free_unpacked(kept->job, NULL);
    *kept = (struct rig_job){ .lease = job->lease, .id = job->id, .job = job };
    rig->job_count++;
    answer_job(rig, kept);
}

static void on_chunk(struct queue_rig *rig, struct channel_frame *frame)
{
    Ipc__JobContent *content = channel_decode(frame, &ipc__job_content__descriptor);

    ensure(content != NULL);
    rig->chunk_count++;
    if (content->damaged)
        rig->chunk_damaged = true;
    if (!rig->answers_itself)
        ensure(buf_append(&rig->content, frame->body));
    ipc__job_content__free_unpacked(content, NULL);
}

static void on_worker_frame(void *ctx, struct channel_frame *frame)
{
    struct queue_rig *rig = ctx;

    if (frame->type == FRAME_JOB)
        on_job(rig, frame);
    else if (frame->type == FRAME_JOB_CONTENT)
        on_chunk(rig, frame);
    else if (frame->type == FRAME_OUTCOME_ACK)
        rig->ack_count++;
    if (!rig->answers_itself || rig->ack_count % 64 == 0)
        loop_stop(rig->loop);
}

static void on_worker_closed(void *ctx, const struct error *err)
{
    struct queue_rig *rig = ctx;

    (void)err;
    rig->worker_closed = true;
    channel_free(&rig->worker);
    loop_stop(rig->loop);
}

static const struct channel_events worker_events = { on_worker_frame, on_worker_closed };

void rig_worker_hello(struct queue_rig *rig, unsigned job_room, const uint64_t *leases,
                      size_t lease_count)
{
    Ipc__WorkerHello hello = IPC__WORKER_HELLO__INIT;
    uint64_t *copy = memory_new_array(lease_count + 1, sizeof(*copy));

    if (lease_count > 0)
        memcpy(copy, leases, lease_count * sizeof(*copy));
    hello.job_room = job_room;
    hello.leases = copy;
    hello.n_leases = lease_count;
    channel_send(rig->worker, FRAME_WORKER_HELLO, &hello.base, nothing);
    free(copy);
}

void rig_attach_silent_worker(struct queue_rig *rig)
{
    channel_free(&rig->worker);
    rig->worker_closed = false;
    rig->worker = channel_open(rig->loop, rig_peer(rig, ROLE_DELIVER), &worker_events, rig);
}

void rig_attach_worker(struct queue_rig *rig, unsigned job_room, const uint64_t *leases,
                       size_t lease_count)
{
    rig_attach_silent_worker(rig);
    rig_worker_hello(rig, job_room, leases, lease_count);
}

void rig_detach_worker(struct queue_rig *rig)
{
    channel_free(&rig->worker);
}

void rig_outcome(struct queue_rig *rig, const struct rig_job *job, Ipc__ResultKind kind,
                 const char *status, const char *reply, bool hop_failed)
{
    Ipc__Outcome outcome = IPC__OUTCOME__INIT;
    Ipc__Decision decision = IPC__DECISION__INIT;
    size_t count = job->job->envelope->n_recipients;
    Ipc__Result *results = memory_new_array(count, sizeof(*results));
    Ipc__Result **pointers = memory_new_array(count, sizeof(Ipc__Result *));

    for (size_t i = 0; i < count; i++) {
        ipc__result__init(&results[i]);
        results[i].number = job->job->envelope->recipients[i]->number;
        results[i].kind = kind;
        results[i].status = bytes_of_span(span_of(status));
        results[i].reply = bytes_of_span(span_of(reply));
        results[i].remote = true;
        pointers[i] = &results[i];
    }
    decision.at_utc_ms = clock_utc_ms() + rig->tried_ahead_ms;
    decision.policy = bytes_of_span(SPAN("none"));
    outcome.lease = job->lease;
    outcome.id = job->id;
    outcome.results = pointers;
    outcome.n_results = count;
    outcome.decision = &decision;
    outcome.hop_failed = hop_failed;
    channel_send(rig->worker, FRAME_OUTCOME, &outcome.base, nothing);
    free(results);
    free(pointers);
}

void rig_pull(struct queue_rig *rig, const struct rig_job *job)
{
    Ipc__ContentPull pull = IPC__CONTENT_PULL__INIT;
    uint32_t window = STREAM_WINDOW / CONTENT_CHUNK_SIZE;
    unsigned before = rig->chunk_count;

    pull.lease = job->lease;
    for (pull.first_chunk = 0; pull.first_chunk < job->job->chunks; pull.first_chunk += window) {
        uint32_t rest = job->job->chunks - pull.first_chunk;
        pull.count = rest < window ? rest : window;
        channel_send(rig->worker, FRAME_CONTENT_PULL, &pull.base, nothing);
        /* a worker that answers by itself does so within the loop, and has small messages */
        if (!rig->answers_itself &&
            !rig_wait(rig, &rig->chunk_count, before + pull.first_chunk + pull.count))
            return;
    }
}

/* ---- in place of the role that signs --------------------------------------------------------- */

void rig_answer_ask(struct queue_rig *rig)
{
    Ipc__SignAnswer answer = IPC__SIGN_ANSWER__INIT;
    const char *fields = rig->fields ? rig->fields : RIG_SIGNATURE;

    answer.id = rig->ask->id;
    answer.verdict = rig->verdict;
    if (rig->verdict == IPC__SIGN_VERDICT__SIGNED)
        answer.fields = bytes_of_span(span_of(fields));
    answer.reason = bytes_of_span(span_of(rig->reason ? rig->reason : ""));
    channel_send(rig->signer, FRAME_SIGN_ANSWER, &answer.base, nothing);
}

static void on_signer_frame(void *ctx, struct channel_frame *frame)
{
    struct queue_rig *rig = ctx;

    ensure(frame->type == FRAME_SIGN_ASK);
    if (rig->ask)
        ipc__sign_ask__free_unpacked(rig->ask, NULL);
    rig->ask = channel_decode(frame, &ipc__sign_ask__descriptor);
    ensure(rig->ask != NULL);
    buf_reset(&rig->header);
    ensure(buf_append(&rig->header, frame->body) &&
           buf_append(&rig->header, span_of_bytes(rig->ask->header)));
    rig->ask_count++;
    if (!rig->signer_is_silent)
        rig_answer_ask(rig);
    loop_stop(rig->loop);
}

static void on_signer_closed(void *ctx, const struct error *err)
{
    struct queue_rig *rig = ctx;

    (void)err;
    rig->signer_closed = true;
    channel_free(&rig->signer);
    loop_stop(rig->loop);
}

void rig_attach_signer(struct queue_rig *rig)
{
    static const struct channel_events events = { on_signer_frame, on_signer_closed };

    channel_free(&rig->signer);
    rig->signer_closed = false;
    rig->signer = channel_open(rig->loop, rig_peer(rig, ROLE_SIGN), &events, rig);
}

void rig_detach_signer(struct queue_rig *rig)
{
    channel_free(&rig->signer);
}

/* ---- in place of an smtpd instance ------------------------------------------------------------
 */

struct sending {
    struct queue_rig *rig;
    struct queue_accept *accept;
    size_t left;
    struct span begins; /* what goes in front of that */
};

static void send_more(void *ctx)
{
    static const char line[] =
        "This line is what the rig's messages are made of, again and again\r\n";
    struct sending *s = ctx;
    static char block[sizeof(line) * 64];

    if (!block[0])
        for (size_t i = 0; i < sizeof(block); i++)
            block[i] = line[i % (sizeof(line) - 1)];
    while (s->begins.len > 0 && queue_accept_room(s->accept) > 0) {
        struct span piece = span_first(s->begins, queue_accept_room(s->accept));
        queue_accept_content(s->accept, piece);
        s->begins = span_from(s->begins, piece.len);
    }
    while (s->left > 0 && queue_accept_room(s->accept) > 0) {
        size_t len = s->left < sizeof(block) ? s->left : sizeof(block);
        if (len > queue_accept_room(s->accept))
            len = queue_accept_room(s->accept);
        queue_accept_content(s->accept, (struct span){ block, len });
        s->left -= len;
    }
    if (s->left + s->begins.len > 0)
        return;
    struct queue_content content = { .tls_required_no = s->rig->tls_required_no };
    content.body.has_relaxed = s->rig->hashed;
    memset(content.body.relaxed, 'h', DKIM_SHA256_SIZE);
    queue_accept_end(s->accept, content);
}

static void on_room(void *ctx)
{
    send_more(ctx);
}

static void on_done(void *ctx, enum accept_outcome outcome, uint64_t id)
{
    struct sending *s = ctx;
    struct queue_rig *rig = s->rig;

    rig->outcomes[rig->done_count % RIG_ACCEPTS_MAX] = outcome;
    rig->ids[rig->done_count % RIG_ACCEPTS_MAX] = id;
    rig->done_count++;
    free(s);
    loop_stop(rig->loop);
}

void rig_send(struct queue_rig *rig, const char *sender, const char *const *recipients,
              size_t recipient_count, size_t size)
{
    static const struct queue_accept_events events = { on_room, on_done };
    struct sending *s = memory_new(sizeof(*s));
    struct envelope envelope;
    struct address address;

    envelope_init(&envelope);
    ensure(address_parse_reverse(span_of(sender), &envelope.reverse_path) == ADDRESS_FINE);
    for (size_t i = 0; i < recipient_count; i++) {
        ensure(address_parse(span_of(recipients[i]), &address) == ADDRESS_FINE);
        envelope_add(&envelope, &address);
    }
    s->rig = rig;
    s->left = size;
    s->begins = span_of(rig->content_begins ? rig->content_begins : "");
    envelope.tls_report = rig->tls_report;
    envelope.from_stranger = rig->from_stranger;
    s->accept = queue_accept_begin_once(rig->tls_report ? rig->tlsrpt : rig->smtpd, &envelope,
                                        span_of(rig->once ? rig->once : ""),
                                        SPAN("Received: from rig id "), SPAN(";\r\n"), &events, s);
    envelope_clear(&envelope);
    send_more(s);
}

void rig_send_one(struct queue_rig *rig, const char *sender, const char *recipient, size_t size)
{
    rig_send(rig, sender, &recipient, 1, size);
}

/* ---- from start to end ------------------------------------------------------------------------
 */

void rig_open(struct queue_rig *rig)
{
    memset(rig, 0, sizeof(*rig));
    strcpy(rig->folder, "/tmp/waxseal-rig.XXXXXX");
    ensure(mkdtemp(rig->folder) != NULL);
    rig->loop = loop_new();
    rig->patience = loop_timer_new(rig->loop, on_patience, rig);
    rig->smtpd = queue_client_new(rig->loop, NULL, NULL);
    rig->tlsrpt = queue_client_new(rig->loop, NULL, NULL);
    buf_init(&rig->answer, ANSWER_MAX);
    buf_init(&rig->content, ANSWER_MAX);
    buf_init(&rig->header, ANSWER_MAX);
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

void rig_close(struct queue_rig *rig)
{
    rig_kill(rig);
    for (size_t i = 0; i < RIG_JOBS_MAX; i++)
        if (rig->jobs[i].job)
            ipc__job__free_unpacked(rig->jobs[i].job, NULL);
    queue_client_free(&rig->smtpd);
    queue_client_free(&rig->tlsrpt);
    buf_clear(&rig->answer);
    buf_clear(&rig->content);
    buf_clear(&rig->header);
    if (rig->ask)
        ipc__sign_ask__free_unpacked(rig->ask, NULL);
    loop_timer_free(&rig->patience);
    loop_free(&rig->loop);
    nftw(rig->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}
