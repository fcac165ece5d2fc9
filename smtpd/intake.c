#include "smtpd/intake.h"

#include "lib/base/limits.h"

/* From here on the message is only counted, up to its true end. */
static void refuse(struct intake *intake, enum reply_id why)
{
    if (intake->refusal == REPLY_WAIT)
        intake->refusal = why;
    queue_accept_abort(&intake->accept);
}

static void on_room(void *ctx)
{
    struct intake *intake = ctx;

    intake->events->room(intake->ctx);
}

static enum reply_id reply_of(enum accept_outcome outcome)
{
    switch (outcome) {
    case ACCEPT_DONE:
        return REPLY_QUEUED;
    case ACCEPT_FULL:
        return REPLY_QUEUE_FULL;
    case ACCEPT_TROUBLE:
    case ACCEPT_LOST:
        return REPLY_QUEUE_TROUBLE;
    }
    return REPLY_QUEUE_TROUBLE;
}

static void on_done(void *ctx, enum accept_outcome outcome, uint64_t id)
{
    struct intake *intake = ctx;

    intake->accept = NULL;
    if (intake->has_ended) {
        intake->events->settled(intake->ctx, reply_of(outcome), id);
        return;
    }
    /* A queue that took what was not whole is not to be believed. */
    refuse(intake, outcome == ACCEPT_FULL ? REPLY_QUEUE_FULL : REPLY_QUEUE_TROUBLE);
    intake->events->room(intake->ctx);
}

static const struct queue_accept_events accept_events = { on_room, on_done };

/*
 * Content of the present piece.  Mostly it is one run, handed on as it lies; where dots were taken
 * out it is joined, so that a peer cannot make us send a frame for every few bytes.
 */
static void on_content(void *ctx, struct span content)
{
    struct intake *intake = ctx;

    if (intake->held.len == 0 && buf_len(intake->joined) == 0) {
        intake->held = content;
        return;
    }
    ensure(buf_append(intake->joined, intake->held)); /* a piece fits, whatever is taken out */
    ensure(buf_append(intake->joined, content));
    intake->held = (struct span){ NULL, 0 };
}

void intake_begin(struct intake *intake, const struct intake_start *start,
                  const struct intake_events *events, void *ctx)
{
    *intake = (struct intake){
        .max_bytes = start->max_bytes,
        .max_hops = start->max_hops,
        .refusal = REPLY_WAIT,
        .joined = start->joined,
        .events = events,
        .ctx = ctx,
    };
    if (start->is_chunked)
        data_stream_init_chunked(&intake->data, on_content, intake);
    else
        data_stream_init(&intake->data, on_content, intake);
    intake->accept = queue_accept_begin(start->queue, start->envelope, start->trace_head,
                                        start->trace_tail, &accept_events, intake);
}

static void judge(struct intake *intake)
{
    const struct data_stream *data = &intake->data;

    if (data->fault != DATA_CLEAN)
        refuse(intake, REPLY_BAD_CONTENT);
    else if (data->bytes > intake->max_bytes)
        refuse(intake, REPLY_TOO_LARGE);
    else if (data->header_bytes > HEADER_BYTES_MAX)
        refuse(intake, REPLY_HEADER_TOO_LARGE);
    else if (data->received > intake->max_hops)
        refuse(intake, REPLY_TOO_MANY_HOPS);
}

/* Gives the queue the content of the present piece, or nobody when there is a refusal. */
static void hand_on(struct intake *intake)
{
    struct span content = intake->held.len > 0 ? intake->held : buf_span(intake->joined);

    if (intake->accept && content.len > 0)
        queue_accept_content(intake->accept, content);
    intake->held = (struct span){ NULL, 0 };
    buf_reset(intake->joined);
}

void intake_expect(struct intake *intake, uint64_t octets)
{
    uint64_t bytes = intake->data.bytes;

    if (bytes > intake->max_bytes || octets > intake->max_bytes - bytes)
        refuse(intake, REPLY_TOO_LARGE);
}

size_t intake_take(struct intake *intake, struct span input)
{
    struct span piece = span_first(input, INTAKE_PIECE_MAX);

    if (intake->accept)
        piece = span_first(piece, queue_accept_room(intake->accept));
    size_t used = data_stream_take(&intake->data, piece);
    judge(intake);
    hand_on(intake);
    return used;
}

enum reply_id intake_end(struct intake *intake)
{
    if (!intake->data.ended) { /* the last chunk is over */
        data_stream_end(&intake->data);
        judge(intake);
    }
    if (intake->refusal != REPLY_WAIT)
        return intake->refusal;
    intake->has_ended = true;
    queue_accept_end(intake->accept, intake->data.eight_bit, intake->data.bytes);
    return REPLY_WAIT;
}

void intake_abort(struct intake *intake)
{
    queue_accept_abort(&intake->accept);
}
