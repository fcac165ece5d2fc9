#include "lib/io/stream_private.h"

#include "lib/io/crypto.h"

enum { IDLE_BUFFER_MAX = 2 * 1024 }; /* an empty buffer larger than this is given back */

/* Reading */

bool stream_listens(const struct stream *stream)
{
    return stream_heard(stream) && stream->phase == PHASE_OPEN && !stream->paused;
}

/* Offers input as long as the owner uses some of it; gives how much was used up. */
static size_t stream_offer(struct stream *stream, struct span input)
{
    size_t used = 0;
    size_t now = 1;

    stream->offer_due = false;
    while (now > 0 && used < input.len && stream_listens(stream)) {
        struct span rest = span_from(input, used);
        stream->lent = rest.len;
        now = stream->events->input(stream->ctx, rest);
        ensure(now <= rest.len);
        used += now;
    }
    stream->lent = 0;
    return used;
}

static void give_back_if_idle(struct buf *b)
{
    if (buf_len(b) == 0 && b->size > IDLE_BUFFER_MAX)
        buf_clear(b);
}

/* Nothing that came in clear may be taken for something said under TLS (RFC 3207 s.4.2). */
static bool input_is_void(const struct stream *stream)
{
    return stream->phase == PHASE_SECURING || stream->phase == PHASE_HANDSHAKE;
}

static void stream_check_limit(struct stream *stream, bool kept)
{
    if (stream_listens(stream) && (!kept || buf_len(&stream->input) > stream->input_limit))
        stream_close(stream, STREAM_END_OVERFLOW,
                     error_new(ERROR_TRANSIENT, "more than %zu bytes of input without an end",
                               stream->input_limit));
}

void stream_offer_kept(struct stream *stream)
{
    size_t used = stream_offer(stream, buf_span(&stream->input));

    if (stream->dead)
        return;
    if (input_is_void(stream))
        buf_reset(&stream->input);
    else
        buf_consume(&stream->input, used);
    give_back_if_idle(&stream->input);
    stream_check_limit(stream, true);
}

/* Input that has just come into the loop's room; only what is not used up at once is copied. */
static void stream_take(struct stream *stream, struct span input)
{
    bool kept;
    size_t used;

    if (buf_len(&stream->input) > 0) {
        if (buf_append(&stream->input, input))
            stream_offer_kept(stream);
        else
            stream_check_limit(stream, false);
        return;
    }
    used = stream_offer(stream, input);
    if (stream->dead || input_is_void(stream))
        return;
    kept = buf_append(&stream->input, span_from(input, used));
    stream_check_limit(stream, kept);
}

void stream_read(struct stream *stream)
{
    char *room = loop_scratch(stream->loop);
    size_t len = 0;
    enum wire_result result = wire_read(&stream->wire, room, LOOP_SCRATCH_SIZE, &len);

    stream->read_wants_write = result == WIRE_WANT_WRITE;
    if (len > 0)
        stream_take(stream, (struct span){ room, len });
    if (!stream_heard(stream))
        return;
    if (result == WIRE_EOF)
        stream_close(stream, STREAM_END_PEER, NULL);
    else if (result == WIRE_CUT)
        stream_close(stream, STREAM_END_PEER,
                     error_new(ERROR_TRANSIENT, "connection closed in the middle of TLS"));
    else if (result == WIRE_FAILED)
        stream_close(stream, STREAM_END_ERROR, wire_error(&stream->wire, "read"));
}

/* Writing */

/* A peer that hung up may have said why: its last words are read before the end is told. */
static void stream_write_failed(struct stream *stream)
{
    struct error *err = wire_error(&stream->wire, "write");
    char *room = loop_scratch(stream->loop);
    size_t len = 0;

    if (!stream->wire.tls && stream_listens(stream))
        (void)wire_read(&stream->wire, room, LOOP_SCRATCH_SIZE, &len);
    if (len > 0)
        stream_take(stream, (struct span){ room, len });
    if (stream->dead || stream->phase == PHASE_CLOSED)
        error_free(&err);
    else
        stream_close(stream, STREAM_END_ERROR, err);
}

struct span stream_sendable(const struct stream *stream)
{
    if (stream->phase == PHASE_OPEN)
        return buf_span(&stream->output);
    if (stream->phase == PHASE_SECURING)
        return span_first(buf_span(&stream->output), stream->clear_left);
    return (struct span){ NULL, 0 };
}

static void stream_check_drained(struct stream *stream)
{
    if (!stream->above_low || buf_len(&stream->output) > stream->low_mark || !stream_heard(stream))
        return;
    stream->above_low = false;
    if (stream->events->drained)
        stream->events->drained(stream->ctx);
}

void stream_wipe_output(struct stream *stream, bool now)
{
    if (!now || !stream->output_is_secret)
        return;
    crypto_cleanse(stream->output.base, stream->output.size);
    stream->output_is_secret = false;
}

void stream_flush(struct stream *stream)
{
    struct span bytes = stream_sendable(stream);
    enum wire_result result;
    size_t put = 0;

    if (bytes.len == 0 || stream->write_blocked)
        return;
    result = wire_write(&stream->wire, bytes, &put);
    buf_consume(&stream->output, put);
    stream_wipe_output(stream, buf_len(&stream->output) == 0);
    give_back_if_idle(&stream->output);
    if (stream->phase == PHASE_SECURING)
        stream->clear_left -= put;
    stream->write_blocked = result == WIRE_WANT_WRITE;
    if (result == WIRE_EOF || result == WIRE_CUT || result == WIRE_FAILED)
        stream_write_failed(stream);
    else
        stream_check_drained(stream);
}
