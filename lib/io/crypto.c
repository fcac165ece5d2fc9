#include "lib/io/crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/memory.h"

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

/* RFC 8018 s.5.2: U_1 is the HMAC of salt and block number, each further one that of the last. */
struct crypto_stretch {
    EVP_MD_CTX *inner; /* after the key's block */
    EVP_MD_CTX *outer;
    EVP_MD_CTX *work;
    unsigned left;
    unsigned char last[CRYPTO_SHA256_SIZE];
    unsigned char sum[CRYPTO_SHA256_SIZE];
};

enum { SHA256_BLOCK_SIZE = 64 };

static EVP_MD_CTX *padded(const unsigned char key[SHA256_BLOCK_SIZE], unsigned char pad)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char block[SHA256_BLOCK_SIZE];

    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = key[i] ^ pad;
    ensure(ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
           EVP_DigestUpdate(ctx, block, sizeof(block)) == 1);
    crypto_cleanse(block, sizeof(block));
    return ctx;
}

static void stretch_digest(struct crypto_stretch *s, const EVP_MD_CTX *from, const void *bytes,
                           size_t len)
{
    ensure(EVP_MD_CTX_copy_ex(s->work, from) == 1 && EVP_DigestUpdate(s->work, bytes, len) == 1 &&
           EVP_DigestFinal_ex(s->work, s->last, NULL) == 1);
}

static void stretch_once(struct crypto_stretch *s, const void *bytes, size_t len)
{
    stretch_digest(s, s->inner, bytes, len);
    stretch_digest(s, s->outer, s->last, sizeof(s->last));
    for (size_t i = 0; i < sizeof(s->sum); i++)
        s->sum[i] ^= s->last[i];
    s->left--;
}

struct crypto_stretch *crypto_stretch_new(struct span password, struct span salt,
                                          unsigned iterations)
{
    static const unsigned char block_number[] = { 0, 0, 0, 1 };
    struct crypto_stretch *s = memory_new(sizeof(*s));
    unsigned char key[SHA256_BLOCK_SIZE] = { 0 };
    unsigned char *first = memory_new(salt.len + sizeof(block_number));

    ensure(iterations > 0);
    if (password.len > sizeof(key)) /* RFC 2104 s.2 */
        crypto_sha256(password, key);
    else if (password.len > 0)
        memcpy(key, password.data, password.len);
    s->inner = padded(key, 0x36);
    s->outer = padded(key, 0x5c);
    s->work = EVP_MD_CTX_new();
    ensure(s->work);
    s->left = iterations;
    memcpy(first, salt.data, salt.len);
    memcpy(first + salt.len, block_number, sizeof(block_number));
    stretch_once(s, first, salt.len + sizeof(block_number));
    free(first);
    crypto_cleanse(key, sizeof(key));
    return s;
}

bool crypto_stretch_step(struct crypto_stretch *s, unsigned iterations)
{
    for (; s->left > 0 && iterations > 0; iterations--)
        stretch_once(s, s->last, sizeof(s->last));
    return s->left == 0;
}

void crypto_stretch_take(const struct crypto_stretch *s, unsigned char out[CRYPTO_SHA256_SIZE])
{
    ensure(s->left == 0);
    memcpy(out, s->sum, sizeof(s->sum));
}

void crypto_stretch_free(struct crypto_stretch **stretch)
{
    struct crypto_stretch *s = *stretch;

    *stretch = NULL;
    if (!s)
        return;
    EVP_MD_CTX_free(s->inner); /* which cleanses what it held */
    EVP_MD_CTX_free(s->outer);
    EVP_MD_CTX_free(s->work);
    crypto_cleanse(s, sizeof(*s));
    free(s);
}

bool crypto_equal(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}

void crypto_cleanse(void *secret, size_t len)
{
    OPENSSL_cleanse(secret, len);
}
