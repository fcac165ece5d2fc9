/*
 * gzip - packs and unpacks (RFC 1952); zlib behind it.  Called by tlsrpt for the reports it sends
 * and reads.  Both ways work in pieces, so that neither side has to be held whole, and what is
 * unpacked never goes beyond the cap of the buffer it goes to: a bomb costs no more than that.
 */
#ifndef WAXSEAL_IO_GZIP_H
#define WAXSEAL_IO_GZIP_H

#include "lib/base/buf.h"

/* A file being packed: what is written comes out at the end of a buffer. */
struct gzip;

/* `out` stays the caller's and outlives it.  The same bytes in give the same bytes out. */
struct gzip *gzip_new(struct buf *out);
/* False when `out` has no more room: then nothing more can be written. */
bool gzip_write(struct gzip *gzip, struct span bytes) MUST_CHECK;
/* Ends the file and frees; false when it is not whole, for want of room. */
bool gzip_end(struct gzip **gzip) MUST_CHECK;
/* Throws it away. */
void gzip_free(struct gzip **gzip);

enum gzip_verdict {
    GZIP_WHOLE,     /* every byte of it was unpacked and its checksum is right */
    GZIP_TOO_LARGE, /* more than `out` holds */
    GZIP_CUT_OFF,   /* the end is missing */
    GZIP_DAMAGED,   /* or no gzip at all */
};

/*
 * Unpacks a file of one member or several to the end of `out`; what came out stays there whatever
 * the verdict.  *out_used: bytes of `packed` that belong to the file; behind them stands something
 * else.
 */
enum gzip_verdict gzip_unpack(struct span packed, struct buf *out, size_t *out_used);

/* Does it begin as a gzip file does? */
bool gzip_is_packed(struct span bytes);

#endif
