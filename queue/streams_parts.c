#include "queue/streams_private.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "queue/store_rows.h"

enum {
    PART_BYTES = STREAM_WINDOW / 2, /* so much is written as a part of a message */
    FULL_MS = 5 * SECOND_MS,        /* after the disk was full */
    WIDER_BYTES = STREAM_WINDOW - STREAM_FIRST_CREDIT,
};

/* A part of it on its way to disk. */
struct part {
    struct accept accept;
    struct streams *streams;
    struct stream *stream;
    struct buf content;
};

/* ---- what it counts for, and its end ------------------------------------------------------ */

void streams_charge(struct inlet *inlet, struct stream *stream)
{
    stream->charged_to = inlet;
    list_append(&inlet->charged, &stream->of_charged);
    inlet->charged_count++;
}

void streams_discharge(struct stream *stream)
{
    struct inlet *inlet = stream->charged_to;

    if (!inlet)
        return;
    inlet->held -= stream->envelope_bytes + (stream->is_wide ? WIDER_BYTES : 0);
    inlet->charged_count--;
    list_remove(&stream->of_charged);
    stream->charged_to = NULL;
}

void streams_forget(struct streams *s, struct stream *stream)
{
    streams_discharge(stream);
    s->open--;
    s->in_flight -= buf_len(&stream->content);
    if (stream->inlet)
        map_remove_number(stream->inlet->by_number, stream->number);
    envelope_clear(&stream->envelope);
    buf_clear(&stream->content);
    free(stream);
}

static void on_discarded(struct operation *operation, enum operation_outcome outcome)
{
    (void)outcome; /* what is left is swept at the next start */
    free(operation);
}

/* Removes what was committed of a message that will not become whole. */
static void drop(struct streams *s, struct stream *stream)
{
    if (stream->next_chunk > 0) {
        struct discard *discard = memory_new(sizeof(*discard));
        discard->id = stream->id;
        discard->operation.done = on_discarded;
        discard_prepare(discard);
        committer_add(s->committer, &discard->operation);
    }
    streams_forget(s, stream);
}

/* smtpd is not interested any more; what is under way comes to its end first. */
void streams_abandon(struct streams *s, struct stream *stream)
{
    map_remove_number(stream->inlet->by_number, stream->number);
    stream->inlet = NULL;
    if (!stream->committing)
        drop(s, stream);
}

static void answer(struct stream *stream, Ipc__AcceptOutcome outcome, uint64_t id)
{
    Ipc__AcceptDone done = IPC__ACCEPT_DONE__INIT;

    if (!stream->inlet)
        return;
    done.stream = stream->number;
    done.outcome = outcome;
    done.id = id;
    channel_send(stream->inlet->channel, FRAME_ACCEPT_DONE, &done.base, SPAN(""));
}

void streams_refuse(struct streams *s, struct stream *stream, Ipc__AcceptOutcome outcome)
{
    answer(stream, outcome, stream->id);
    streams_abandon(s, stream);
}

/* ---- parts on their way to disk ------------------------------------------------------------- */

/* Half of an inlet's share is for envelopes: without a wide window a message comes in all the same,
 * a chunk at a time. */
static size_t window_of(struct stream *stream)
{
    struct inlet *inlet = stream->inlet;

    if (!stream->is_wide && inlet->held + WIDER_BYTES <= INLET_BYTES_MAX / 2) {
        stream->is_wide = true;
        inlet->held += WIDER_BYTES;
    }
    return stream->is_wide ? STREAM_WINDOW : STREAM_FIRST_CREDIT;
}

void streams_grant_credit(struct stream *stream)
{
    Ipc__AcceptCredit credit = IPC__ACCEPT_CREDIT__INIT;
    size_t held = buf_len(&stream->content) + stream->credit;

    if (!stream->inlet || stream->ended)
        return;
    size_t window = window_of(stream);
    if (held >= window)
        return;
    credit.stream = stream->number;
    credit.bytes = (uint32_t)(window - held);
    stream->credit += credit.bytes;
    channel_send(stream->inlet->channel, FRAME_ACCEPT_CREDIT, &credit.base, SPAN(""));
}

static void message_committed(struct streams *s, struct stream *stream, uint64_t taken_as)
{
    if (taken_as == stream->id)
        s->events->accepted(s->ctx, &stream->envelope);
    answer(stream, IPC__ACCEPT_OUTCOME__ACCEPTED, taken_as);
    streams_forget(s, stream);
}

/* `taken_as`: with the last part, which made it a message. */
static void part_committed(struct streams *s, struct stream *stream, uint64_t taken_as)
{
    if (taken_as != 0) {
        message_committed(s, stream, taken_as);
    } else if (!stream->inlet) {
        drop(s, stream);
    } else {
        streams_grant_credit(stream);
        streams_commit_more(s, stream);
    }
}

static void on_part_done(struct operation *operation, enum operation_outcome outcome)
{
    struct part *part = (struct part *)operation;
    struct streams *s = part->streams;
    struct stream *stream = part->stream;
    uint64_t taken_as = part->accept.last ? part->accept.taken_as : 0;

    s->in_flight -= part->accept.content.len;
    stream->committing = false;
    if (outcome == OPERATION_COMMITTED)
        notices_log(&part->accept.notices, stream->id);
    buf_clear(&part->content);
    free(part);
    if (outcome == OPERATION_COMMITTED) {
        part_committed(s, stream, taken_as);
        return;
    }
    if (outcome == OPERATION_FULL)
        s->full_until_ms = loop_now(s->loop) + FULL_MS;
    answer(stream,
           outcome == OPERATION_FULL ? IPC__ACCEPT_OUTCOME__FULL : IPC__ACCEPT_OUTCOME__TROUBLE,
           stream->id);
    drop(s, stream);
    streams_check_room(s);
}

/* Cuts what goes to disk now off the front: whole chunks, or all when the message has ended. */
static void cut_part(struct stream *stream, struct part *part)
{
    struct span held = buf_span(&stream->content);
    size_t len = stream->ended ? held.len : held.len / CHUNK_BYTES * CHUNK_BYTES;

    part->content = stream->content;
    part->accept.content = span_first(held, len);
    buf_init(&stream->content, STREAM_WINDOW + TRACE_MAX);
    ensure(buf_append(&stream->content, span_from(held, len)));
}

/* Is there a part that should go to disk now?  What has no credit left can become no larger. */
static bool has_part(const struct stream *stream)
{
    size_t len = buf_len(&stream->content);

    return stream->ended || len >= PART_BYTES || (stream->credit == 0 && len >= CHUNK_BYTES);
}

void streams_commit_more(struct streams *s, struct stream *stream)
{
    if (stream->committing || !has_part(stream))
        return;
    struct part *part = memory_new(sizeof(*part));
    part->streams = s;
    part->stream = stream;
    cut_part(stream, part);
    struct accept *accept = &part->accept;
    accept->id = stream->id;
    accept->first_chunk = stream->next_chunk;
    accept->last = stream->ended;
    accept->envelope = &stream->envelope;
    accept->size = stream->received;
    accept->eight_bit = stream->eight_bit;
    accept->body = stream->body;
    accept->once = stream->once;
    accept->notices.settings = s->notify;
    accept->operation.done = on_part_done;
    accept_prepare(accept);
    stream->next_chunk += content_chunks(accept->content.len);
    stream->committing = true;
    committer_add(s->committer, &accept->operation);
}
