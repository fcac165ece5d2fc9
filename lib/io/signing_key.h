/*
 * signing_key - a private key that signs mail (RFC 6376 s.3.3, RFC 8463; RSA or Ed25519).  OpenSSL
 * reads keys, signs with RSA and judges signatures; lib/io/ed25519 signs with Ed25519.  Called by
 * queue/sign, by `waxseal check` and by the commands of DKIM.  No I/O.  A key may be used by
 * several threads at the same time.
 */
#ifndef WAXSEAL_IO_SIGNING_KEY_H
#define WAXSEAL_IO_SIGNING_KEY_H

#include "lib/base/buf.h"
#include "lib/mail/dkim.h"

struct signing_key;

enum {
    SIGNING_KEY_PEM_MAX = 16 * 1024, /* of a key's file: RSA of 8192 bits takes 6.4 KiB */
    SIGNING_KEY_BITS = 2048,         /* of RSA: fewer only when told (RFC 8301 s.3.2) */
    SIGNING_KEY_WEAK_BITS = 1024,    /* fewer never */
    SIGNING_KEY_BITS_MAX = 8192,     /* more takes whole seconds to make and tens of ms to use */
    SIGNING_KEY_COMMON_BITS = 4096,  /* more is not read by every receiver (RFC 8301 s.3.2) */
};

/*
 * Reads a key in PEM form, "PRIVATE KEY" (PKCS#8) or "RSA PRIVATE KEY" (PKCS#1), without a
 * passphrase.  `weak_allowed`: RSA from SIGNING_KEY_WEAK_BITS on will do.
 */
struct error *signing_key_load(struct span pem, bool weak_allowed,
                               struct signing_key **out) MUST_CHECK;

/* A new one; `bits` are of RSA, within the bounds above. */
struct signing_key *signing_key_generate(enum dkim_algorithm algorithm, unsigned bits);
void signing_key_free(struct signing_key **key);

enum dkim_algorithm signing_key_algorithm(const struct signing_key *key);
unsigned signing_key_bits(const struct signing_key *key); /* Ed25519: 256 */

/* Signs what dkim_signature_input gave; a pure matter of the processor, dear with RSA. */
struct error *signing_key_sign(const struct signing_key *key, struct span input,
                               unsigned char out[DKIM_SIGNATURE_MAX], size_t *out_len) MUST_CHECK;

/* Does the key's public part find that signature good?  For tests of ourselves. */
bool signing_key_verify(const struct signing_key *key, struct span input, struct span signature);

/* Signs a text and looks whether that is good: an error when the file holds parts that do not fit.
 */
struct error *signing_key_test(const struct signing_key *key) MUST_CHECK;

/* The public part as p= wants it: RSA as SubjectPublicKeyInfo, Ed25519 as its 32 octets. */
size_t signing_key_public(const struct signing_key *key, unsigned char out[DKIM_KEY_MAX]);

/* The key as PEM (PKCS#8), for its file; the caller cleanses and clears `out`. */
bool signing_key_write(const struct signing_key *key, struct buf *out) MUST_CHECK;

#endif
