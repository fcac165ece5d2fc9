#include "queue/workers_private.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "queue/signing.h"

/* ---- a job as its worker gets it ------------------------------------------------------------ */

/* Lent from the lease and the facts, and from `envelope`. */
static void fill_job(const struct lease *lease, const struct job_facts *facts,
                     Ipc__Envelope *envelope, Ipc__Job *job)
{
    *envelope = *facts->message->envelope;
    envelope->recipients = facts->recipients;
    envelope->n_recipients = facts->count;
    ipc__job__init(job);
    job->lease = lease->number;
    job->id = lease->id;
    job->next_hop = bytes_of_span(facts->hop);
    job->envelope = envelope;
    job->size = facts->message->size;
    job->chunks = facts->message->chunks;
    job->eight_bit = facts->message->eight_bit;
    job->skip_policy = facts->skip_policy;
    job->last_attempt = facts->last_attempt;
    job->attempts = facts->attempts;
}

void workers_lease_to(struct worker *worker, struct lease *lease)
{
    lease->holder = worker;
    list_append(&worker->leases, &lease->of_worker);
    worker->leases_count++;
}

/* ---- signatures ----------------------------------------------------------------------------- */

/* Mail of strangers is nobody's of ours to answer for; a report needs a signature to be read. */
static bool is_for_signing(const struct workers *w, const Queue__MessageRecord *message)
{
    if (message->envelope->tls_report)
        return true;
    return signing_is_on(w->signing) && !message->envelope->from_stranger;
}

static bool was_hashed(const Queue__MessageRecord *message)
{
    return message->body_sha256_relaxed.len > 0 || message->body_sha256_simple.len > 0;
}

static void append_job(struct buf *out, const Ipc__Job *job)
{
    size_t len = ipc__job__get_packed_size(job);
    size_t room;
    char *at = buf_reserve(out, len, &room);

    ensure(at != NULL);
    ipc__job__pack(job, (uint8_t *)at);
    buf_commit(out, len);
}

/* The facts are gone when the answer comes: the job is packed now. */
static void sign_job(struct workers *w, struct lease *lease, const struct job_facts *facts,
                     const Ipc__Job *job)
{
    struct signing_wish wish = {
        .lease = lease->number,
        .id = lease->id,
        .message = facts->message,
        .is_over = facts->signing_is_over,
    };

    buf_init(&wish.job, FRAME_MESSAGE_MAX);
    append_job(&wish.job, job);
    lease->is_unsent = true;
    signing_begin(w->signing, &wish);
}

void workers_give(void *ctx, struct worker_slot *slot, struct lease *lease,
                  const struct job_facts *facts)
{
    struct workers *w = ctx;
    struct worker *worker = (struct worker *)slot;
    Ipc__Envelope envelope;
    Ipc__Job job;

    workers_lease_to(worker, lease);
    lease->accepted_utc_ms = facts->message->accepted_utc_ms;
    fill_job(lease, facts, &envelope, &job);
    bool is_wanted = is_for_signing(w, facts->message);
    if (is_wanted && (was_hashed(facts->message) || facts->message->envelope->tls_report)) {
        sign_job(w, lease, facts, &job);
        return;
    }
    if (is_wanted)
        job.unsigned_because = bytes_of_span(SPAN("it came in while nothing was signed"));
    channel_send(worker->channel, FRAME_JOB, &job.base, SPAN(""));
}

/* ---- what came of it ------------------------------------------------------------------------ */

/* Two packed messages one behind the other are one, with the fields of both. */
static void send_signed(struct worker *worker, const struct signing_result *result)
{
    Ipc__Job more = IPC__JOB__INIT;

    more.signatures = bytes_of_span(result->signatures);
    more.signed_by = bytes_of_span(result->signed_by);
    more.unsigned_because = bytes_of_span(result->because);
    append_job(result->job, &more);
    channel_send_packed(worker->channel, FRAME_JOB, buf_span(result->job));
}

/* The worker never saw it. */
static void take_from_worker(struct workers *w, struct lease *lease)
{
    struct worker *worker = lease->holder;

    lease->is_unsent = false;
    lease->holder = NULL;
    list_remove(&lease->of_worker);
    worker->leases_count--;
    dispatch_leave(w->dispatch, lease, &worker->slot, HOP_SAID_NOTHING);
}

static Ipc__Result *waiting_result(uint32_t number, struct span because)
{
    Ipc__Result *result = memory_new(sizeof(*result));
    struct buf words;

    buf_init(&words, 512);
    ensure(buf_printf(&words, "it waits to be signed: " SPAN_FMT, SPAN_ARG(because)));
    ipc__result__init(result);
    result->number = number;
    result->kind = IPC__RESULT_KIND__UNSIGNED;
    result->status = bytes_of_span((struct span){ memory_copy_text("4.3.5"), 5 });
    result->reply =
        bytes_of_span((struct span){ memory_copy_span(buf_span(&words)), buf_len(&words) });
    buf_clear(&words);
    return result;
}

/* In pieces of memory of its own, as one that came from a worker. */
static Ipc__Outcome *waiting_outcome(const struct lease *lease, struct span because)
{
    Ipc__Outcome *outcome = memory_new(sizeof(*outcome));

    ipc__outcome__init(outcome);
    outcome->lease = lease->number;
    outcome->id = lease->id;
    outcome->n_results = lease->count;
    outcome->results = memory_new_array(lease->count, sizeof(Ipc__Result *));
    for (unsigned i = 0; i < lease->count; i++)
        outcome->results[i] = waiting_result(lease->numbers[i], because);
    outcome->decision = memory_new(sizeof(*outcome->decision));
    ipc__decision__init(outcome->decision);
    outcome->decision->at_utc_ms = clock_utc_ms();
    outcome->decision->unsigned_because =
        bytes_of_span((struct span){ memory_copy_span(because), because.len });
    return outcome;
}

void workers_on_signed(void *ctx, const struct signing_result *result)
{
    struct workers *w = ctx;
    struct lease *lease = lease_find(w->parts.leases, result->lease);

    ensure(lease && lease->is_unsent && lease->holder); /* else it was forgotten */
    if (result->outcome == SIGNING_WAITS) {
        take_from_worker(w, lease);
        workers_settle(w, lease, waiting_outcome(lease, result->because));
        return;
    }
    lease->is_unsent = false;
    send_signed(lease->holder, result);
}

/* ---- before that ---------------------------------------------------------------------------- */

static void take_back(struct workers *w, struct lease *lease)
{
    signing_forget(w->signing, lease->number);
    take_from_worker(w, lease);
    dispatch_return(w->dispatch, &lease, false);
}

bool workers_take_back_unsent(struct lease *lease)
{
    const struct worker *worker = lease->holder;
    bool is_unsent = lease->is_unsent;

    if (is_unsent)
        take_back(worker->workers, lease);
    return is_unsent;
}

void workers_take_back_all_unsent(struct worker *worker)
{
    struct lease *lease;

    LIST_EACH(lease, &worker->leases, struct lease, of_worker)
    {
        (void)workers_take_back_unsent(lease);
    }
}
