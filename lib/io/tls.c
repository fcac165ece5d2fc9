#include "lib/io/tls.h"
#include "lib/io/tls_openssl.h"

#include "lib/base/memory.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

enum { TRUST_FILE_MAX = 16 * 1024 * 1024 };

struct tls_trust {
    X509_STORE *store;
    unsigned count;
};

struct tls_context {
    SSL_CTX *ctx;
};

/* What the administrator's openssl.cnf could have said is said here again (pitfalls.md section 5).
 */
static const char ciphers_12[] = "DEFAULT:!aNULL:!eNULL:!PSK:!SRP";
static const char ciphers_13[] =
    "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256";
static const char groups[] = "X25519:P-256:X448:P-521:P-384";
#define SIGNATURES                                                                                 \
    "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519:ed448:"                                        \
    "RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:"                                                \
    "rsa_pss_pss_sha256:rsa_pss_pss_sha384:rsa_pss_pss_sha512:"                                    \
    "RSA+SHA256:RSA+SHA384:RSA+SHA512:ECDSA+SHA224:RSA+SHA224"

struct floor {
    int version;
    int level;
    const char *signatures;
    uint64_t options;
};

static const struct floor floors[] = {
    [TLS_FLOOR_STRICT] = { TLS1_2_VERSION, 2, SIGNATURES, 0 },
    [TLS_FLOOR_OPPORTUNISTIC] = { TLS1_2_VERSION, 1, SIGNATURES, 0 },
    [TLS_FLOOR_LEGACY] = { TLS1_VERSION, 0, SIGNATURES ":ECDSA+SHA1:RSA+SHA1",
                           SSL_OP_LEGACY_SERVER_CONNECT },
};
static const struct floor server_floor = { TLS1_2_VERSION, 1, SIGNATURES,
                                           SSL_OP_CIPHER_SERVER_PREFERENCE };

void tls_error_name(char text[TLS_REASON_SIZE])
{
    unsigned long code = ERR_peek_error();
    const char *words = ERR_reason_error_string(code);
    int len = 0;

    /* OpenSSL keeps the macro's name as words: "wrong version number" */
    if (words)
        len = snprintf(text, TLS_REASON_SIZE, "%s%s",
                       ERR_GET_LIB(code) == ERR_LIB_SSL ? "SSL_R_" : "", words);
    else
        len = snprintf(text, TLS_REASON_SIZE, "OPENSSL_%08lX", code);
    for (int i = 0; i < len && i < TLS_REASON_SIZE - 1; i++) {
        if (text[i] >= 'a' && text[i] <= 'z')
            text[i] = (char)(text[i] - 'a' + 'A');
        else if (!ascii_is_alnum(text[i]))
            text[i] = '_';
    }
}

/* An error of ours with what OpenSSL has to say about it. */
static struct error *tls_error(const char *what)
{
    char reason[TLS_REASON_SIZE];
    bool known = ERR_peek_error() != 0;

    tls_error_name(reason);
    ERR_clear_error();
    if (!known)
        return error_new(ERROR_LOCAL, "%s", what);
    return error_new(ERROR_LOCAL, "%s: %s", what, reason);
}

/* PEM: never asks a terminal for a pass phrase. */

static int no_passphrase(char *room, int size, int writing, void *ctx)
{
    (void)room;
    (void)size;
    (void)writing;
    (void)ctx;
    return -1;
}

static BIO *pem_open(struct span pem)
{
    BIO *bio;

    ensure(pem.len <= INT32_MAX);
    bio = BIO_new_mem_buf(pem.len ? pem.data : "", (int)pem.len);
    ensure(bio);
    return bio;
}

static X509 *pem_certificate(BIO *bio)
{
    return PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
}

/* After a failed read: was there nothing more to read, or something broken? */
static bool pem_ended(void)
{
    unsigned long code = ERR_peek_last_error();

    ERR_clear_error();
    return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

/* Trust */

/* A bundle with a broken certificate in it is still a bundle: the others are taken. */
static void trust_load(struct tls_trust *trust, struct span pem)
{
    BIO *bio = pem_open(pem);

    ERR_clear_error();
    for (;;) {
        X509 *certificate = pem_certificate(bio);
        if (!certificate && pem_ended())
            break;
        if (certificate && X509_STORE_add_cert(trust->store, certificate) == 1)
            trust->count++;
        X509_free(certificate);
    }
    ERR_clear_error();
    BIO_free(bio);
}

struct error *tls_trust_new(struct span pem, struct tls_trust **out_trust)
{
    struct tls_trust *trust = memory_new(sizeof(*trust));

    trust->store = X509_STORE_new();
    ensure(trust->store);
    trust_load(trust, pem);
    if (trust->count == 0) {
        tls_trust_free(&trust);
        return error_new(ERROR_LOCAL, "no certificate in the CA bundle");
    }
    *out_trust = trust;
    return NULL;
}

void tls_trust_free(struct tls_trust **trust)
{
    if (!*trust)
        return;
    X509_STORE_free((*trust)->store);
    free(*trust);
    *trust = NULL;
}

unsigned tls_trust_count(const struct tls_trust *trust)
{
    return trust->count;
}

X509_STORE *tls_trust_store(const struct tls_trust *trust)
{
    return trust->store;
}

static struct error *trust_check(const char *path, FILE *file, unsigned *out_count)
{
    char *text = memory_new(TRUST_FILE_MAX);
    size_t len = fread(text, 1, TRUST_FILE_MAX, file);
    struct tls_trust *trust = NULL;
    struct error *err = NULL;

    if (ferror(file))
        err = error_new(ERROR_LOCAL, "cannot be read");
    else if (len == TRUST_FILE_MAX)
        err = error_new(ERROR_LOCAL, "larger than %d bytes", TRUST_FILE_MAX);
    else
        err = tls_trust_new((struct span){ text, len }, &trust);
    if (trust)
        *out_count = trust->count;
    tls_trust_free(&trust);
    free(text);
    return err ? error_wrap(err, "%s", path) : NULL;
}

struct error *tls_trust_check_file(const char *path, unsigned *out_count)
{
    FILE *file = fopen(path, "rbe");
    struct error *err;

    if (!file)
        return error_errno(ERROR_LOCAL, errno, "%s", path);
    err = trust_check(path, file, out_count);
    fclose(file);
    return err;
}

/* Contexts */

static void context_floor(SSL_CTX *ctx, const struct floor *floor)
{
    char list[512]; /* OpenSSL's macros cast const away */

    SSL_CTX_clear_options(ctx, SSL_CTX_get_options(ctx));
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_ENABLE_MIDDLEBOX_COMPAT | floor->options);
    SSL_CTX_set_security_level(ctx, floor->level);
    ensure(SSL_CTX_set_min_proto_version(ctx, floor->version) == 1);
    ensure(SSL_CTX_set_max_proto_version(ctx, 0) == 1);
    ensure(SSL_CTX_set_cipher_list(ctx, ciphers_12) == 1);
    ensure(SSL_CTX_set_ciphersuites(ctx, ciphers_13) == 1);
    ensure(span_to_string(span_of(groups), list, sizeof(list)));
    ensure(SSL_CTX_set1_groups_list(ctx, list) == 1);
    ensure(span_to_string(span_of(floor->signatures), list, sizeof(list)));
    ensure(SSL_CTX_set1_sigalgs_list(ctx, list) == 1);
}

static SSL_CTX *context_new(const SSL_METHOD *method, const struct floor *floor)
{
    SSL_CTX *ctx = SSL_CTX_new(method);

    ensure(ctx);
    context_floor(ctx, floor);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL); /* a client's result is judged, not enforced */
    SSL_CTX_clear_mode(ctx, SSL_MODE_ASYNC);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_read_ahead(ctx, 0);
    /* Every session is a full handshake: a resumed one would not be verified again. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    ERR_clear_error();
    return ctx;
}

static void context_wrap(SSL_CTX *ctx, struct tls_context **out_context)
{
    struct tls_context *context = memory_new(sizeof(*context));

    context->ctx = ctx;
    *out_context = context;
}

struct error *tls_client_context_new(struct tls_trust *trust, enum tls_floor floor,
                                     struct tls_context **out_context)
{
    SSL_CTX *ctx = context_new(TLS_client_method(), &floors[floor]);

    SSL_CTX_set1_cert_store(ctx, trust->store);
    context_wrap(ctx, out_context);
    return NULL;
}

static struct error *server_use_chain(SSL_CTX *ctx, struct span pem)
{
    BIO *bio = pem_open(pem);
    X509 *certificate = pem_certificate(bio);
    struct error *err = NULL;

    if (!certificate)
        err = tls_error("no certificate in the chain");
    else if (SSL_CTX_use_certificate(ctx, certificate) != 1)
        err = tls_error("certificate not usable");
    X509_free(certificate);
    while (!err && (certificate = pem_certificate(bio))) {
        if (SSL_CTX_add0_chain_cert(ctx, certificate) == 1)
            continue;
        X509_free(certificate);
        err = tls_error("certificate not usable in the chain");
    }
    if (!err && !pem_ended())
        err = error_new(ERROR_LOCAL, "broken certificate in the chain");
    BIO_free(bio);
    return err;
}

static struct error *server_use_key(SSL_CTX *ctx, struct span pem)
{
    BIO *bio = pem_open(pem);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    struct error *err = NULL;

    if (!key)
        err = tls_error("no readable private key without pass phrase");
    else if (SSL_CTX_use_PrivateKey(ctx, key) != 1 || SSL_CTX_check_private_key(ctx) != 1)
        err = tls_error("private key does not fit the certificate");
    EVP_PKEY_free(key);
    BIO_free(bio);
    return err;
}

/* Tickets and sessions of one listener are worth nothing at another (pitfalls.md section 7.23). */
static void server_session_id(SSL_CTX *ctx, struct span session_id)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    ensure(EVP_Digest(session_id.data, session_id.len, digest, &len, EVP_sha256(), NULL) == 1);
    ensure(SSL_CTX_set_session_id_context(ctx, digest, len) == 1);
}

struct error *tls_server_context_new(struct span chain_pem, struct span key_pem,
                                     struct span session_id, struct tls_context **out_context)
{
    SSL_CTX *ctx = context_new(TLS_server_method(), &server_floor);
    struct error *err;

    SSL_CTX_set_dh_auto(ctx, 1);
    ensure(SSL_CTX_set_num_tickets(ctx, 0) == 1);
    server_session_id(ctx, session_id);
    err = server_use_chain(ctx, chain_pem);
    if (!err)
        err = server_use_key(ctx, key_pem);
    if (err) {
        SSL_CTX_free(ctx);
        return err;
    }
    context_wrap(ctx, out_context);
    return NULL;
}

void tls_context_free(struct tls_context **context)
{
    if (!*context)
        return;
    SSL_CTX_free((*context)->ctx);
    free(*context);
    *context = NULL;
}

SSL *tls_context_session(struct tls_context *context)
{
    SSL *ssl = SSL_new(context->ctx);

    ensure(ssl);
    return ssl;
}
