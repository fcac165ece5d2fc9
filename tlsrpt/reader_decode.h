/*
 * reader_decode - undoes the transfer encoding of a mail's part (RFC 2045 s.6), as lenient as
 * readers of mail are: bytes that do not belong there are passed over, and what is cut off gives
 * what there is.  Called by reader_mail.  Pure.
 */
#ifndef WAXSEAL_TLSRPT_READER_DECODE_H
#define WAXSEAL_TLSRPT_READER_DECODE_H

#include "lib/base/buf.h"

enum reader_encoding { ENCODING_NONE, ENCODING_BASE64, ENCODING_QUOTED_PRINTABLE };

/* The body of a Content-Transfer-Encoding field; 7bit, 8bit, binary and unknown ones are none. */
enum reader_encoding reader_encoding_of(struct span field);

/* Appends what a text stands for; what comes out is never longer than what goes in, and `out` must
 * have room for as much. */
void reader_decode(enum reader_encoding encoding, struct span text, struct buf *out);

#endif
