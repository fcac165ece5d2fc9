#include "lib/io/tls.h"
#include "lib/io/tls_groups.h"
#include "lib/io/tls_openssl.h"

#include "lib/base/memory.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>

enum { TRUST_FILE_MAX = 16 * 1024 * 1024 };

struct tls_trust {
    X509_STORE *store;
    unsigned count;
};

struct tls_context {
    SSL_CTX *ctx;
    unsigned refs;
};

/* What the administrator's openssl.cnf could have said is said here again (pitfalls.md section 5).
 */
static const char ciphers_13[] =
    "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256";
static const char groups[] = "X25519:P-256:X448:P-521:P-384";
static const char ciphers_12[] = "DEFAULT:!aNULL:!eNULL:!PSK:!SRP";

static const struct tls_ground floors[] = {
    [TLS_FLOOR_STRICT] = { TLS1_2_VERSION, 2, ciphers_12, TLS_SIGNATURES, 0 },
    [TLS_FLOOR_OPPORTUNISTIC] = { TLS1_2_VERSION, 1, ciphers_12, TLS_SIGNATURES, 0 },
    [TLS_FLOOR_LEGACY] = { TLS1_VERSION, 0, ciphers_12, TLS_SIGNATURES ":ECDSA+SHA1:RSA+SHA1",
                           SSL_OP_LEGACY_SERVER_CONNECT },
};

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

struct error *tls_error(const char *what)
{
    char reason[TLS_REASON_SIZE];
    bool known = ERR_peek_error() != 0;

    tls_error_name(reason);
    ERR_clear_error();
    if (!known)
        return error_new(ERROR_LOCAL, "%s", what);
    return error_new(ERROR_LOCAL, "%s: %s", what, reason);
}

/* Trust */

/* A bundle with a broken certificate in it is still a bundle: the others are taken. */
static void trust_load(struct tls_trust *trust, struct span pem)
{
    BIO *bio = tls_pem_open(pem);

    ERR_clear_error();
    for (;;) {
        X509 *certificate = tls_pem_certificate(bio);
        if (!certificate && tls_pem_ended())
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

static void context_floor(SSL_CTX *ctx, const struct tls_ground *floor)
{
    char list[512]; /* OpenSSL's macros cast const away */

    SSL_CTX_clear_options(ctx, SSL_CTX_get_options(ctx));
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_ENABLE_MIDDLEBOX_COMPAT | floor->options);
    SSL_CTX_set_security_level(ctx, floor->level);
    ensure(SSL_CTX_set_min_proto_version(ctx, floor->version) == 1);
    ensure(SSL_CTX_set_max_proto_version(ctx, 0) == 1);
    ensure(SSL_CTX_set_cipher_list(ctx, floor->ciphers) == 1);
    ensure(SSL_CTX_set_ciphersuites(ctx, ciphers_13) == 1);
    ensure(span_to_string(span_of(groups), list, sizeof(list)));
    ensure(SSL_CTX_set1_groups_list(ctx, list) == 1);
    ensure(span_to_string(span_of(floor->signatures), list, sizeof(list)));
    ensure(SSL_CTX_set1_sigalgs_list(ctx, list) == 1);
}

SSL_CTX *tls_context_bare(const SSL_METHOD *method, const struct tls_ground *floor)
{
    SSL_CTX *ctx = SSL_CTX_new(method);

    ensure(ctx);
    context_floor(ctx, floor);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL); /* a client's result is judged, not enforced */
    SSL_CTX_clear_mode(ctx, SSL_MODE_ASYNC);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_read_ahead(ctx, 0);
    /* Without a key to keep it under, none is resumed: it would not be verified again. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    ERR_clear_error();
    return ctx;
}

void tls_context_wrap(SSL_CTX *ctx, struct tls_context **out_context)
{
    struct tls_context *context = memory_new(sizeof(*context));

    context->ctx = ctx;
    context->refs = 1;
    *out_context = context;
}

/* Hybrid groups came with OpenSSL 3.5, or come from a provider: what is there shows at run time. */
static bool group_is_known(const char *name)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    char list[TLS_GROUPS_SIZE];

    ensure(ctx && span_to_string(span_of(name), list, sizeof(list)));
    bool is_known = SSL_CTX_set1_groups_list(ctx, list) == 1;
    SSL_CTX_free(ctx);
    ERR_clear_error();
    return is_known;
}

bool tls_hellos_differ(void)
{
    char list[TLS_GROUPS_SIZE];

    return tls_groups_full(group_is_known, list) > 0;
}

static void client_context(struct tls_trust *trust, enum tls_floor floor, char *group_list,
                           struct tls_context **out_context)
{
    SSL_CTX *ctx = tls_context_bare(TLS_client_method(), &floors[floor]);

    ensure(SSL_CTX_set1_groups_list(ctx, group_list) == 1);
    SSL_CTX_set1_cert_store(ctx, trust->store);
    tls_resumption_allow(ctx);
    ensure(SSL_CTX_dane_enable(ctx) > 0); /* for sessions that ask for it */
    tls_context_wrap(ctx, out_context);
}

struct error *tls_client_context_new(struct tls_trust *trust, enum tls_floor floor,
                                     struct tls_context **out_context)
{
    char list[TLS_GROUPS_SIZE];

    tls_groups_full(group_is_known, list);
    client_context(trust, floor, list, out_context);
    return NULL;
}

struct error *tls_classic_context_new(struct tls_trust *trust, enum tls_floor floor,
                                      struct tls_context **out_context)
{
    char list[TLS_GROUPS_SIZE];

    tls_groups_classic(list);
    client_context(trust, floor, list, out_context);
    return NULL;
}

struct tls_context *tls_context_keep(struct tls_context *context)
{
    if (context)
        context->refs++;
    return context;
}

void tls_context_free(struct tls_context **context)
{
    struct tls_context *c = *context;

    *context = NULL;
    if (!c || --c->refs > 0)
        return;
    SSL_CTX_free(c->ctx);
    free(c);
}

SSL *tls_context_session(struct tls_context *context)
{
    SSL *ssl = SSL_new(context->ctx);

    ensure(ssl);
    return ssl;
}
