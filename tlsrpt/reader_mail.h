/*
 * reader_mail - finds the TLS report in a mail: in any part, decoded, also in a mail that was
 * forwarded within another.  Called by reader.  Pure.  A report is known by its media type
 * (RFC 8460 s.6.4, s.6.5), by its name or by how it begins; of several parts the one that most
 * speaks for is taken.  Bounds: READER_MAIL_DEPTH levels, READER_MAIL_PARTS parts.
 */
#ifndef WAXSEAL_TLSRPT_READER_MAIL_H
#define WAXSEAL_TLSRPT_READER_MAIL_H

#include "lib/base/buf.h"
#include "lib/base/limits.h"
#include "tlsrpt/reader_notes.h"

enum {
    READER_MAIL_DEPTH = 8,
    READER_MAIL_PARTS = 200,
    READER_MAIL_DECODED_MAX = 72 * 1024 * 1024, /* bytes of encoded mails within the mail */
    READER_WORDS_SIZE = 256,                    /* of a field or parameter that is told */
};

struct reader_mail {
    struct buf content; /* what the part stands for; ours to clear */
    char media_type[READER_WORDS_SIZE];
    char file_name[READER_WORDS_SIZE];
    /* of the innermost mail around it; "" for none */
    char from[ADDRESS_MAX + 1];
    char report_domain[READER_WORDS_SIZE];
    char submitter[READER_WORDS_SIZE];
    bool forwarded; /* that mail stands within another */
};

/* Does a text begin with a field, as mails do? */
bool reader_mail_is(struct span text);

/* False when there is no report in it; `out` is to be cleared in any case. */
bool reader_mail_find(struct span mail, struct reader_notes *notes, struct reader_mail *out);
void reader_mail_clear(struct reader_mail *mail);

/* Does a text begin as JSON does, behind blanks? */
bool reader_is_json(struct span text);

#endif
