/*
 * dkim - the words that the modules of DKIM share (RFC 6376, RFC 8301, RFC 8463): how bytes are
 * made canonical, and with what is signed.  Pure values, and the names they have in fields,
 * records and settings.
 */
#ifndef WAXSEAL_MAIL_DKIM_H
#define WAXSEAL_MAIL_DKIM_H

#include "lib/base/span.h"

enum dkim_canon {
    DKIM_SIMPLE,  /* RFC 6376 s.3.4.1, s.3.4.3 */
    DKIM_RELAXED, /* RFC 6376 s.3.4.2, s.3.4.4 */
};

/* There is no rsa-sha1: it must not be used (RFC 8301 s.3.1). */
enum dkim_algorithm {
    DKIM_RSA_SHA256,     /* RFC 6376 s.3.3.2 */
    DKIM_ED25519_SHA256, /* RFC 8463 s.3 */
};

enum {
    DKIM_SHA256_SIZE = 32,
    DKIM_KEY_MAX = 1200,       /* of a public key: RSA of 8192 bits takes 1062 octets */
    DKIM_SIGNATURE_MAX = 1024, /* made by such a key */
};

/* "simple", "relaxed". */
const char *dkim_canon_name(enum dkim_canon canon);

/* "rsa-sha256", "ed25519-sha256", as a= has them. */
const char *dkim_algorithm_name(enum dkim_algorithm algorithm);

/* "rsa", "ed25519", as k= of a key's record has them. */
const char *dkim_key_name(enum dkim_algorithm algorithm);
bool dkim_key_parse(struct span name, enum dkim_algorithm *out);

/*
 * "relaxed/simple", and "relaxed", which is the same (RFC 6376 s.3.5, c=); an empty text stands
 * for a c= that is not there: simple/simple.
 */
bool dkim_canon_parse(struct span text, enum dkim_canon *out_header, enum dkim_canon *out_body);

/* One or more labels of letters, digits and hyphens with dots between (RFC 6376 s.3.1). */
bool dkim_selector_is_valid(struct span selector);

#endif
