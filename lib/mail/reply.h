/*
 * reply - an SMTP reply: code, enhanced status, text lines (RFC 5321 s.4.2, RFC 2034).
 * reply_parser is the pure, incremental reader of a hostile server's replies.
 */
#ifndef WAXSEAL_MAIL_REPLY_H
#define WAXSEAL_MAIL_REPLY_H

#include "lib/base/buf.h"
#include "lib/base/limits.h"
#include "lib/base/span.h"

struct status { /* enhanced status code x.y.z; all 0: none */
    uint16_t class;
    uint16_t subject;
    uint16_t detail;
};
/* "5.1.1" at the front of text, followed by a blank or the end; gives the bytes used, 0 for none.
 */
size_t status_parse(struct span text, struct status *out);
enum { STATUS_TEXT_SIZE = 12 };
void status_format(const struct status *s, char text[STATUS_TEXT_SIZE]);

/* A whole reply.  Text: lines joined with '\n', control bytes and 8-bit made harmless, cut at 2
 * KiB. */
enum { REPLY_TEXT_MAX = 2048 };
struct reply {
    int code;             /* 200 to 599 */
    struct status status; /* only when its class fits the code */
    struct buf text;
    unsigned lines;
};

bool reply_is(const struct reply *reply, int code);
bool reply_is_positive(const struct reply *reply);     /* 2yz */
bool reply_is_intermediate(const struct reply *reply); /* 3yz: neither yes nor no */
bool reply_is_transient(const struct reply *reply);    /* 4yz */
bool reply_is_permanent(const struct reply *reply);    /* 5yz */
/* Appends its text on one line ("; " between lines) to *out, cut where out is full. */
void reply_to_line(const struct reply *reply, struct buf *out);

enum reply_progress {
    REPLY_MORE,   /* bytes are missing */
    REPLY_WHOLE,  /* parser->reply holds one; `out_used` bytes of input are used up */
    REPLY_BROKEN, /* not SMTP: parser->fault says why */
};

struct reply_parser {
    struct reply reply;
    size_t bytes;      /* of this reply so far */
    const char *fault; /* "reply line too long", "codes differ within a reply", ... */
    bool complete;
};
void reply_parser_init(struct reply_parser *p);
void reply_parser_clear(struct reply_parser *p);
/*
 * Feeds input; stops behind the last line of a reply.  A line that has not wholly come is left
 * unused, to be handed in again with more behind it.  After REPLY_BROKEN the connection is of no
 * more use.  The call after REPLY_WHOLE begins the next reply.  EHLO needs the raw lines:
 * `on_line`, if not NULL, is called with each text line (without code and separator) as it comes.
 */
enum reply_progress reply_parse(struct reply_parser *p, struct span input,
                                void (*on_line)(void *ctx, unsigned number, struct span text),
                                void *ctx, size_t *out_used);

#endif
