#include "lib/io/stream_private.h"

#include "lib/base/memory.h"
#include "lib/io/crypto.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { INPUT_LIMIT_FIRST = 64 * 1024 };

static void on_ready(void *ctx, bool readable, bool writable);
static void on_work(void *ctx);
static void on_timer(void *ctx);

/* Birth and death */

static struct stream *stream_new(struct loop *loop, const struct stream_events *events, void *ctx)
{
    struct stream *stream = memory_new(sizeof(*stream));

    stream->loop = loop;
    stream->wire.fd = -1;
    stream->events = events;
    stream->ctx = ctx;
    stream->deadline_ms = -1;
    loop_task_init(&stream->work, on_work, stream);
    buf_init(&stream->input, 0);
    buf_init(&stream->output, SIZE_MAX / 2); /* bounded by the owner, see stream_pending */
    stream_input_limit(stream, INPUT_LIMIT_FIRST);
    return stream;
}

struct stream *stream_open(struct loop *loop, int fd, const struct stream_events *events, void *ctx)
{
    struct stream *stream = stream_new(loop, events, ctx);

    wire_open(&stream->wire, fd);
    stream->watch = loop_watch_new(loop, fd, on_ready, stream);
    stream->phase = PHASE_OPEN;
    loop_defer(loop, &stream->work);
    return stream;
}

struct stream *stream_connect(struct loop *loop, const struct endpoint *remote,
                              const struct ip_address *local, const struct stream_events *events,
                              void *ctx)
{
    struct stream *stream = stream_new(loop, events, ctx);

    stream->phase = PHASE_CONNECTING;
    stream->refusal = wire_connect(&stream->wire, remote, local);
    if (!stream->refusal)
        stream->watch = loop_watch_new(loop, stream->wire.fd, on_ready, stream);
    loop_defer(loop, &stream->work);
    return stream;
}

struct stream *stream_refuse(struct loop *loop, const struct endpoint *remote, struct error *err,
                             const struct stream_events *events, void *ctx)
{
    struct stream *stream = stream_new(loop, events, ctx);

    stream->phase = PHASE_CONNECTING;
    stream->wire.remote = *remote;
    stream->refusal = err;
    loop_defer(loop, &stream->work);
    return stream;
}

/* No event comes any more; the socket stays, so that it can still be asked for its addresses. */
static void stream_silence(struct stream *stream)
{
    stream->phase = PHASE_CLOSED;
    loop_watch_free(&stream->watch);
    loop_timer_free(&stream->timer);
    loop_task_cancel(&stream->work);
}

static void stream_release(struct stream *stream)
{
    buf_clear(&stream->input);
    stream_wipe_output(stream, true);
    buf_clear(&stream->output);
    free(stream);
}

void stream_free(struct stream **stream)
{
    struct stream *s = *stream;

    if (!s)
        return;
    *stream = NULL;
    stream_silence(s);
    wire_close(&s->wire);
    error_free(&s->refusal);
    s->dead = true;
    if (!s->busy)
        stream_release(s);
}

bool stream_heard(const struct stream *stream)
{
    return !stream->dead && !stream->finishing && stream->phase != PHASE_CLOSED;
}

void stream_close(struct stream *stream, enum stream_end end, struct error *err)
{
    if (stream->finishing) {
        stream_free(&stream);
    } else if (stream_heard(stream)) {
        stream->end = end;
        stream_silence(stream);
        if (stream->events->closed)
            stream->events->closed(stream->ctx, err);
    }
    error_free(&err);
}

/* Connecting and securing */

/* Here ends a phase in which nothing could be sent: what was written meanwhile goes now. */
static void stream_opened(struct stream *stream)
{
    stream->phase = PHASE_OPEN;
    stream->write_blocked = false;
    loop_defer(stream->loop, &stream->work);
}

static void stream_step_connect(struct stream *stream)
{
    struct error *err = wire_connected(&stream->wire);

    if (err) {
        stream_close(stream, STREAM_END_REFUSED, err);
        return;
    }
    stream_opened(stream);
    if (stream->events->connected)
        stream->events->connected(stream->ctx);
}

static void stream_secured(struct stream *stream, const struct tls_session *session)
{
    stream_opened(stream);
    stream->events->secured(stream->ctx, session);
    if (stream_listens(stream) && wire_has_more(&stream->wire))
        stream_read(stream);
}

static void stream_step_handshake(struct stream *stream)
{
    struct tls_session session;
    enum wire_result result = wire_handshake(&stream->wire, &session);

    stream->write_blocked = result == WIRE_WANT_WRITE;
    if (result == WIRE_DONE)
        stream_secured(stream, &session);
    else if (result != WIRE_WANT_READ && result != WIRE_WANT_WRITE)
        stream_close(stream, STREAM_END_TLS, wire_error(&stream->wire, "TLS handshake"));
}

/* The handshake begins when the last clear byte is out. */
static void stream_begin_handshake(struct stream *stream)
{
    if (stream->phase != PHASE_SECURING || stream->clear_left > 0 || stream->finishing)
        return;
    stream->phase = PHASE_HANDSHAKE;
    stream_step_handshake(stream);
}

/* Ending */

/* stream_finish: all that can be sent is sent. */
static bool stream_has_said_all(const struct stream *stream)
{
    return stream->finishing && !stream->dead && stream->phase != PHASE_LINGERING &&
           stream_sendable(stream).len == 0;
}

static void stream_linger(struct stream *stream)
{
    char *room = loop_scratch(stream->loop);

    stream->phase = PHASE_LINGERING;
    stream->write_blocked = false;
    if (wire_linger(&stream->wire, room, LOOP_SCRATCH_SIZE) == WIRE_DONE)
        stream_free(&stream);
}

/* What the loop calls */

static void stream_enter(struct stream *stream)
{
    ensure(!stream->busy);
    stream->busy = true;
}

static void stream_watch(struct stream *stream)
{
    bool read = stream->phase == PHASE_LINGERING || stream_listens(stream);
    bool write = stream->write_blocked || stream->phase == PHASE_CONNECTING ||
                 (stream->read_wants_write && !stream->paused);

    if (stream->phase == PHASE_HANDSHAKE)
        read = !stream->write_blocked;
    if (stream->watch)
        loop_watch_want(stream->watch, read, write);
}

static void stream_leave(struct stream *stream)
{
    stream->busy = false;
    if (stream->dead)
        stream_release(stream);
    else
        stream_watch(stream);
}

/* At the end of the turn: what the owner's calls have asked for. */
static void on_work(void *ctx)
{
    struct stream *stream = ctx;

    stream_enter(stream);
    if (stream->refusal) {
        struct error *err = stream->refusal;
        stream->refusal = NULL;
        stream_close(stream, STREAM_END_REFUSED, err);
    }
    if (stream->offer_due && stream_listens(stream))
        stream_offer_kept(stream);
    stream_flush(stream);
    stream_begin_handshake(stream);
    if (stream_has_said_all(stream)) {
        wire_say_end(&stream->wire);
        stream_linger(stream);
    }
    stream_leave(stream);
}

static void stream_ready_open(struct stream *stream, bool readable, bool writable)
{
    if (writable)
        stream->write_blocked = false;
    if ((readable || stream->read_wants_write) && stream_listens(stream))
        stream_read(stream);
    if (buf_len(&stream->output) > 0 && !stream->dead)
        loop_defer(stream->loop, &stream->work);
}

static void on_ready(void *ctx, bool readable, bool writable)
{
    struct stream *stream = ctx;

    stream_enter(stream);
    switch (stream->phase) {
    case PHASE_CONNECTING:
        stream_step_connect(stream);
        break;
    case PHASE_OPEN:
    case PHASE_SECURING:
        stream_ready_open(stream, readable, writable);
        break;
    case PHASE_HANDSHAKE:
        stream_step_handshake(stream);
        break;
    case PHASE_LINGERING:
        stream_linger(stream);
        break;
    case PHASE_CLOSED:
        break;
    }
    stream_leave(stream);
}

/* The timer is never moved forward, only found to be early: a new deadline costs nothing. */
static void on_timer(void *ctx)
{
    struct stream *stream = ctx;
    int64_t deadline_ms = stream->deadline_ms;

    if (deadline_ms < 0)
        return;
    if (deadline_ms > loop_now(stream->loop)) {
        stream_deadline(stream, deadline_ms - loop_now(stream->loop));
        return;
    }
    stream_enter(stream);
    stream_close(stream, STREAM_END_TIMEOUT, error_new(ERROR_TRANSIENT, "timed out"));
    stream_leave(stream);
}

/* What the owner calls */

void stream_finish(struct stream **stream, int64_t wait_ms)
{
    struct stream *s = *stream;

    if (!s)
        return;
    *stream = NULL;
    if (s->phase == PHASE_CLOSED || s->phase == PHASE_CONNECTING || s->phase == PHASE_HANDSHAKE) {
        stream_free(&s);
        return;
    }
    s->finishing = true;
    stream_deadline(s, wait_ms);
    loop_defer(s->loop, &s->work);
}

void stream_input_limit(struct stream *stream, size_t bytes)
{
    stream->input_limit = bytes;
    stream->input.cap = bytes + LOOP_SCRATCH_SIZE; /* what one read adds is offered first */
}

static void stream_wrote(struct stream *stream)
{
    stream->above_low = stream->above_low || buf_len(&stream->output) > stream->low_mark;
    loop_defer(stream->loop, &stream->work);
}

void stream_write(struct stream *stream, struct span bytes)
{
    if (stream->phase == PHASE_CLOSED)
        return;
    ensure(buf_append(&stream->output, bytes));
    stream_wrote(stream);
}

void stream_write_secret(struct stream *stream, struct span bytes)
{
    stream->output_is_secret = true;
    stream_write(stream, bytes);
}

bool stream_printf(struct stream *stream, const char *format, ...)
{
    char text[4096];
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof(text))
        return false;
    stream_write(stream, (struct span){ text, (size_t)len });
    return true;
}

size_t stream_pending(const struct stream *stream)
{
    return buf_len(&stream->output);
}

void stream_low_mark(struct stream *stream, size_t low)
{
    stream->low_mark = low;
}

void stream_pause(struct stream *stream)
{
    stream->paused = true;
    if (stream->phase != PHASE_CLOSED)
        loop_defer(stream->loop, &stream->work);
}

void stream_resume(struct stream *stream)
{
    stream->paused = false;
    stream->offer_due = true;
    if (stream->phase != PHASE_CLOSED)
        loop_defer(stream->loop, &stream->work);
}

size_t stream_unused(const struct stream *stream)
{
    return stream->lent ? stream->lent : buf_len(&stream->input);
}

void stream_forget(const struct stream *stream, struct span piece)
{
    ensure(stream->lent > 0); /* the bytes are the loop's or our own */
    crypto_cleanse((void *)(uintptr_t)piece.data, piece.len);
}

static void stream_secure(struct stream *stream)
{
    stream->phase = PHASE_SECURING;
    stream->clear_left = buf_len(&stream->output);
    if (!stream->lent) /* else thrown away when the owner gives it back */
        buf_reset(&stream->input);
    loop_defer(stream->loop, &stream->work);
}

void stream_secure_client(struct stream *stream, struct tls_context *context, const char *name)
{
    ensure(stream->phase == PHASE_OPEN && !stream->wire.ssl);
    stream_secure(stream);
    wire_secure_client(&stream->wire, context, name);
}

unsigned stream_expect_tlsa(struct stream *stream, const struct tlsa_names *also,
                            const struct span *records, unsigned count)
{
    ensure(stream->phase == PHASE_SECURING);
    return wire_expect_tlsa(&stream->wire, also, records, count);
}

void stream_resume_tls(struct stream *stream, const struct tls_resumable *resumable)
{
    ensure(stream->phase == PHASE_SECURING);
    wire_resume(&stream->wire, resumable);
}

struct tls_resumable *stream_resumable(const struct stream *stream)
{
    return wire_resumable(&stream->wire);
}

void stream_secure_server(struct stream *stream, struct tls_context *context)
{
    ensure(stream->phase == PHASE_OPEN && !stream->wire.ssl);
    stream_secure(stream);
    wire_secure_server(&stream->wire, context);
}

bool stream_is_secure(const struct stream *stream)
{
    return stream->wire.secured;
}

size_t stream_tls_binding(const struct stream *stream, enum tls_binding kind,
                          unsigned char room[TLS_BINDING_MAX])
{
    return wire_binding(&stream->wire, kind, room);
}

void stream_deadline(struct stream *stream, int64_t wait_ms)
{
    bool running = stream->timer && loop_timer_running(stream->timer);

    stream->deadline_ms = wait_ms < 0 ? -1 : loop_now(stream->loop) + wait_ms;
    if (wait_ms < 0 || stream->phase == PHASE_CLOSED ||
        (running && stream->timer_due_ms <= stream->deadline_ms))
        return;
    if (!stream->timer)
        stream->timer = loop_timer_new(stream->loop, on_timer, stream);
    stream->timer_due_ms = stream->deadline_ms;
    loop_timer_start(stream->timer, wait_ms);
}

enum stream_end stream_end(const struct stream *stream)
{
    return stream->end;
}

const char *stream_tls_reason(const struct stream *stream)
{
    return stream->wire.reason;
}

bool stream_local(const struct stream *stream, struct endpoint *out)
{
    return wire_local(&stream->wire, out);
}

bool stream_remote(const struct stream *stream, struct endpoint *out)
{
    return wire_remote(&stream->wire, out);
}
