/*
 * ed25519 - signatures with Ed25519 (RFC 8032), quickly: libsodium behind it, which takes 19 us for
 * what OpenSSL 3.0 takes 44 us for on the machine of docs/performance.md, and these are most of
 * what signing a message costs.  Called by lib/io/signing_key, which reads keys and judges
 * signatures with OpenSSL.  No I/O.
 */
#ifndef WAXSEAL_IO_ED25519_H
#define WAXSEAL_IO_ED25519_H

#include "lib/base/span.h"

enum { ED25519_SEED_SIZE = 32, ED25519_SIGNATURE_SIZE = 64 };

struct ed25519;

/* The seed is the private key as files have it; the caller cleanses it. */
struct ed25519 *ed25519_new(const unsigned char seed[ED25519_SEED_SIZE]);
/* Forgets the key. */
void ed25519_free(struct ed25519 **key);

/* May be called by several threads at the same time. */
void ed25519_sign(const struct ed25519 *key, struct span text,
                  unsigned char out[ED25519_SIGNATURE_SIZE]);

#endif
