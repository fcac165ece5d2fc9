#include "lib/io/signing_key.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/memory.h"
#include "lib/io/crypto.h"
#include "lib/io/ed25519.h"
#include "lib/io/tls_openssl.h"

struct signing_key {
    EVP_PKEY *pkey;
    struct ed25519 *ed25519; /* the same key, to sign with; NULL: RSA */
    enum dkim_algorithm algorithm;
};

static struct ed25519 *quick_key(const EVP_PKEY *pkey)
{
    unsigned char seed[ED25519_SEED_SIZE];
    size_t len = sizeof(seed);
    struct ed25519 *key;

    ensure(EVP_PKEY_get_raw_private_key(pkey, seed, &len) == 1 && len == sizeof(seed));
    key = ed25519_new(seed);
    crypto_cleanse(seed, sizeof(seed));
    return key;
}

static struct signing_key *wrap(EVP_PKEY *pkey)
{
    struct signing_key *key = memory_new(sizeof(*key));

    key->pkey = pkey;
    key->algorithm =
        EVP_PKEY_get_base_id(pkey) == EVP_PKEY_RSA ? DKIM_RSA_SHA256 : DKIM_ED25519_SHA256;
    if (key->algorithm == DKIM_ED25519_SHA256)
        key->ed25519 = quick_key(pkey);
    return key;
}

void signing_key_free(struct signing_key **key)
{
    struct signing_key *k = *key;

    *key = NULL;
    if (!k)
        return;
    EVP_PKEY_free(k->pkey); /* which cleanses what it held */
    ed25519_free(&k->ed25519);
    free(k);
}

static struct error *check_kind(const EVP_PKEY *pkey, bool weak_allowed)
{
    int bits = EVP_PKEY_get_bits(pkey);

    if (EVP_PKEY_get_base_id(pkey) == EVP_PKEY_ED25519)
        return NULL;
    if (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_RSA)
        return error_new(ERROR_LOCAL, "it is neither an RSA nor an Ed25519 key");
    if (bits < SIGNING_KEY_WEAK_BITS)
        return error_new(ERROR_LOCAL, "RSA of %d bits: receivers take no signature of such a key",
                         bits);
    if (bits < SIGNING_KEY_BITS && !weak_allowed)
        return error_new(ERROR_LOCAL, "RSA of %d bits is weak; it should have %d", bits,
                         SIGNING_KEY_BITS);
    if (bits > SIGNING_KEY_BITS_MAX)
        return error_new(ERROR_LOCAL, "RSA of %d bits; at most %d will do", bits,
                         SIGNING_KEY_BITS_MAX);
    return NULL;
}

struct error *signing_key_load(struct span pem, bool weak_allowed, struct signing_key **out)
{
    BIO *bio;
    EVP_PKEY *pkey;
    struct error *err;

    if (pem.len > SIGNING_KEY_PEM_MAX)
        return error_new(ERROR_LOCAL, "it is too long for a key");
    bio = tls_pem_open(pem);
    pkey = tls_pem_key(bio);
    BIO_free(bio);
    ERR_clear_error();
    if (!pkey)
        return error_new(ERROR_LOCAL, "no private key in PEM form without a passphrase in it");
    err = check_kind(pkey, weak_allowed);
    if (err)
        EVP_PKEY_free(pkey);
    else
        *out = wrap(pkey);
    return err;
}

/* This and what follows fails only without memory, or when OpenSSL is broken. */
struct signing_key *signing_key_generate(enum dkim_algorithm algorithm, unsigned bits)
{
    EVP_PKEY *pkey;

    ensure(bits >= SIGNING_KEY_WEAK_BITS && bits <= SIGNING_KEY_BITS_MAX);
    if (algorithm == DKIM_RSA_SHA256)
        pkey = EVP_RSA_gen(bits);
    else
        pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    ensure(pkey);
    return wrap(pkey);
}

enum dkim_algorithm signing_key_algorithm(const struct signing_key *key)
{
    return key->algorithm;
}

unsigned signing_key_bits(const struct signing_key *key)
{
    return (unsigned)EVP_PKEY_get_bits(key->pkey);
}

/*
 * RSA hashes for itself (PKCS#1 v1.5 is OpenSSL's default padding); Ed25519 signs the 32 octets of
 * the hash (RFC 8463 s.3).
 */
static const EVP_MD *hashes_with(const struct signing_key *key, struct span *input,
                                 unsigned char digest[DKIM_SHA256_SIZE])
{
    if (key->algorithm == DKIM_RSA_SHA256)
        return EVP_sha256();
    crypto_sha256(*input, digest);
    *input = (struct span){ (const char *)digest, DKIM_SHA256_SIZE };
    return NULL;
}

static struct error *sign_with_rsa(const struct signing_key *key, const EVP_MD *md,
                                   struct span input, unsigned char out[DKIM_SIGNATURE_MAX],
                                   size_t *out_len)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t len = DKIM_SIGNATURE_MAX;
    bool is_made;

    ensure(ctx);
    is_made = EVP_DigestSignInit(ctx, NULL, md, NULL, key->pkey) == 1 &&
              EVP_DigestSign(ctx, out, &len, (const unsigned char *)input.data, input.len) == 1;
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    if (!is_made)
        return error_new(ERROR_LOCAL, "the key cannot sign");
    *out_len = len;
    return NULL;
}

struct error *signing_key_sign(const struct signing_key *key, struct span input,
                               unsigned char out[DKIM_SIGNATURE_MAX], size_t *out_len)
{
    unsigned char digest[DKIM_SHA256_SIZE];
    const EVP_MD *md = hashes_with(key, &input, digest);

    if (!key->ed25519)
        return sign_with_rsa(key, md, input, out, out_len);
    ed25519_sign(key->ed25519, input, out);
    *out_len = ED25519_SIGNATURE_SIZE;
    return NULL;
}

bool signing_key_verify(const struct signing_key *key, struct span input, struct span signature)
{
    unsigned char digest[DKIM_SHA256_SIZE];
    const EVP_MD *md = hashes_with(key, &input, digest);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool is_good;

    ensure(ctx);
    is_good = EVP_DigestVerifyInit(ctx, NULL, md, NULL, key->pkey) == 1 &&
              EVP_DigestVerify(ctx, (const unsigned char *)signature.data, signature.len,
                               (const unsigned char *)input.data, input.len) == 1;
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return is_good;
}

struct error *signing_key_test(const struct signing_key *key)
{
    unsigned char signature[DKIM_SIGNATURE_MAX];
    size_t len = 0;
    struct error *err = signing_key_sign(key, SPAN("waxseal"), signature, &len);

    if (err)
        return err;
    if (!signing_key_verify(key, SPAN("waxseal"), (struct span){ (const char *)signature, len }))
        return error_new(ERROR_LOCAL, "what the key signs is not good: its parts do not fit");
    return NULL;
}

size_t signing_key_public(const struct signing_key *key, unsigned char out[DKIM_KEY_MAX])
{
    size_t len = DKIM_KEY_MAX;
    unsigned char *at = out;
    int size;

    if (key->algorithm == DKIM_ED25519_SHA256) {
        ensure(EVP_PKEY_get_raw_public_key(key->pkey, out, &len) == 1);
        return len;
    }
    size = i2d_PUBKEY(key->pkey, NULL);
    ensure(size > 0 && size <= DKIM_KEY_MAX);
    ensure(i2d_PUBKEY(key->pkey, &at) == size);
    return (size_t)size;
}

bool signing_key_write(const struct signing_key *key, struct buf *out)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    char *text = NULL;
    long len;
    bool is_written;

    ensure(bio && PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) == 1);
    len = BIO_get_mem_data(bio, &text);
    ensure(len > 0);
    is_written = buf_append(out, (struct span){ text, (size_t)len });
    BIO_free(bio);
    return is_written;
}
