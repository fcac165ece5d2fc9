/*
 * text - what a program writes as a message, made into lines that end with CRLF.  Called by
 * sendmail with what comes from standard input, in pieces of any size.  Pure.
 * LF, CR and CRLF end a line; NUL is left out (RFC 5322 s.4 has readers ignore it); a line with
 * nothing but a dot is the end, unless told otherwise.
 */
#ifndef WAXSEAL_SENDMAIL_TEXT_H
#define WAXSEAL_SENDMAIL_TEXT_H

#include "lib/base/buf.h"

struct text {
    struct buf *out; /* the caller's */
    bool dot_is_text;
    bool ended;     /* by a dot: what follows is not part of it */
    bool overflown; /* it does not fit into `out` */
    bool eight_bit;

    /* Its own. */
    bool in_line;
    bool after_cr;
    bool after_dot; /* the line so far, and held back */
};

void text_init(struct text *text, bool dot_is_text, struct buf *out);
void text_take(struct text *text, struct span input);
/* No more comes: ends a line that is not ended. */
void text_end(struct text *text);

#endif
