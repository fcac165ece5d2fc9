/*
 * netstring - bytes behind their length: "5:hello,".  Called by policy/socketmap for what other
 * mail systems ask and are answered.  Pure.
 * Rules: rfc/socketmap-and-policy-maps.md MAP-1 and MAP-2.
 */
#ifndef WAXSEAL_MAIL_NETSTRING_H
#define WAXSEAL_MAIL_NETSTRING_H

#include "lib/base/buf.h"

enum netstring_state {
    NETSTRING_WHOLE,
    NETSTRING_PART,  /* what is there is right; more has to come */
    NETSTRING_WRONG, /* no netstring, or one of more than `most` bytes: told by its length alone */
};

/*
 * Reads the netstring at the front of the input.  For NETSTRING_WHOLE *out_payload, which is lent,
 * and how many bytes of the input it takes are given.
 */
enum netstring_state netstring_read(struct span input, size_t most, struct span *out_payload,
                                    size_t *out_used);

/* Appends a netstring; false, with nothing appended: no room. */
bool netstring_write(struct span payload, struct buf *out) MUST_CHECK;

#endif
