#include "lib/io/tls_openssl.h"

#include <openssl/err.h>
#include <openssl/pem.h>

static int no_passphrase(char *room, int size, int writing, void *ctx)
{
    (void)room;
    (void)size;
    (void)writing;
    (void)ctx;
    return -1;
}

BIO *tls_pem_open(struct span pem)
{
    BIO *bio;

    ensure(pem.len <= INT32_MAX);
    bio = BIO_new_mem_buf(pem.len ? pem.data : "", (int)pem.len);
    ensure(bio);
    return bio;
}

X509 *tls_pem_certificate(BIO *bio)
{
    return PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
}

EVP_PKEY *tls_pem_key(BIO *bio)
{
    return PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
}

bool tls_pem_ended(void)
{
    unsigned long code = ERR_peek_last_error();

    ERR_clear_error();
    return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}
