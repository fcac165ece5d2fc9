/*
 * tls_required - does a header say "TLS-Required: No" (RFC 8689 s.3)?  Called by data_stream with
 * the lines of the header, in the pieces that they come in.  Pure: no memory; the same comes out
 * however a line is cut.
 * The field counts where it stands once and says nothing but "No", in whatever case, with blanks
 * and folds around it (rfc/message-format.md MSG-75).  Anything else is as if there were none, for
 * the field only ever takes protection away.  Behind a line that is no field there is no header any
 * more (lib/mail/header_fields).
 */
#ifndef WAXSEAL_MAIL_TLS_REQUIRED_H
#define WAXSEAL_MAIL_TLS_REQUIRED_H

#include "lib/base/span.h"

#define TLS_REQUIRED_FIELD "TLS-Required"

/* A plain value, all zero at the beginning of a header; its members are its own. */
struct tls_required {
    unsigned char place;
    unsigned char value;
    bool is_ours;   /* the field begun has that name, or may come to have it */
    bool has_field; /* one has begun: a line may go on with it */
    bool is_over;   /* there was a line that is no field, or the empty one */
    unsigned fits;  /* bytes of the name begun */
    unsigned count; /* fields of that name */
};

/* Takes bytes of the line begun, without its CRLF. */
void tls_required_take(struct tls_required *t, struct span part);
/* The line has ended. */
void tls_required_end_line(struct tls_required *t);
/* Asked when the header, or the message, has ended. */
bool tls_required_says_no(const struct tls_required *t);

#endif
