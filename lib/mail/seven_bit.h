/*
 * seven_bit - bodies of generated mail, so that any host takes them: as they are where that is
 * 7-bit, else quoted-printable.  Called by queue/notify and tlsrpt/report_mail.  Pure.
 * Rules: RFC 2045 s.2.7, s.6.7.
 */
#ifndef WAXSEAL_MAIL_SEVEN_BIT_H
#define WAXSEAL_MAIL_SEVEN_BIT_H

#include "lib/base/buf.h"

/* ASCII without NUL, lines of at most 998 octets that end with CRLF. */
bool seven_bit_is(struct span s);

/*
 * Writes the end of a part's header, with a Content-Transfer-Encoding where one is needed, the
 * empty line and the body.  False: `out` has no room.
 */
bool seven_bit_write(struct buf *out, struct span body) MUST_CHECK;

#endif
