/*
 * data_stream - reads content in pieces of any size and judges it.  What follows DATA ends with one
 * thing only: CRLF "." CRLF (RFC 5321 s.4.1.1.4, s.4.5.2; pitfalls.md section 7.1), and the stuffed
 * dots are taken away.  What comes in the chunks of BDAT (RFC 3030 s.2) has no dots to take away
 * and ends where its reader says so.  Called by smtpd/intake.  Hands the content on as spans of the
 * input, without a copy.
 * A bare CR, a bare LF or a NUL never ends data and never begins a line; it is a fault, for which
 * the transaction is refused after the true end (550 5.6.0).  Behind a fault nothing is handed on,
 * counting goes on.  Where bare LFs are mended (data_stream_mend) each becomes a CRLF and begins a
 * line; still nothing but CRLF "." CRLF ends the data, so that nothing can be smuggled.  Pure: no
 * memory; the same facts come out however the input is cut.
 */
#ifndef WAXSEAL_MAIL_DATA_STREAM_H
#define WAXSEAL_MAIL_DATA_STREAM_H

#include "lib/base/error.h"
#include "lib/base/span.h"
#include "lib/mail/tls_required.h"

enum data_fault {
    DATA_CLEAN,
    DATA_BARE_CR,
    DATA_BARE_LF,
    DATA_NUL,
};

/* "bare CR", "bare LF", "NUL"; "" for DATA_CLEAN. */
const char *data_fault_name(enum data_fault fault);

/* Takes content: lent, with CRLF line ends; never empty; a part of the input, unless mended. */
typedef void data_emit_fn(void *ctx, struct span content);

enum { DATA_FIELD_NAME_SIZE = 9 }; /* "Received:" */

struct data_stream {
    /* Facts, to be read at any time. */
    bool ended;                       /* CRLF.CRLF has come, or data_stream_end was called */
    enum data_fault fault;            /* the first one */
    uint64_t bytes;                   /* of content, CRLFs counted, stuffed dots and the end not */
    uint64_t lines;                   /* whole ones */
    uint64_t longest_line;            /* octets, CRLF not counted */
    uint64_t header_bytes;            /* up to and with the empty line */
    uint64_t mended;                  /* lines whose end was a bare LF */
    unsigned received;                /* Received fields in the header */
    uint64_t line_bytes;              /* of the line begun */
    bool in_header;                   /* the empty line has not come */
    bool eight_bit;                   /* in what was handed on */
    bool eight_bit_header;            /* in the header, or in what may be that of a MIME part */
    struct tls_required tls_required; /* what the header says of it */

    /* Its own. */
    data_emit_fn *emit;
    void *ctx;
    bool is_chunked;
    bool mends;
    bool follows_bare_lf; /* the line begun: its dot ends nothing */
    int state;
    bool in_part;                    /* behind a line that may be a MIME boundary */
    char name[DATA_FIELD_NAME_SIZE]; /* the first bytes of the line begun */
};

/* Ready for the first byte behind the CRLF of DATA. */
void data_stream_init(struct data_stream *data, data_emit_fn *emit, void *ctx);

/* Ready for the first octet of a first chunk; a line, or a CRLF, may go on in the next one. */
void data_stream_init_chunked(struct data_stream *data, data_emit_fn *emit, void *ctx);

/* From here on, behind either init, bare LFs are no faults. */
void data_stream_mend(struct data_stream *data);

/* The last chunk is over: a CR at its very end stays bare. */
void data_stream_end(struct data_stream *data);

/*
 * Takes input; gives how many bytes are used up: all of them, or, when the end has come, those up
 * to its CRLF (what follows is the next command).  `emit` is called from inside, for at most as
 * many bytes as the input has: whoever must hold back hands in less.
 */
size_t data_stream_take(struct data_stream *data, struct span input);

#endif
