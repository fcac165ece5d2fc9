/*
 * body_hash - the body hashes that DKIM signatures need, made while a message streams by (RFC 6376
 * s.3.7 step 1; bh=).  Called by smtpd's intake, and by who writes mail of our own.  Canonical
 * forms by lib/mail/dkim_body, SHA-256 by OpenSSL.  It takes the whole content as the next hop will
 * see it, CRLF line ends, before dot-stuffing, in pieces of any size; what counts begins behind the
 * header's empty line.
 */
#ifndef WAXSEAL_IO_BODY_HASH_H
#define WAXSEAL_IO_BODY_HASH_H

#include "lib/mail/dkim.h"

struct body_hash;

/* What came of it; a hash that was not asked for is not there. */
struct body_hashes {
    bool has_relaxed;
    bool has_simple;
    unsigned char relaxed[DKIM_SHA256_SIZE];
    unsigned char simple[DKIM_SHA256_SIZE];
};

/* Each wanted form costs about a nanosecond for an octet; NULL when none is wanted. */
struct body_hash *body_hash_new(bool relaxed, bool simple);

/* The three accept NULL, for who wants none. */
void body_hash_add(struct body_hash *hash, struct span content);
void body_hash_end(struct body_hash *hash, struct body_hashes *out);
void body_hash_free(struct body_hash **hash);

/* Of content that is there in one piece. */
void body_hash_of(struct span content, bool relaxed, bool simple, struct body_hashes *out);

#endif
