/*
 * drop_file - what lies in the drop folder: a message that sendmail(1) could not hand to the relay
 * itself.  Written by sendmail(1), read by smtpd/pickup, to whom every byte of it is hostile. Pure.
 *
 *     waxseal-drop 1 mNAME         form, and the file's own name: nobody can pass on another's file
 *     1234                         octets of content
 *     MAIL FROM:<ada@example.net>  the envelope, as SMTP says it
 *     RCPT TO:<bob@example.org> NOTIFY=NEVER
 *                                  an empty line
 *     Subject: ...                 the content, with CRLF line ends, nothing stuffed
 *
 * The lines of the head end with LF.  What MAIL and RCPT say is judged by the session they are
 * handed to, as if a client had said it.
 */
#ifndef WAXSEAL_SMTPD_PICKUP_DROP_FILE_H
#define WAXSEAL_SMTPD_PICKUP_DROP_FILE_H

#include "lib/base/buf.h"

enum {
    DROP_NAME_LEN = 33,          /* 'm' and 32 hexadecimal digits */
    DROP_HEAD_MAX = 1024 * 1024, /* octets up to the empty line */
    DROP_COMMAND_MAX = 4096 - 2, /* of MAIL and RCPT; SMTP_COMMAND_MAX with CRLF */
};

/* A fresh name, which nobody can guess. */
void drop_name_new(char name[DROP_NAME_LEN + 1]);
/* While it is written a file has the same name with a 't' in front. */
bool drop_name_is_whole(struct span name);
bool drop_name_is_unfinished(struct span name);

struct drop_head {
    uint64_t content_size;
    struct span commands; /* the lines of the envelope, each with LF */
    size_t len;           /* where the content begins */
};

enum drop_fault {
    DROP_FINE,
    DROP_NOT_OURS,     /* another form */
    DROP_FOREIGN_NAME, /* of another name */
    DROP_BAD_SIZE,
    DROP_BAD_COMMAND,
    DROP_NO_RECIPIENT,
    DROP_CUT, /* the empty line is not there */
};
/* "another form", ... */
const char *drop_fault_name(enum drop_fault fault);

/* Reads a head at the front of `text`; *out lends from it. */
enum drop_fault drop_head_parse(struct span text, const char *name, struct drop_head *out);

/* False when it would be longer than a head may be, or *out's cap. */
bool drop_head_write(const char *name, struct span commands, uint64_t content_size,
                     struct buf *out) MUST_CHECK;

#endif
