/*
 * intake - the content of one message on its way from DATA or BDAT to the queue, in the pieces it
 * comes in; never held whole.  Called by smtpd/session.  It unstuffs, counts and judges (size,
 * hops, bare line ends), gives the queue no more than its credit allows, and knows the reply to the
 * final dot.  It hashes the body as the queue gets it, where it may have to be signed as it leaves
 * (rfc/dkim.md DKIM-1).  Where the listener has duties for the header (smtpd/duties), that alone is
 * held until it is whole, and goes on as they left it; where it has none, nothing is held. Rules:
 * RFC 5321 s.4.1.1.4, s.4.5.2, s.6.3; RFC 1870 s.6.3; rfc/smtp-server.md section 3; pitfalls.md
 * section 7.1.
 */
#ifndef WAXSEAL_SMTPD_INTAKE_H
#define WAXSEAL_SMTPD_INTAKE_H

#include "lib/base/buf.h"
#include "lib/base/limits.h"
#include "lib/ipc/queue_client.h"
#include "lib/mail/data_stream.h"
#include "smtpd/duties.h"
#include "smtpd/replies.h"

struct intake_header;

struct intake_events {
    /* Content can be taken again, after intake_take had taken none. */
    void (*room)(void *ctx);
    /* What intake_end could not say yet: the reply to the final dot, and the queue id. */
    void (*settled)(void *ctx, enum reply_id reply, uint64_t id);
};

/* A message that begins; all lent for the call but `joined`. */
struct intake_start {
    struct queue_client *queue; /* must be up */
    const struct envelope *envelope;
    struct span trace_head;
    struct span trace_tail;
    uint64_t max_bytes;
    uint64_t max_header_bytes;
    uint64_t max_line; /* octets; 0: any */
    unsigned max_hops;
    bool mends_lines;            /* bare LFs are no faults here */
    bool hashes_relaxed;         /* the body, for DKIM signatures: its canonical form ... */
    bool hashes_simple;          /* ... or forms */
    bool is_chunked;             /* BDAT: the caller says where it ends */
    const struct duties *duties; /* NULL: none; what it points to is lent for longer */
    struct buf *joined;          /* INTAKE_JOINED_MAX, empty between calls: one for all intakes */
};

enum {
    INTAKE_PIECE_MAX = FRAME_BODY_MAX,
    /* mended: each bare LF as CRLF, and a dot that came in the piece before */
    INTAKE_JOINED_MAX = 2 * INTAKE_PIECE_MAX + 1,
    /* a header as duties left it, and what came with its end */
    INTAKE_EDITED_MAX = 4 * HEADER_BYTES_MAX + INTAKE_JOINED_MAX,
};

/* A plain value, part of a session. */
struct intake {
    struct data_stream data;
    uint64_t max_bytes;
    uint64_t max_header_bytes;
    uint64_t max_line;
    unsigned max_hops;
    struct queue_accept *accept;  /* NULL when there is none, or no more */
    struct intake_header *header; /* NULL: the content passes as it comes */
    uint64_t sent;                /* bytes that the queue was given */
    struct body_hash *body;       /* of these; NULL: none is wanted */
    enum reply_id refusal;        /* what the final dot will be answered; REPLY_WAIT: open */
    bool hides_tls_required;      /* its duties take that field out */
    bool is_whole;                /* intake_end was called */
    bool has_ended;               /* the queue has all of it */
    struct span held;             /* content of the present piece, not handed on yet */
    struct buf *joined;           /* the same, when it came apart */
    const struct intake_events *events;
    void *ctx;
};

void intake_begin(struct intake *intake, const struct intake_start *start,
                  const struct intake_events *events, void *ctx);

/*
 * With BDAT: a chunk of so many octets comes.  One that would be too much is refused now, so that
 * none of it goes to the queue (pitfalls.md section 7.20).
 */
void intake_expect(struct intake *intake, uint64_t octets);

/*
 * Takes input behind DATA or BDAT; gives how much is used up.  0: the queue gives no credit, wait
 * for `room`.  With intake->data.ended what follows is the next command.
 */
size_t intake_take(struct intake *intake, struct span input);

/* The content has ended: the reply to the final dot, or REPLY_WAIT, then `settled` comes. */
enum reply_id intake_end(struct intake *intake);

/* Throws away what the queue has of it; no event comes any more. */
void intake_abort(struct intake *intake);

#endif
