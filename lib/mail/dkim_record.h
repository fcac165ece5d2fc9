/*
 * dkim_record - the public key as it stands in DNS, at SELECTOR._domainkey.DOMAIN (RFC 6376
 * s.3.6.1; RFC 8463 s.4).  Called by the commands `waxseal dkim new` and `check`.  Pure.
 */
#ifndef WAXSEAL_MAIL_DKIM_RECORD_H
#define WAXSEAL_MAIL_DKIM_RECORD_H

#include "lib/base/buf.h"
#include "lib/base/limits.h"
#include "lib/mail/dkim.h"

enum {
    DKIM_RECORD_MAX = 4 * 1024,      /* of a record's text; longer ones are refused */
    DKIM_NAME_SIZE = DOMAIN_MAX + 1, /* of the name in DNS, with its NUL */
    DKIM_ZONE_LINE_MAX = 8 * 1024,   /* a record as a zone file has it */
};

struct dkim_record {
    enum dkim_algorithm algorithm; /* k=; rsa when it is not there */
    unsigned char key[DKIM_KEY_MAX];
    size_t key_len;      /* 0: the key is revoked (p= is empty) */
    bool takes_sha256;   /* h=; also when it is not there */
    bool is_for_email;   /* s= says "*" or "email", or is not there */
    bool is_for_reports; /* s= says "*" or "tlsrpt" (RFC 8460 s.3), or is not there */
    bool is_testing;     /* t=y: receivers treat such mail as if it were not signed */
    bool is_strict;      /* t=s: i= must have the same domain as d=; ours always has */
};

/* NULL, or what is wrong with the record, in words for people. */
const char *dkim_record_parse(struct span text, struct dkim_record *out) MUST_CHECK;

/* Appends "v=DKIM1; k=...; p=...". */
bool dkim_record_write(enum dkim_algorithm algorithm, struct span key, struct buf *out) MUST_CHECK;

/* SELECTOR._domainkey.DOMAIN; false when that is longer than a name may be. */
bool dkim_record_name(struct span selector, struct span domain,
                      char out[DKIM_NAME_SIZE]) MUST_CHECK;

/*
 * Appends `NAME. IN TXT ( "..." "..." )` as a zone file takes it: strings of at most 255 octets
 * (RFC 1035 s.3.3), on lines of their own.
 */
bool dkim_record_zone(const char *name, struct span text, struct buf *out) MUST_CHECK;

#endif
