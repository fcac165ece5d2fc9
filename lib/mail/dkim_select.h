/*
 * dkim_select - which header fields a signature covers, and in what order they are hashed
 * (RFC 6376 s.5.4; rfc/dkim.md DKIM-35 to DKIM-40).  Called by dkim_signature.  Pure: no memory;
 * spans point into the header block.
 */
#ifndef WAXSEAL_MAIL_DKIM_SELECT_H
#define WAXSEAL_MAIL_DKIM_SELECT_H

#include "lib/base/buf.h"

enum {
    DKIM_SAME_MAX = 16,   /* fields of one name that are signed; more are an attack or a mistake */
    DKIM_NAMES_MAX = 640, /* names in an h=; what dkim_select_names gives has fewer */
    DKIM_FIELDS_MAX = 640 /* fields that an h= may choose from */
};

/*
 * Writes the h= value for a header block, "From:From:To:...": each field that is there as often
 * as it is there, and those that readers look at once more, so that nobody can add one.  Gives
 * NULL, or why the message cannot be signed, in words for people.  `out` is empty before.
 */
const char *dkim_select_names(struct span header, struct buf *out) MUST_CHECK;

/*
 * The fields of an h= value in its order: of one name from the bottom up, none for a name that is
 * used up (RFC 6376 s.5.4.2).  False when there are more than our bounds.
 */
struct dkim_selection {
    struct span fields[DKIM_NAMES_MAX]; /* whole ones, with CRLF */
    size_t count;
};
bool dkim_select_fields(struct span header, struct span names,
                        struct dkim_selection *out) MUST_CHECK;

#endif
