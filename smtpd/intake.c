#include "smtpd/intake.h"

#include <stdlib.h>

#include "lib/base/memory.h"
#include "smtpd/access.h"

/* A header on its way through its duties: first gathered, then, as they left it, given away. */
struct intake_header {
    struct duties duties;
    struct buf block;  /* what has come of it */
    struct buf edited; /* with the content that came with its end; waits for the queue's credit */
    bool is_whole;     /* nothing is gathered any more: `edited` alone counts */
};

static struct intake_header *header_new(const struct duties *duties)
{
    struct intake_header *header = memory_new(sizeof(*header));

    header->duties = *duties;
    buf_init(&header->block, HEADER_BYTES_MAX);
    buf_init(&header->edited, INTAKE_EDITED_MAX);
    return header;
}

static void header_free(struct intake_header **header)
{
    if (!*header)
        return;
    buf_clear(&(*header)->block);
    buf_clear(&(*header)->edited);
    free(*header);
    *header = NULL;
}

/* From here on the message is only counted, up to its true end. */
static void refuse(struct intake *intake, enum reply_id why)
{
    if (intake->refusal == REPLY_WAIT)
        intake->refusal = why;
    queue_accept_abort(&intake->accept);
    header_free(&intake->header);
    body_hash_free(&intake->body);
}

/* The queue has all of it; `settled` will come. */
static void finish(struct intake *intake)
{
    struct queue_content content = {
        .size = intake->sent,
        .eight_bit = intake->data.eight_bit,
        .utf8_header = intake->data.eight_bit_header,
        .tls_required_no =
            tls_required_says_no(&intake->data.tls_required) && !intake->hides_tls_required,
    };

    body_hash_end(intake->body, &content.body);
    body_hash_free(&intake->body);
    intake->has_ended = true;
    queue_accept_end(intake->accept, content);
}

static void give(struct intake *intake, struct span content)
{
    if (!intake->accept || content.len == 0)
        return;
    intake->sent += content.len;
    body_hash_add(intake->body, content);
    queue_accept_content(intake->accept, content);
}

/* Mended lines are longer than what came: what there is no credit for waits as an edited header. */
static void give_or_keep(struct intake *intake, struct span content)
{
    static const struct duties none = { .fixes = false };
    struct span now;

    if (!intake->accept)
        return;
    now = span_first(content, queue_accept_room(intake->accept));
    give(intake, now);
    if (now.len == content.len)
        return;
    intake->header = header_new(&none);
    intake->header->is_whole = true;
    ensure(buf_append(&intake->header->edited, span_from(content, now.len)));
}

/* Gives away what waits behind the header's end, as there is credit; false while some is left. */
static bool drain(struct intake *intake)
{
    struct intake_header *header = intake->header;

    if (!header || !header->is_whole)
        return true;
    struct span piece = span_first(buf_span(&header->edited), queue_accept_room(intake->accept));
    give(intake, piece);
    buf_consume(&header->edited, piece.len);
    if (buf_len(&header->edited) > 0)
        return false;
    header_free(&intake->header);
    return true;
}

static void on_room(void *ctx)
{
    struct intake *intake = ctx;

    if (!drain(intake))
        return;
    if (intake->is_whole && !intake->has_ended)
        finish(intake);
    else
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
    if (intake->is_whole)
        intake->events->settled(intake->ctx, intake->refusal, 0);
    else
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
    ensure(buf_append(intake->joined, intake->held)); /* a piece fits, taken out of or mended */
    ensure(buf_append(intake->joined, content));
    intake->held = (struct span){ NULL, 0 };
}

void intake_begin(struct intake *intake, const struct intake_start *start,
                  const struct intake_events *events, void *ctx)
{
    *intake = (struct intake){
        .max_bytes = start->max_bytes,
        .max_header_bytes = start->max_header_bytes,
        .max_line = start->max_line,
        .max_hops = start->max_hops,
        .refusal = REPLY_WAIT,
        .hides_tls_required =
            start->duties && duties_remove(start->duties, SPAN(TLS_REQUIRED_FIELD)),
        .joined = start->joined,
        .body = body_hash_new(start->hashes_relaxed, start->hashes_simple),
        .events = events,
        .ctx = ctx,
    };
    if (start->duties && duties_are_any(start->duties))
        intake->header = header_new(start->duties);
    if (start->is_chunked)
        data_stream_init_chunked(&intake->data, on_content, intake);
    else
        data_stream_init(&intake->data, on_content, intake);
    if (start->mends_lines)
        data_stream_mend(&intake->data);
    intake->accept = queue_accept_begin(start->queue, start->envelope, start->trace_head,
                                        start->trace_tail, &accept_events, intake);
}

/* With the line that has begun: one line alone may be too much. */
static uint64_t header_octets(const struct data_stream *data)
{
    return data->header_bytes + (data->in_header ? data->line_bytes : 0);
}

static void judge(struct intake *intake)
{
    const struct data_stream *data = &intake->data;

    if (data->fault != DATA_CLEAN)
        refuse(intake, REPLY_BAD_CONTENT);
    else if (data->bytes > intake->max_bytes)
        refuse(intake, REPLY_TOO_LARGE);
    else if (header_octets(data) > intake->max_header_bytes)
        refuse(intake, REPLY_HEADER_TOO_LARGE);
    else if (intake->max_line > 0 && data->longest_line > intake->max_line)
        refuse(intake, REPLY_CONTENT_LINE_TOO_LONG);
    else if (data->received > intake->max_hops)
        refuse(intake, REPLY_TOO_MANY_HOPS);
}

/* The header is whole: it goes through its duties, and on with what came behind it. */
static void end_header(struct intake *intake, struct span behind)
{
    struct intake_header *header = intake->header;

    header->is_whole = true;
    if (header->duties.senders &&
        !access_authors_are_allowed(header->duties.senders, header->duties.home,
                                    buf_span(&header->block)))
        refuse(intake, REPLY_AUTHOR_DENIED);
    else if (duties_apply(&header->duties, buf_span(&header->block), &header->edited) &&
             buf_append(&header->edited, behind))
        drain(intake);
    else
        refuse(intake, REPLY_HEADER_TOO_LARGE);
}

/* The content of a piece while the header is gathered: the counts say where that ends. */
static void gather(struct intake *intake, struct span content)
{
    struct buf *block = &intake->header->block;
    size_t more = content.len;

    if (!intake->data.in_header)
        more = (size_t)intake->data.header_bytes - buf_len(block);
    if (!buf_append(block, span_first(content, more))) /* one line may be beyond all bounds */
        refuse(intake, REPLY_HEADER_TOO_LARGE);
    else if (!intake->data.in_header)
        end_header(intake, span_from(content, more));
}

/* Gives the queue the content of the present piece, or nobody when there is a refusal. */
static void hand_on(struct intake *intake)
{
    struct span content = intake->held.len > 0 ? intake->held : buf_span(intake->joined);

    if (intake->header)
        gather(intake, content);
    else
        give_or_keep(intake, content);
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

    if (!drain(intake))
        return 0;
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
    if (intake->header && !intake->header->is_whole) /* there is no body */
        end_header(intake, (struct span){ NULL, 0 });
    if (intake->refusal != REPLY_WAIT)
        return intake->refusal;
    intake->is_whole = true;
    if (drain(intake))
        finish(intake);
    return REPLY_WAIT;
}

void intake_abort(struct intake *intake)
{
    queue_accept_abort(&intake->accept);
    header_free(&intake->header);
    body_hash_free(&intake->body);
}
