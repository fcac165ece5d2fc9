#include "queue/streams_private.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/ipc/envelope_codec.h"
#include "lib/ipc/queue.pb-c.h"
#include "queue/routes.h"

enum {
    STREAMS_MAX = 16 * 1024, /* of one smtpd instance */
    FULL_MARGIN = 64 * 1024, /* the queue is full before the last byte */
    EMPTIER_PART = 64,       /* and has room again when so small a part of it is free */
    LOW_CREDIT = STREAM_FIRST_CREDIT / 4, /* a longer message: it gets all of a window */
};

static const struct span nothing = { NULL, 0 };

/* ---- room --------------------------------------------------------------------------------- */

static uint64_t bytes_held(const struct streams *s)
{
    return store_usage(s->store).bytes + s->in_flight;
}

static uint64_t messages_held(const struct streams *s)
{
    return store_usage(s->store).messages + s->open;
}

static void say_state(const struct streams *s, struct inlet *inlet)
{
    Ipc__QueueState state = IPC__QUEUE_STATE__INIT;

    state.full = s->full;
    channel_send(inlet->channel, FRAME_QUEUE_STATE, &state.base, nothing);
}

/* When it was full before it takes more to have room again: no flapping at the limit. */
static bool is_at_limit(const struct streams *s)
{
    uint64_t bytes_most = store_bytes_max(s->store);
    uint64_t bytes_margin = FULL_MARGIN;
    uint64_t messages_margin = 1;

    if (s->full) {
        bytes_margin = bytes_most / EMPTIER_PART;
        messages_margin += s->messages_max / EMPTIER_PART;
    }
    return bytes_held(s) + bytes_margin > bytes_most ||
           messages_held(s) + messages_margin > s->messages_max;
}

/* The setting to raise, or "disk". */
static const char *why_full(const struct streams *s)
{
    if (messages_held(s) >= s->messages_max)
        return "queue-messages-max";
    return is_at_limit(s) ? "queue-size-max" : "disk";
}

static void log_full(const struct streams *s)
{
    struct log_line line;

    log_begin(&line, LOG_ERROR, "queue-full");
    log_string(&line, "because", why_full(s));
    log_end(&line);
}

void streams_check_room(struct streams *streams)
{
    struct inlet *inlet;
    bool full = is_at_limit(streams) || loop_now(streams->loop) < streams->full_until_ms ||
                store_disk_is_low(streams->store);

    if (full == streams->full)
        return;
    if (full)
        log_full(streams);
    streams->full = full;
    if (!full)
        log_event(LOG_WARNING, "queue-has-room");
    LIST_EACH(inlet, &streams->inlets, struct inlet, others)
    {
        say_state(streams, inlet);
    }
}

void streams_set_messages_max(struct streams *streams, uint64_t messages_max)
{
    streams->messages_max = messages_max;
}

void streams_set_notify(struct streams *streams, const struct notify_settings *notify)
{
    streams->notify = notify;
}

const char *streams_full_because(const struct streams *streams)
{
    return streams->full ? why_full(streams) : NULL;
}

/* For one of those that are open, of which so many bytes are to come. */
static bool has_room_for(const struct streams *s, uint64_t bytes)
{
    uint64_t most = store_bytes_max(s->store);

    return messages_held(s) <= s->messages_max && bytes_held(s) <= most &&
           bytes <= most - bytes_held(s);
}

/* ---- what smtpd says ---------------------------------------------------------------------- */

static struct stream *stream_new(struct inlet *inlet, uint64_t number)
{
    struct stream *stream = memory_new(sizeof(*stream));

    inlet->streams->open++;
    stream->inlet = inlet;
    stream->number = number;
    stream->id = store_new_id(inlet->streams->store);
    stream->credit = STREAM_FIRST_CREDIT;
    envelope_init(&stream->envelope);
    buf_init(&stream->content, STREAM_WINDOW + TRACE_MAX);
    map_put_number(inlet->by_number, number, stream);
    streams_charge(inlet, stream);
    return stream;
}

/* The trace field goes in front of the content, with the id in it. */
static bool take_trace(struct streams *s, struct stream *stream, const Ipc__AcceptBegin *begin)
{
    char id[QID_TEXT_SIZE];

    qid_format(stream->id, id);
    if (begin->trace_head.len + begin->trace_tail.len + QID_TEXT_SIZE > TRACE_MAX ||
        !buf_append(&stream->content, span_of_bytes(begin->trace_head)) ||
        !buf_append(&stream->content, span_of(id)) ||
        !buf_append(&stream->content, span_of_bytes(begin->trace_tail)))
        return false;
    stream->received = buf_len(&stream->content);
    s->in_flight += stream->received;
    return true;
}

/* What a captured smtpd calls a report would go past every policy. */
static bool may_send(const struct inlet *inlet, const struct envelope *envelope, struct span once)
{
    return envelope->tls_report == inlet->is_tlsrpt && (inlet->is_tlsrpt || once.len == 0) &&
           once.len <= ONCE_KEY_MAX;
}

static bool take_envelope(struct stream *stream, const Ipc__AcceptBegin *begin)
{
    struct envelope *envelope = &stream->envelope;
    struct span once = span_of_bytes(begin->once);

    if (!envelope_from_message(begin->envelope, envelope) || envelope->recipient_count == 0 ||
        !may_send(stream->inlet, envelope, once))
        return false;
    stream->once = once_of(once);
    for (unsigned i = 0; i < envelope->recipient_count; i++)
        envelope->recipients[i].number = i; /* they are keys: each its own */
    stream->envelope_bytes = ((size_t)envelope->recipient_count + envelope->expanded_count) *
                             sizeof(envelope->recipients[0]);
    stream->inlet->held += stream->envelope_bytes;
    return true;
}

static const char *begin_stream(struct inlet *inlet, const Ipc__AcceptBegin *begin)
{
    struct streams *s = inlet->streams;

    if (map_get_number(inlet->by_number, begin->stream) || inlet->charged_count >= STREAMS_MAX)
        return "a stream too many";
    struct stream *stream = stream_new(inlet, begin->stream);
    if (!take_envelope(stream, begin) || !take_trace(s, stream, begin)) {
        streams_forget(s, stream);
        return "an envelope that is none";
    }
    if (!has_room_for(s, begin->envelope->declared_size) || inlet->held > INLET_BYTES_MAX)
        streams_refuse(s, stream, IPC__ACCEPT_OUTCOME__FULL);
    else if (stream->id == 0)
        streams_refuse(s, stream, IPC__ACCEPT_OUTCOME__TROUBLE);
    return NULL;
}

static const char *on_begin(struct inlet *inlet, const struct channel_frame *frame)
{
    Ipc__AcceptBegin *begin = channel_decode(frame, &ipc__accept_begin__descriptor);

    if (!begin)
        return "the begin of a message does not decode";
    const char *wrong = begin_stream(inlet, begin);
    ipc__accept_begin__free_unpacked(begin, NULL);
    return wrong;
}

static const char *on_content(struct inlet *inlet, const struct channel_frame *frame)
{
    Ipc__AcceptContent *content = channel_decode(frame, &ipc__accept_content__descriptor);
    struct streams *s = inlet->streams;

    if (!content)
        return "content does not decode";
    struct stream *stream = map_get_number(inlet->by_number, content->stream);
    ipc__accept_content__free_unpacked(content, NULL);
    if (!stream)
        return NULL; /* refused meanwhile */
    if (stream->ended || frame->body.len > stream->credit ||
        !buf_append(&stream->content, frame->body))
        return "content without credit";
    stream->credit -= frame->body.len;
    stream->received += frame->body.len;
    s->in_flight += frame->body.len;
    if (!has_room_for(s, 0)) {
        streams_refuse(s, stream, IPC__ACCEPT_OUTCOME__FULL);
        return NULL;
    }
    if (!stream->is_wide && stream->credit < LOW_CREDIT)
        streams_grant_credit(stream);
    streams_commit_more(s, stream);
    return NULL;
}

static const char *on_end(struct inlet *inlet, const struct channel_frame *frame)
{
    Ipc__AcceptEnd *end = channel_decode(frame, &ipc__accept_end__descriptor);

    if (!end)
        return "the end of a message does not decode";
    struct stream *stream = map_get_number(inlet->by_number, end->stream);
    bool eight_bit = end->eight_bit;
    bool utf8_header = end->utf8_header;
    bool tls_required_no = end->tls_required_no;
    struct body_hashes body;
    body_hashes_from_bytes(end->body_sha256_relaxed, end->body_sha256_simple, &body);
    ipc__accept_end__free_unpacked(end, NULL);
    if (!stream)
        return NULL;
    if (stream->ended)
        return "a message that ends twice";
    stream->ended = true;
    stream->eight_bit = eight_bit;
    stream->body = body;
    stream->envelope.utf8_header = utf8_header;
    stream->envelope.tls_required_no = tls_required_no;
    streams_commit_more(inlet->streams, stream);
    return NULL;
}

static const char *on_abort(struct inlet *inlet, const struct channel_frame *frame)
{
    Ipc__AcceptAbort *abort = channel_decode(frame, &ipc__accept_abort__descriptor);

    if (!abort)
        return "an abort does not decode";
    struct stream *stream = map_get_number(inlet->by_number, abort->stream);
    ipc__accept_abort__free_unpacked(abort, NULL);
    if (stream)
        streams_abandon(inlet->streams, stream);
    return NULL;
}

/* ---- probes ------------------------------------------------------------------------------- */

static const char *on_probe_ask(struct inlet *inlet, const struct channel_frame *frame)
{
    Ipc__ProbeAsk *ask = channel_decode(frame, &ipc__probe_ask__descriptor);
    struct streams *s = inlet->streams;
    struct address mailbox;

    if (!ask)
        return "a probe does not decode";
    bool is_fit = !inlet->is_tlsrpt && mailbox_from_message(ask->mailbox, &mailbox) &&
                  mailbox.domain[0] != '\0';
    struct routing_facts facts = routes_facts_of_ask(ask->envelope, &mailbox);
    if (is_fit)
        s->events->probe(s->ctx, &inlet->asker, ask->id, &mailbox, &facts);
    ipc__probe_ask__free_unpacked(ask, NULL);
    return is_fit ? NULL : "a probe of no mailbox";
}

static void on_probe_answer(void *ctx, uint64_t id, Ipc__ProbeVerdict verdict)
{
    struct inlet *inlet = ctx;
    Ipc__ProbeAnswer answer_message = IPC__PROBE_ANSWER__INIT;

    answer_message.id = id;
    answer_message.verdict = verdict;
    channel_send(inlet->channel, FRAME_PROBE_ANSWER, &answer_message.base, nothing);
}

static void on_frame(void *ctx, struct channel_frame *frame)
{
    struct inlet *inlet = ctx;
    const char *wrong = "unknown frame from smtpd";

    if (frame->type == FRAME_ACCEPT_BEGIN)
        wrong = on_begin(inlet, frame);
    else if (frame->type == FRAME_ACCEPT_CONTENT)
        wrong = on_content(inlet, frame);
    else if (frame->type == FRAME_ACCEPT_END)
        wrong = on_end(inlet, frame);
    else if (frame->type == FRAME_ACCEPT_ABORT)
        wrong = on_abort(inlet, frame);
    else if (frame->type == FRAME_PROBE_ASK)
        wrong = on_probe_ask(inlet, frame);
    if (wrong)
        channel_refuse(inlet->channel, wrong);
}

/* ---- instances come and go ---------------------------------------------------------------- */

static void inlet_free(struct inlet *inlet)
{
    for (;;) {
        size_t cursor = 0;
        struct stream *stream = map_next(inlet->by_number, &cursor, NULL);
        if (!stream)
            break;
        streams_abandon(inlet->streams, stream);
    }
    while (!list_empty(&inlet->charged))
        streams_discharge(LIST_FIRST(&inlet->charged, struct stream, of_charged));
    probes_forget(&inlet->asker);
    list_remove(&inlet->others);
    map_free(&inlet->by_number);
    channel_free(&inlet->channel);
    free(inlet);
}

static void on_closed(void *ctx, const struct error *err)
{
    (void)err; /* the channel has logged what is worth it */
    inlet_free(ctx);
}

void streams_attach(struct streams *streams, int fd, bool is_tlsrpt)
{
    static const struct channel_events events = { on_frame, on_closed };
    struct inlet *inlet = memory_new(sizeof(*inlet));

    inlet->streams = streams;
    inlet->is_tlsrpt = is_tlsrpt;
    inlet->by_number = map_new();
    list_init(&inlet->charged);
    probe_asker_init(&inlet->asker, on_probe_answer, inlet);
    list_append(&streams->inlets, &inlet->others);
    inlet->channel = channel_open(streams->loop, fd, &events, inlet);
    say_state(streams, inlet);
}

struct streams *streams_new(struct loop *loop, struct store *store, struct committer *committer,
                            const struct streams_events *events, void *ctx)
{
    struct streams *s = memory_new(sizeof(*s));

    s->loop = loop;
    s->store = store;
    s->committer = committer;
    s->events = events;
    s->ctx = ctx;
    list_init(&s->inlets);
    return s;
}

void streams_flush(struct streams *streams, int64_t wait_ms)
{
    struct inlet *inlet;

    LIST_EACH(inlet, &streams->inlets, struct inlet, others)
    {
        channel_drain(inlet->channel, wait_ms);
    }
}

void streams_free(struct streams **streams)
{
    struct streams *s = *streams;

    *streams = NULL;
    if (!s)
        return;
    while (!list_empty(&s->inlets))
        inlet_free(LIST_FIRST(&s->inlets, struct inlet, others));
    free(s);
}
