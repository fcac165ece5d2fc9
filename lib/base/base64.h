/*
 * base64 - bytes as letters and back (RFC 4648 s.4).  Called for SASL and for stored keys.  Pure.
 * Strict: no foreign byte, no line ends, "=" only where it belongs, no bits behind the last byte.
 */
#ifndef WAXSEAL_BASE_BASE64_H
#define WAXSEAL_BASE_BASE64_H

#include "lib/base/buf.h"

/* Letters that `bytes` bytes take. */
#define BASE64_SIZE(bytes) (((bytes) + 2) / 3 * 4)

/* Both append; false when there is no room, or the text is not base64: then `out` is as before. */
bool base64_encode(struct span bytes, struct buf *out) MUST_CHECK;
bool base64_decode(struct span text, struct buf *out) MUST_CHECK;

#endif
