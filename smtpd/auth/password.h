/*
 * password - the stored form of passwords, crypt(5): yescrypt, bcrypt, SHA-512; libcrypt behind it.
 * Called by smtpd/auth/users (is it one?), smtpd/auth/hashing (does it fit?, in its threads) and by
 * `waxseal user` (a new one).
 */
#ifndef WAXSEAL_SMTPD_AUTH_PASSWORD_H
#define WAXSEAL_SMTPD_AUTH_PASSWORD_H

#include "lib/base/error.h"
#include "lib/base/span.h"

enum { PASSWORD_HASH_SIZE = 384, PASSWORD_MAX = 255 /* RFC 4616 s.2 */ };

/* Is this a whole hash of a method that is good enough? */
bool password_hash_is_sound(struct span hash);

/*
 * In its SASLprep form (RFC 4616 s.2), or as it is.  Takes long and much memory, as it has to.
 * Safe in any thread.
 */
bool password_fits(const char *hash, struct span password);

/* A new yescrypt hash. */
struct error *password_hash_new(struct span password, char out_hash[PASSWORD_HASH_SIZE]) MUST_CHECK;

#endif
