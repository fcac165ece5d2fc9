/*
 * submission - the client's half of the dialogue in which mail of this machine is handed in: what
 * is said after each reply.  Called by sendmail(1), over the relay's Unix socket, and by
 * smtpd/pickup, for what lay in the drop folder.  Pure; the owner moves the bytes.
 * Rules: RFC 5321 s.3.3, s.4.2.4.  Nothing is pipelined: the other end is on the same machine.
 */
#ifndef WAXSEAL_MAIL_SUBMISSION_H
#define WAXSEAL_MAIL_SUBMISSION_H

#include "lib/base/span.h"
#include "lib/mail/reply.h"

enum submission_step {
    SUBMISSION_SAY,     /* send the words, then hand in the reply */
    SUBMISSION_CONTENT, /* send the content as DATA wants it, then hand in the reply */
    SUBMISSION_TAKEN,   /* the message is the relay's */
    SUBMISSION_LATER,   /* refused for now; nothing of it was taken */
    SUBMISSION_REFUSED, /* for good; nothing of it was taken */
};

enum submission_stage {
    SUBMISSION_GREETING,
    SUBMISSION_EHLO,
    SUBMISSION_COMMANDS,
    SUBMISSION_DATA,
    SUBMISSION_END,
};

/* Hears of a recipient that was refused for good: the whole command, without its line end. */
typedef void submission_refused_fn(void *ctx, struct span command, const struct reply *reply);

struct submission {
    enum submission_stage stage;
    struct span rest;  /* commands not said yet */
    struct span said;  /* the last one of them */
    unsigned accepted; /* recipients */
    unsigned refused;  /* recipients */
    bool all_or_none;  /* one recipient refused: the whole message */
    submission_refused_fn *on_refused;
    void *ctx;
};

/*
 * Ready for the server's greeting.  `commands` are lines, each with LF: a MAIL, then at least one
 * RCPT; lent until the end.
 */
void submission_begin(struct submission *s, struct span commands, bool all_or_none,
                      submission_refused_fn *on_refused, void *ctx);

/* Takes the reply to what was said last.  With SAY *out_words and a CRLF are to be sent. */
enum submission_step submission_take(struct submission *s, const struct reply *reply,
                                     struct span *out_words);

#endif
