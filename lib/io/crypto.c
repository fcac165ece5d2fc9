#include "lib/io/crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

/* These fail only without memory, or when OpenSSL is broken. */

void crypto_sha256(struct span bytes, unsigned char out[CRYPTO_SHA256_SIZE])
{
    ensure(EVP_Digest(bytes.data, bytes.len, out, NULL, EVP_sha256(), NULL) == 1);
}

void crypto_hmac_sha256(struct span key, struct span bytes, unsigned char out[CRYPTO_SHA256_SIZE])
{
    ensure(HMAC(EVP_sha256(), key.len > 0 ? key.data : "", (int)key.len,
                (const unsigned char *)bytes.data, bytes.len, out, NULL));
}

void crypto_pbkdf2_sha256(struct span password, struct span salt, unsigned iterations,
                          unsigned char out[CRYPTO_SHA256_SIZE])
{
    ensure(PKCS5_PBKDF2_HMAC(password.data, (int)password.len, (const unsigned char *)salt.data,
                             (int)salt.len, (int)iterations, EVP_sha256(), CRYPTO_SHA256_SIZE,
                             out) == 1);
}

bool crypto_equal(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}

void crypto_cleanse(void *secret, size_t len)
{
    OPENSSL_cleanse(secret, len);
}
