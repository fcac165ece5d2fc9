/*
 * xtext - the encoding of ESMTP parameters that hold anything (RFC 3461 s.4): '!' to '~' but '+'
 * and '=' stand for themselves, everything else is '+' and two upper-case hex digits.  Called by
 * lib/mail/dsn and queue/notify.  Pure.
 */
#ifndef WAXSEAL_MAIL_XTEXT_H
#define WAXSEAL_MAIL_XTEXT_H

#include "lib/base/span.h"

/*
 * Decodes into a room with space for text.len bytes; gives how many they are.  False: no xtext, or
 * what it stands for is not printable ASCII, which no mailbox and no identifier may be (pitfalls.md
 * section 7.4).
 */
bool xtext_decode(struct span text, char *room, size_t *out_len);
bool xtext_is_valid(struct span text);

#endif
