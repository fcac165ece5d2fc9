/*
 * letter - a message as it is handed to the relay: the commands of its envelope and its content.
 * Called by sendmail.  Pure.  Names without a domain get the origin; with -t the recipients come
 * from To, Cc and Bcc (or from Resent-To and its kin), and Bcc goes; a missing From is written.
 * Date and Message-ID are the relay's to add, and what addresses may be is its to judge.
 */
#ifndef WAXSEAL_SENDMAIL_LETTER_H
#define WAXSEAL_SENDMAIL_LETTER_H

#include "lib/base/buf.h"
#include "lib/base/error.h"
#include "sendmail/options.h"

/* Who sends it, and from where. */
struct letter_author {
    const char *login;
    const char *full_name; /* "" for none */
    const char *origin;    /* the domain of names without one */
};

struct letter {
    struct buf commands; /* MAIL and RCPT, each with LF */
    struct buf content;  /* with CRLF line ends */
    unsigned recipients;
};

/*
 * Makes a letter of a text with CRLF line ends.  An error (PERMANENT) says what the user has
 * written wrong.  *out is empty, or to be cleared.
 */
struct error *letter_write(struct span text, bool eight_bit, const struct sendmail_options *options,
                           const struct letter_author *author, struct letter *out) MUST_CHECK;
void letter_clear(struct letter *letter);

/*
 * The envelope in parts of at most `most` recipients, for a relay takes only so many at a time
 * (RFC 5321 s.4.5.3.1.8): puts the commands of the next part into an empty buffer.  *at is 0 at
 * first; false behind the last part.
 */
bool letter_part(const struct letter *letter, unsigned most, size_t *at, struct buf *out_commands);

#endif
