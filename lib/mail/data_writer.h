/*
 * data_writer - content on its way out: dots stuffed (for DATA), the last line ended, "." CRLF at
 * the end (RFC 5321 s.4.5.2, s.4.1.1.4).  Called by queue/deliver/dialogue.  Every CR and LF is
 * checked to be half of a CRLF, and NUL refused, before it leaves: the queue is another's word, and
 * a bare LF smuggles mail into weak receivers (pitfalls.md section 7.1).  Pure: no memory, no copy.
 */
#ifndef WAXSEAL_MAIL_DATA_WRITER_H
#define WAXSEAL_MAIL_DATA_WRITER_H

#include "lib/mail/data_stream.h"

struct data_writer {
    enum data_fault fault; /* the first one; then nothing more is handed on */
    uint64_t bytes;        /* handed on, stuffed dots and the end counted */

    /* Its own. */
    data_emit_fn *emit;
    void *ctx;
    int state;
    bool plain;
};

/* `emit` takes what is to be written to the server, lent, from inside the two calls below. */
void data_writer_init(struct data_writer *writer, data_emit_fn *emit, void *ctx);

/*
 * For BDAT (RFC 3030): no dots, and nothing held back, so that each piece has as many octets
 * outside as it has here; a piece with a fault has fewer.
 */
void data_writer_init_plain(struct data_writer *writer, data_emit_fn *emit, void *ctx);

/*
 * Takes the next piece of content.  Anything but DATA_CLEAN: the message must not go on and the
 * connection must be closed without the final dot; what stood before the fault has been handed on.
 */
enum data_fault data_writer_put(struct data_writer *writer, struct span content) MUST_CHECK;

/* Is the last line of what was put without its end? */
bool data_writer_is_in_line(const struct data_writer *writer);

/* Ends the last line, if need be, and the data. */
enum data_fault data_writer_finish(struct data_writer *writer) MUST_CHECK;

#endif
