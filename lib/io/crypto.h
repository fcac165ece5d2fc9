/*
 * crypto - digests and keys for authentication; OpenSSL behind it.  No I/O.
 * Rules: RFC 2104, RFC 8018 s.5.2 (PBKDF2).
 */
#ifndef WAXSEAL_IO_CRYPTO_H
#define WAXSEAL_IO_CRYPTO_H

#include "lib/base/error.h"
#include "lib/base/span.h"

enum { CRYPTO_SHA256_SIZE = 32 };

void crypto_sha256(struct span bytes, unsigned char out[CRYPTO_SHA256_SIZE]);
void crypto_hmac_sha256(struct span key, struct span bytes, unsigned char out[CRYPTO_SHA256_SIZE]);
void crypto_pbkdf2_sha256(struct span password, struct span salt, unsigned iterations,
                          unsigned char out[CRYPTO_SHA256_SIZE]);

/*
 * The same in small steps, for those who have a loop to serve: a thousand iterations take about a
 * millisecond.  Forgets what it knows when freed.
 */
struct crypto_stretch;
struct crypto_stretch *crypto_stretch_new(struct span password, struct span salt,
                                          unsigned iterations);
/* Gives true when there is nothing more to do. */
bool crypto_stretch_step(struct crypto_stretch *stretch, unsigned iterations);
void crypto_stretch_take(const struct crypto_stretch *stretch,
                         unsigned char out[CRYPTO_SHA256_SIZE]);
void crypto_stretch_free(struct crypto_stretch **stretch);

/* In a time that tells nothing of where they differ. */
bool crypto_equal(const void *a, const void *b, size_t len);

/* Forgets a secret; no compiler takes it away. */
void crypto_cleanse(void *secret, size_t len);

#endif
