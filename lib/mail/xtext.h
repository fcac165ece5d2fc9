/*
 * xtext - the encoding of ESMTP parameters that hold anything (RFC 3461 s.4): '!' to '~' but '+'
 * and '=' stand for themselves, everything else is '+' and two upper-case hex digits.  Called by
 * lib/mail/dsn, queue/deliver and queue/notify.  Pure.
 */
#ifndef WAXSEAL_MAIL_XTEXT_H
#define WAXSEAL_MAIL_XTEXT_H

#include "lib/base/buf.h"

/*
 * Decodes into a room with space for text.len bytes; gives how many they are.  False: no xtext, or
 * what it stands for is not printable ASCII, which no mailbox and no identifier may be (pitfalls.md
 * section 7.4).
 */
bool xtext_decode(struct span text, char *room, size_t *out_len);
bool xtext_is_valid(struct span text);
/* The same for addresses, which may also be well-formed UTF-8: Postfix codes them so. */
bool xtext_decode_utf8(struct span text, char *room, size_t *out_len);

/*
 * Addresses of type "utf-8" (RFC 6533 s.3): the same, and characters outside ASCII, each as it is
 * or as "\x{C4}".  A backslash that begins no such character stands for itself.
 */
bool xtext_utf8_is_valid(struct span text);
/* Appends what it stands for; false: not of this form, or no room. */
bool xtext_utf8_decode(struct span text, struct buf *out) MUST_CHECK;
/* Appends its form in ASCII (utf-8-addr-xtext), for hosts without SMTPUTF8. */
bool xtext_utf8_to_ascii(struct span text, struct buf *out) MUST_CHECK;

#endif
