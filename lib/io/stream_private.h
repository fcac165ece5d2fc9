/*
 * stream_private - what stream.c (the life of a stream and its owner's calls) and stream_io.c
 * (its reading and writing) share.  Nobody else includes it.
 */
#ifndef WAXSEAL_IO_STREAM_PRIVATE_H
#define WAXSEAL_IO_STREAM_PRIVATE_H

#include "lib/base/buf.h"
#include "lib/io/stream.h"
#include "lib/io/wire.h"

/* The life of a stream: one way down, save that OPEN is reached in clear and again in TLS. */
enum phase {
    PHASE_CONNECTING,
    PHASE_OPEN,
    PHASE_SECURING, /* what was written before the handshake is still to be sent */
    PHASE_HANDSHAKE,
    PHASE_LINGERING, /* stream_finish: all is said, the peer may have to hear it */
    PHASE_CLOSED,
};

struct stream {
    struct loop *loop;
    struct wire wire;
    const struct stream_events *events;
    void *ctx;
    struct loop_watch *watch; /* NULL: there is no socket */
    struct loop_timer *timer;
    struct loop_task work;
    struct buf input;  /* read and not used up */
    struct buf output; /* written and not yet with the kernel */
    size_t input_limit;
    size_t lent; /* bytes of input under the owner's eyes right now */
    size_t low_mark;
    size_t clear_left;   /* PHASE_SECURING: bytes of the output that go in clear */
    int64_t deadline_ms; /* -1: none */
    int64_t timer_due_ms;
    struct error *refusal; /* why connecting failed at once */
    enum phase phase;
    enum stream_end end;
    bool output_is_secret; /* its memory is wiped when all of it has left */
    bool paused;
    bool offer_due; /* reading was resumed: the input is to be offered again */
    bool above_low;
    bool write_blocked;    /* nothing can be written before the socket is writable */
    bool read_wants_write; /* TLS must write before it can read */
    bool finishing;        /* the owner has gone, what is written is still to be sent */
    bool busy;             /* one of our own callbacks runs: memory must stay */
    bool dead;             /* freed while busy */
};

/* Is there an owner to hear of things?  To be asked anew after each callback. */
bool stream_heard(const struct stream *stream);

/* May the owner be offered input now? */
bool stream_listens(const struct stream *stream);

/* The connection has ended: tells the owner.  Takes `err`. */
void stream_close(struct stream *stream, enum stream_end end, struct error *err);

/* Reads once and offers what came; offers again what the owner had not used up. */
void stream_read(struct stream *stream);
void stream_offer_kept(struct stream *stream);

/* The output that may be sent in this phase, and sending it. */
struct span stream_sendable(const struct stream *stream);
void stream_flush(struct stream *stream);
/* Wipes the output's memory if a secret was in it, `now` or never. */
void stream_wipe_output(struct stream *stream, bool now);

#endif
