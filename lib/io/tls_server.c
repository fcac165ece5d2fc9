#include "lib/io/tls_server.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/memory.h"
#include "lib/io/tls_openssl.h"
#include "lib/io/tls_tickets.h"

/*
 * Authenticated encryption first; behind it what old printers and appliances can do, for to most of
 * them the choice is that or clear text.  No finite-field DH: it is slow to the gain of an attacker
 * (CVE-2002-20001), and all that speak TLS 1.2 have elliptic curves or RSA.
 */
static const char ciphers_12[] =
    "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384:"
    "ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:ECDHE-RSA-AES256-SHA:ECDHE-RSA-AES128-SHA:"
    "AES256-GCM-SHA384:AES128-GCM-SHA256:AES256-SHA:AES128-SHA";

static const struct tls_ground ground = { TLS1_2_VERSION, 1, ciphers_12, TLS_SIGNATURES,
                                          SSL_OP_CIPHER_SERVER_PREFERENCE };

/* --- one pair -------------------------------------------------------------------------------- */

struct pair {
    X509 *certificate;
    STACK_OF(X509) * issuers;
    EVP_PKEY *key;
};

static void pair_clear(struct pair *pair)
{
    X509_free(pair->certificate);
    sk_X509_pop_free(pair->issuers, X509_free);
    EVP_PKEY_free(pair->key);
}

static struct error *read_chain(struct span pem, struct pair *pair)
{
    BIO *bio = tls_pem_open(pem);
    struct error *err = NULL;
    X509 *issuer;

    pair->certificate = tls_pem_certificate(bio);
    if (!pair->certificate)
        err = tls_error("no certificate in the chain");
    while (!err && (issuer = tls_pem_certificate(bio)) != NULL)
        ensure(sk_X509_push(pair->issuers, issuer) > 0);
    if (!err && !tls_pem_ended())
        err = error_new(ERROR_LOCAL, "broken certificate in the chain");
    BIO_free(bio);
    return err;
}

static struct error *read_key(struct span pem, struct pair *pair)
{
    BIO *bio = tls_pem_open(pem);
    struct error *err = NULL;

    pair->key = tls_pem_key(bio);
    if (!pair->key)
        err = tls_error("no readable private key without pass phrase");
    else if (X509_check_private_key(pair->certificate, pair->key) != 1)
        err = tls_error("private key does not fit the certificate");
    BIO_free(bio);
    return err;
}

static struct error *read_pair(const struct tls_pair *from, struct pair *pair)
{
    struct error *err;

    *pair = (struct pair){ .issuers = sk_X509_new_null() };
    ensure(pair->issuers);
    ERR_clear_error();
    err = read_chain(from->chain_pem, pair);
    return err ? err : read_key(from->key_pem, pair);
}

static struct error *use_pair(SSL_CTX *ctx, const struct pair *pair)
{
    if (SSL_CTX_use_cert_and_key(ctx, pair->certificate, pair->key, pair->issuers, 1) != 1)
        return tls_error("certificate not usable");
    return NULL;
}

/* --- names ----------------------------------------------------------------------------------- */

/* The contexts of a listener: the first is what every session begins with, and owns this. */
struct faces {
    SSL_CTX *of[TLS_PAIRS_MAX];
    unsigned count;
    struct tls_ticket_keys *tickets; /* NULL: none are given */
};

static CRYPTO_ONCE faces_once = CRYPTO_ONCE_STATIC_INIT;
static int faces_index;

static void faces_free(void *parent, void *ptr, CRYPTO_EX_DATA *data, int index, long l, void *p)
{
    struct faces *faces = ptr;

    (void)parent;
    (void)data;
    (void)index;
    (void)l;
    (void)p;
    if (!faces)
        return;
    for (unsigned i = 1; i < faces->count; i++)
        SSL_CTX_free(faces->of[i]);
    tls_ticket_keys_free(&faces->tickets);
    free(faces);
}

static void faces_begin(void)
{
    faces_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, faces_free);
}

/* RFC 6066 s.3: with a name that is nobody's the server may go on. */
static int choose_face(SSL *ssl, int *alert, void *arg)
{
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const struct faces *faces = arg;

    (void)alert;
    for (unsigned i = 0; name && i < faces->count; i++) {
        if (!tls_certificate_bears(SSL_CTX_get0_certificate(faces->of[i]), span_of(name)))
            continue;
        if (i > 0)
            SSL_set_SSL_CTX(ssl, faces->of[i]);
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_NOACK;
}

/* A wildcard is borne by a certificate that has the very same one. */
static bool bears(X509 *certificate, struct span name)
{
    char host[256] = "any-label";

    if (name.len == 0 || name.data[0] != '*')
        return tls_certificate_bears(certificate, name);
    if (!span_to_string(span_from(name, 1), host + strlen(host), sizeof(host) - strlen(host)))
        return false;
    return tls_certificate_bears(certificate, span_of(host));
}

/* Does `a` bear all DNS-IDs of `b`? */
static bool covers(X509 *a, X509 *b)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(b, NID_subject_alt_name, NULL, NULL);
    bool all = names || X509_NAME_cmp(X509_get_subject_name(a), X509_get_subject_name(b)) == 0;

    for (int i = 0; all && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        all = name->type != GEN_DNS ||
              bears(a, (struct span){ (const char *)ASN1_STRING_get0_data(name->d.dNSName),
                                      (size_t)ASN1_STRING_length(name->d.dNSName) });
    }
    GENERAL_NAMES_free(names);
    ERR_clear_error();
    return all;
}

/* Else a client could be shown one without the name it asked for. */
static bool have_same_names(X509 *a, X509 *b)
{
    return covers(a, b) && covers(b, a);
}

static bool has_key_like(SSL_CTX *ctx, const EVP_PKEY *key)
{
    bool has = false;

    for (long more = SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_FIRST); more == 1 && !has;
         more = SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_NEXT))
        has = EVP_PKEY_get_base_id(SSL_CTX_get0_privatekey(ctx)) == EVP_PKEY_get_base_id(key);
    return has;
}

/* --- contexts -------------------------------------------------------------------------------- */

/* Tickets and sessions of one listener are worth nothing at another (pitfalls.md section 7.23). */
static void use_session_id(SSL_CTX *ctx, struct span session_id)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    ensure(EVP_Digest(session_id.data, session_id.len, digest, &len, EVP_sha256(), NULL) == 1);
    ensure(SSL_CTX_set_session_id_context(ctx, digest, len) == 1);
}

/* The first error stays as the session's verdict, and ends no handshake. */
static int judge_client(X509_STORE_CTX *store, void *ctx)
{
    (void)ctx;
    (void)X509_verify_cert(store);
    return 1;
}

/* No list of issuers is sent: clients choose by it, and what counts may be a fingerprint. */
static void ask_client(SSL_CTX *ctx, const struct tls_server_wish *wish)
{
    bool is_required = wish->client == TLS_CLIENT_REQUIRED;

    if (wish->client == TLS_CLIENT_UNASKED)
        return;
    if (wish->client_trust)
        SSL_CTX_set1_cert_store(ctx, tls_trust_store(wish->client_trust));
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | (is_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                       NULL);
    if (!is_required || !wish->client_trust)
        SSL_CTX_set_cert_verify_callback(ctx, judge_client, NULL);
}

static SSL_CTX *context_new(const struct faces *faces, const struct tls_server_wish *wish)
{
    SSL_CTX *ctx = tls_context_bare(TLS_server_method(), &ground);

    if (wish->only_13)
        ensure(SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1);
    ensure(SSL_CTX_set_num_tickets(ctx, 0) == 1);
    ensure(SSL_CTX_set_max_early_data(ctx, 0) == 1); /* a command said twice is no early command */
    use_session_id(ctx, wish->session_id);
    ask_client(ctx, wish);
    if (faces->tickets)
        tls_tickets_use(ctx, faces->tickets);
    return ctx;
}

/* The context that has a certificate of the same names and none with such a key; or a new one. */
static SSL_CTX *face_for(struct faces *faces, const struct pair *pair,
                         const struct tls_server_wish *wish)
{
    for (unsigned i = 0; i < faces->count; i++)
        if (!has_key_like(faces->of[i], pair->key) &&
            have_same_names(SSL_CTX_get0_certificate(faces->of[i]), pair->certificate))
            return faces->of[i];
    return faces->of[faces->count++] = context_new(faces, wish);
}

static struct error *take_pairs(struct faces *faces, const struct tls_server_wish *wish)
{
    struct error *err = NULL;

    for (unsigned i = 0; i < wish->pair_count && !err; i++) {
        struct pair pair;
        err = read_pair(&wish->pairs[i], &pair);
        if (!err)
            err = use_pair(face_for(faces, &pair, wish), &pair);
        pair_clear(&pair);
    }
    return err;
}

struct error *tls_server_context_new(const struct tls_server_wish *wish,
                                     struct tls_context **out_context)
{
    struct faces *faces = memory_new(sizeof(*faces));
    struct error *err;

    ensure(wish->pair_count > 0 && wish->pair_count <= TLS_PAIRS_MAX);
    ensure(CRYPTO_THREAD_run_once(&faces_once, faces_begin) == 1);
    if (wish->client == TLS_CLIENT_UNASKED)
        faces->tickets = tls_ticket_keys_new(wish->ticket_keys);
    err = take_pairs(faces, wish);
    ERR_clear_error();
    if (faces->count == 0) {
        faces_free(NULL, faces, NULL, 0, 0, NULL);
        return err;
    }
    SSL_CTX *first = faces->of[0];
    ensure(SSL_CTX_set_ex_data(first, faces_index, faces) == 1);
    SSL_CTX_set_tlsext_servername_callback(first, choose_face);
    SSL_CTX_set_tlsext_servername_arg(first, faces);
    if (err)
        SSL_CTX_free(first);
    else
        tls_context_wrap(first, out_context);
    return err;
}
