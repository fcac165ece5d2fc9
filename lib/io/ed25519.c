#include "lib/io/ed25519.h"

#include <sodium.h>
#include <stdlib.h>

#include "lib/base/error.h"
#include "lib/base/memory.h"

_Static_assert((int)ED25519_SEED_SIZE == (int)crypto_sign_SEEDBYTES &&
                   (int)ED25519_SIGNATURE_SIZE == (int)crypto_sign_BYTES,
               "the sizes of RFC 8032");

struct ed25519 {
    unsigned char secret[crypto_sign_SECRETKEYBYTES]; /* the seed, and the public key */
};

struct ed25519 *ed25519_new(const unsigned char seed[ED25519_SEED_SIZE])
{
    struct ed25519 *key = memory_new(sizeof(*key));
    unsigned char public[crypto_sign_PUBLICKEYBYTES];

    ensure(sodium_init() >= 0); /* as often as one likes */
    ensure(crypto_sign_seed_keypair(public, key->secret, seed) == 0);
    return key;
}

void ed25519_free(struct ed25519 **key)
{
    if (*key)
        sodium_memzero(*key, sizeof(**key));
    free(*key);
    *key = NULL;
}

void ed25519_sign(const struct ed25519 *key, struct span text,
                  unsigned char out[ED25519_SIGNATURE_SIZE])
{
    ensure(crypto_sign_detached(out, NULL, (const unsigned char *)text.data, text.len,
                                key->secret) == 0);
}
