#include "lib/ipc/queue_client.h"

#include "lib/base/limits.h"
#include "lib/base/map.h"
#include "lib/base/memory.h"
#include "lib/ipc/channel.h"
#include "lib/ipc/envelope_codec.h"
#include "lib/ipc/queue.pb-c.h"

#include <stdlib.h>

struct queue_client {
    struct loop *loop;
    struct channel *channel; /* NULL while there is no queue */
    void (*on_state)(void *ctx);
    void *ctx;
    struct map *accepts; /* by stream number */
    struct map *probes;  /* by number */
    uint64_t last_probe;
    uint64_t lost_probe; /* those up to it will have no answer */
    struct list lost;    /* accepts whose queue went away, to be told */
    struct loop_task tell_lost;
    uint64_t last_stream;
    bool is_full;
};

struct queue_accept {
    struct queue_client *client;
    struct list lost;
    uint64_t stream;
    size_t room;
    bool waits_for_room;
    const struct queue_accept_events *events;
    void *ctx;
};

static const struct span nothing = { NULL, 0 };

/* Takes an accept out of the client's books and frees it. */
static void accept_forget(struct queue_accept *accept)
{
    map_remove_number(accept->client->accepts, accept->stream);
    list_remove(&accept->lost);
    free(accept);
}

static void tell_done(struct queue_accept *accept, enum accept_outcome outcome, uint64_t id)
{
    const struct queue_accept_events *events = accept->events;
    void *ctx = accept->ctx;

    accept_forget(accept);
    events->done(ctx, outcome, id);
}

/* --- probes */

struct queue_probe {
    struct queue_client *client;
    uint64_t number;
    queue_probe_fn *done;
    void *ctx;
};

static void probe_forget(struct queue_probe *probe)
{
    map_remove_number(probe->client->probes, probe->number);
    free(probe);
}

static void probe_done(struct queue_probe *probe, enum probe_verdict verdict)
{
    queue_probe_fn *done = probe->done;
    void *ctx = probe->ctx;

    probe_forget(probe);
    done(ctx, verdict);
}

static struct queue_probe *next_lost_probe(const struct queue_client *client)
{
    struct queue_probe *probe;
    size_t cursor = 0;

    while ((probe = map_next(client->probes, &cursor, NULL)) != NULL)
        if (probe->number <= client->lost_probe)
            return probe;
    return NULL;
}

static void lose_probes(struct queue_client *client)
{
    struct queue_probe *probe;

    while ((probe = next_lost_probe(client)) != NULL)
        probe_done(probe, PROBE_UNDECIDED);
}

static enum probe_verdict verdict_of(Ipc__ProbeVerdict verdict)
{
    if (verdict == IPC__PROBE_VERDICT__PROBE_TAKEN)
        return PROBE_TAKEN;
    return verdict == IPC__PROBE_VERDICT__PROBE_REFUSED ? PROBE_REFUSED : PROBE_UNDECIDED;
}

static void on_probe_answer(struct queue_client *client, const struct channel_frame *frame)
{
    Ipc__ProbeAnswer *answer = channel_decode(frame, &ipc__probe_answer__descriptor);

    if (!answer) {
        channel_refuse(client->channel, "answer to a probe does not decode");
        return;
    }
    struct queue_probe *probe = map_get_number(client->probes, answer->id);
    enum probe_verdict verdict = verdict_of(answer->verdict);
    ipc__probe_answer__free_unpacked(answer, NULL);
    if (probe)
        probe_done(probe, verdict);
}

struct queue_probe *queue_probe_begin(struct queue_client *client, const struct address *mailbox,
                                      const struct envelope *envelope, queue_probe_fn *done,
                                      void *ctx)
{
    struct queue_probe *probe = memory_new(sizeof(*probe));
    Ipc__Envelope *transaction = envelope_to_message(envelope);
    Ipc__ProbeAsk ask = IPC__PROBE_ASK__INIT;
    Ipc__Mailbox message;

    ensure(client->channel != NULL);
    *probe = (struct queue_probe){ client, ++client->last_probe, done, ctx };
    map_put_number(client->probes, probe->number, probe);
    mailbox_to_message(&message, mailbox);
    ask.id = probe->number;
    ask.mailbox = &message;
    ask.envelope = transaction;
    transaction->n_recipients = 0;
    channel_send(client->channel, FRAME_PROBE_ASK, &ask.base, nothing);
    envelope_message_free(&transaction);
    return probe;
}

void queue_probe_cancel(struct queue_probe **probe)
{
    if (*probe)
        probe_forget(*probe);
    *probe = NULL;
}

/* --- what is lost */

/* Tells, outside of any call of the owners, those whose queue went away. */
static void on_tell_lost(void *ctx)
{
    struct queue_client *client = ctx;

    lose_probes(client);
    while (!list_empty(&client->lost))
        tell_done(LIST_FIRST(&client->lost, struct queue_accept, lost), ACCEPT_LOST, 0);
}

static void client_say_state(struct queue_client *client)
{
    if (client->on_state)
        client->on_state(client->ctx);
}

/* --- what the queue says */

static void on_credit(struct queue_client *client, const struct channel_frame *frame)
{
    Ipc__AcceptCredit *credit = channel_decode(frame, &ipc__accept_credit__descriptor);

    if (!credit) {
        channel_refuse(client->channel, "credit does not decode");
        return;
    }
    struct queue_accept *accept = map_get_number(client->accepts, credit->stream);
    size_t bytes = credit->bytes;
    ipc__accept_credit__free_unpacked(credit, NULL);
    if (!accept)
        return; /* ended meanwhile */
    if (bytes > STREAM_WINDOW - accept->room) {
        channel_refuse(client->channel, "credit beyond the window");
        return;
    }
    accept->room += bytes;
    if (accept->waits_for_room && accept->room > 0) {
        accept->waits_for_room = false;
        accept->events->room(accept->ctx);
    }
}

static enum accept_outcome outcome_of(Ipc__AcceptOutcome outcome)
{
    if (outcome == IPC__ACCEPT_OUTCOME__ACCEPTED)
        return ACCEPT_DONE;
    return outcome == IPC__ACCEPT_OUTCOME__FULL ? ACCEPT_FULL : ACCEPT_TROUBLE;
}

static void on_done(struct queue_client *client, const struct channel_frame *frame)
{
    Ipc__AcceptDone *done = channel_decode(frame, &ipc__accept_done__descriptor);

    if (!done) {
        channel_refuse(client->channel, "outcome of an accept does not decode");
        return;
    }
    struct queue_accept *accept = map_get_number(client->accepts, done->stream);
    enum accept_outcome outcome = outcome_of(done->outcome);
    uint64_t id = done->id;
    ipc__accept_done__free_unpacked(done, NULL);
    if (accept)
        tell_done(accept, outcome, id);
}

static void on_queue_state(struct queue_client *client, const struct channel_frame *frame)
{
    Ipc__QueueState *state = channel_decode(frame, &ipc__queue_state__descriptor);

    if (!state) {
        channel_refuse(client->channel, "state of the queue does not decode");
        return;
    }
    client->is_full = state->full;
    ipc__queue_state__free_unpacked(state, NULL);
    client_say_state(client);
}

static void on_frame(void *ctx, struct channel_frame *frame)
{
    struct queue_client *client = ctx;

    if (frame->type == FRAME_ACCEPT_CREDIT)
        on_credit(client, frame);
    else if (frame->type == FRAME_ACCEPT_DONE)
        on_done(client, frame);
    else if (frame->type == FRAME_QUEUE_STATE)
        on_queue_state(client, frame);
    else if (frame->type == FRAME_PROBE_ANSWER)
        on_probe_answer(client, frame);
    else
        channel_refuse(client->channel, "unknown frame from the queue");
}

/* What was under way with this queue is lost; it may have been committed, so nobody says 250. */
static void lose_all(struct queue_client *client)
{
    struct queue_accept *accept;
    size_t cursor = 0;

    channel_free(&client->channel);
    client->lost_probe = client->last_probe;
    while ((accept = map_next(client->accepts, &cursor, NULL)) != NULL) {
        list_remove(&accept->lost);
        list_append(&client->lost, &accept->lost);
    }
    if (!list_empty(&client->lost) || map_count(client->probes) > 0)
        loop_defer(client->loop, &client->tell_lost);
}

static void on_closed(void *ctx, const struct error *err)
{
    struct queue_client *client = ctx;

    (void)err; /* the channel has logged what is worth it; a dead queue is the supervisor's news */
    lose_all(client);
    client_say_state(client);
}

static const struct channel_events channel_events = { on_frame, on_closed };

/* --- the client */

struct queue_client *queue_client_new(struct loop *loop, void (*on_state)(void *ctx), void *ctx)
{
    struct queue_client *client = memory_new(sizeof(*client));

    client->loop = loop;
    client->on_state = on_state;
    client->ctx = ctx;
    client->accepts = map_new();
    client->probes = map_new();
    list_init(&client->lost);
    loop_task_init(&client->tell_lost, on_tell_lost, client);
    return client;
}

void queue_client_free(struct queue_client **client)
{
    struct queue_client *c = *client;
    struct queue_accept *accept;
    struct queue_probe *probe;
    size_t cursor = 0;

    if (!c)
        return;
    loop_task_cancel(&c->tell_lost);
    channel_free(&c->channel);
    while ((accept = map_next(c->accepts, &cursor, NULL)) != NULL)
        free(accept);
    map_free(&c->accepts);
    cursor = 0;
    while ((probe = map_next(c->probes, &cursor, NULL)) != NULL)
        free(probe);
    map_free(&c->probes);
    free(c);
    *client = NULL;
}

void queue_client_attach(struct queue_client *client, int fd)
{
    if (client->channel)
        lose_all(client);
    client->is_full = false;
    client->channel = channel_open(client->loop, fd, &channel_events, client);
    client_say_state(client);
}

bool queue_client_is_up(const struct queue_client *client)
{
    return client->channel != NULL;
}

bool queue_client_is_full(const struct queue_client *client)
{
    return client->is_full;
}

/* --- one message */

struct queue_accept *queue_accept_begin_once(struct queue_client *client,
                                             const struct envelope *envelope, struct span once,
                                             struct span trace_head, struct span trace_tail,
                                             const struct queue_accept_events *events, void *ctx)
{
    struct queue_accept *accept = memory_new(sizeof(*accept));
    Ipc__AcceptBegin begin = IPC__ACCEPT_BEGIN__INIT;
    Ipc__Envelope *message = envelope_to_message(envelope);

    ensure(client->channel != NULL);
    accept->client = client;
    accept->stream = ++client->last_stream;
    accept->room = STREAM_FIRST_CREDIT;
    accept->events = events;
    accept->ctx = ctx;
    list_init(&accept->lost);
    map_put_number(client->accepts, accept->stream, accept);
    begin.stream = accept->stream;
    begin.envelope = message;
    begin.once = bytes_of_span(once);
    begin.trace_head = bytes_of_span(trace_head);
    begin.trace_tail = bytes_of_span(trace_tail);
    channel_send(client->channel, FRAME_ACCEPT_BEGIN, &begin.base, nothing);
    envelope_message_free(&message);
    return accept;
}

struct queue_accept *queue_accept_begin(struct queue_client *client,
                                        const struct envelope *envelope, struct span trace_head,
                                        struct span trace_tail,
                                        const struct queue_accept_events *events, void *ctx)
{
    return queue_accept_begin_once(client, envelope, nothing, trace_head, trace_tail, events, ctx);
}

static bool accept_is_lost(const struct queue_accept *accept)
{
    return !list_empty(&accept->lost);
}

size_t queue_accept_room(const struct queue_accept *accept)
{
    return accept->room;
}

void queue_accept_content(struct queue_accept *accept, struct span bytes)
{
    Ipc__AcceptContent content = IPC__ACCEPT_CONTENT__INIT;

    ensure(bytes.len <= accept->room);
    accept->room -= bytes.len;
    accept->waits_for_room = accept->room == 0;
    if (accept_is_lost(accept))
        return;
    content.stream = accept->stream;
    while (bytes.len > 0) {
        struct span piece = span_first(bytes, FRAME_BODY_MAX);
        channel_send(accept->client->channel, FRAME_ACCEPT_CONTENT, &content.base, piece);
        bytes = span_from(bytes, piece.len);
    }
}

void queue_accept_end(struct queue_accept *accept, struct queue_content content)
{
    Ipc__AcceptEnd end = IPC__ACCEPT_END__INIT;

    if (accept_is_lost(accept))
        return;
    end.stream = accept->stream;
    end.eight_bit = content.eight_bit;
    end.utf8_header = content.utf8_header;
    end.tls_required_no = content.tls_required_no;
    end.size = content.size;
    body_hashes_to_bytes(&content.body, &end.body_sha256_relaxed, &end.body_sha256_simple);
    channel_send(accept->client->channel, FRAME_ACCEPT_END, &end.base, nothing);
}

void queue_accept_abort(struct queue_accept **accept)
{
    Ipc__AcceptAbort abort_it = IPC__ACCEPT_ABORT__INIT;

    if (!*accept)
        return;
    abort_it.stream = (*accept)->stream;
    if (!accept_is_lost(*accept))
        channel_send((*accept)->client->channel, FRAME_ACCEPT_ABORT, &abort_it.base, nothing);
    accept_forget(*accept);
    *accept = NULL;
}
