/*
 * dkim_body - the canonical form of a message's body (RFC 6376 s.3.4.3, s.3.4.4), made while the
 * body streams by in pieces of any size.  Called by lib/io/body_hash.  Pure: no memory; what is
 * canonical is given to a sink, in pieces of its own.  Lines end with CRLF; a bare CR or LF, which
 * the relay does not let in, is an octet like others.
 */
#ifndef WAXSEAL_MAIL_DKIM_BODY_H
#define WAXSEAL_MAIL_DKIM_BODY_H

#include "lib/mail/dkim.h"

typedef void dkim_body_sink(void *ctx, struct span canonical);

struct dkim_body {
    enum dkim_canon canon;
    dkim_body_sink *sink;
    void *ctx;
    uint64_t line_ends; /* CRLFs that count only if something follows them */
    bool has_blank;     /* the same of a run of blanks and tabs; relaxed */
    bool has_cr;        /* the last octet: perhaps half of a CRLF */
    bool has_content;   /* something was given to the sink or gathered for it */
    size_t gathered;
    char block[2048];
};

void dkim_body_init(struct dkim_body *body, enum dkim_canon canon, dkim_body_sink *sink, void *ctx);
void dkim_body_add(struct dkim_body *body, struct span piece);

/* The last of it; nothing may be added any more. */
void dkim_body_end(struct dkim_body *body);

#endif
