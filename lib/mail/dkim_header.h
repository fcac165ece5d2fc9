/*
 * dkim_header - the canonical form of a header field (RFC 6376 s.3.4.1, s.3.4.2).  Called by
 * dkim_signature.  Pure.
 */
#ifndef WAXSEAL_MAIL_DKIM_HEADER_H
#define WAXSEAL_MAIL_DKIM_HEADER_H

#include "lib/base/buf.h"
#include "lib/mail/dkim.h"

/*
 * Appends the canonical form of a field, given with its continuation lines, without the CRLF at
 * its end (it may have one or not).  False when there is no room, or it has no colon.
 */
bool dkim_header_append(struct span field, enum dkim_canon canon, struct buf *out) MUST_CHECK;

#endif
