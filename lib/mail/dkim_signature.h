/*
 * dkim_signature - a DKIM-Signature field from its parts (RFC 6376 s.3.5, s.3.7; RFC 8463): first
 * the field with an empty b=, then what is hashed and signed, then the finished field.  Called by
 * queue/sign, which holds the keys.  Pure.  There is no l=: a signature covers the whole body.
 */
#ifndef WAXSEAL_MAIL_DKIM_SIGNATURE_H
#define WAXSEAL_MAIL_DKIM_SIGNATURE_H

#include "lib/base/buf.h"
#include "lib/mail/dkim.h"

enum {
    DKIM_LINE_MAX = 78,           /* RFC 5322 s.2.1.1, where a name is not longer itself */
    DKIM_FIELD_MAX = 16 * 1024,   /* a signature's field, whatever the header */
    DKIM_INPUT_MAX = 1024 * 1024, /* more than a header of HEADER_BYTES_MAX and the field */
};

struct dkim_signing {
    enum dkim_algorithm algorithm;
    enum dkim_canon header;
    enum dkim_canon body;
    struct span domain;      /* d=; A-labels (RFC 8616 s.5), checked by dkim_signature_open */
    struct span selector;    /* s= */
    int64_t signed_utc_s;    /* t= */
    int64_t expires_utc_s;   /* x=; later than t= */
    struct span body_sha256; /* of the body's canonical form; DKIM_SHA256_SIZE octets */
};

/*
 * Appends the field with an empty b=, folded, without CRLF at its end: "DKIM-Signature: ... b=".
 * Gives NULL, or in words for people why the message cannot be signed.
 */
const char *dkim_signature_open(const struct dkim_signing *signing, struct span header,
                                struct buf *out) MUST_CHECK;

/*
 * Appends what is signed (RSA: its SHA-256 by PKCS#1 v1.5; Ed25519: its SHA-256's octets): the
 * canonical fields of h=, then the field itself.  The fields come from the header block alone, so
 * that several signatures of one message know nothing of each other.  False: beyond a bound, or
 * `field` is no DKIM-Signature with an h=.
 */
bool dkim_signature_input(struct span header, struct span field, enum dkim_canon canon,
                          struct buf *out) MUST_CHECK;

/* Appends the finished field: the opened one, the signature in folded base64, CRLF. */
bool dkim_signature_close(struct span field, struct span signature, struct buf *out) MUST_CHECK;

/* Has the header a DKIM-Signature whose d= is that domain?  Whether it holds is not asked. */
bool dkim_signature_is_there(struct span header, struct span domain);

#endif
