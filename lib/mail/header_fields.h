/*
 * header_fields - a header block taken apart into its fields (RFC 5322 s.2.2).  Called by
 * smtpd/duties and whoever looks for a field.  Pure: no memory; spans point into the block.
 * The block ends at its empty line or, as nobody repairs mail of others, at the first line that is
 * no field; a "From " line of an mbox file in front is stepped over (rfc/message-format.md MSG-15).
 */
#ifndef WAXSEAL_MAIL_HEADER_FIELDS_H
#define WAXSEAL_MAIL_HEADER_FIELDS_H

#include "lib/base/span.h"

struct header_fields {
    struct span rest; /* what has not been visited; at the end: from the empty line on */
};

struct header_field {
    struct span whole; /* with its continuation lines and last CRLF */
    struct span name;  /* without the blanks that may stand before the colon (obs-optional) */
    struct span body;  /* behind the colon, up to the last CRLF, which is not part of it */
};

/* A block in lines that end with CRLF; the last one may lack it. */
void header_fields_init(struct header_fields *fields, struct span block);

/* The next field; false behind the last one. */
bool header_fields_next(struct header_fields *fields, struct header_field *out);

/*
 * Steps over the line that is no field, for who must see what other readers may see behind it;
 * false at the empty line, or where there is nothing more.
 */
bool header_fields_skip(struct header_fields *fields);

#endif
