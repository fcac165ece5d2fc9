/*
 * tls_openssl - the OpenSSL objects behind lib/io/tls.h, for those in lib/io that speak TLS
 * themselves (wire, http) or read certificates.  Nobody outside lib/io includes it.
 */
#ifndef WAXSEAL_IO_TLS_OPENSSL_H
#define WAXSEAL_IO_TLS_OPENSSL_H

#include "lib/io/tls_resumption.h"
#include "lib/mail/tlsa.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/* --- PEM text: never asks a terminal for a pass phrase */

BIO *tls_pem_open(struct span pem);
X509 *tls_pem_certificate(BIO *bio);
EVP_PKEY *tls_pem_key(BIO *bio);
/* After a failed read: was there nothing more to read, or something broken? */
bool tls_pem_ended(void);

/* --- contexts */

/* What the administrator's openssl.cnf could have said is said here again (pitfalls.md section 5).
 */
struct tls_ground {
    int version; /* the least */
    int level;
    const char *ciphers; /* of TLS 1.2 and before */
    const char *signatures;
    uint64_t options;
};

#define TLS_SIGNATURES                                                                             \
    "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519:ed448:"                                        \
    "RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:"                                                \
    "rsa_pss_pss_sha256:rsa_pss_pss_sha384:rsa_pss_pss_sha512:"                                    \
    "RSA+SHA256:RSA+SHA384:RSA+SHA512:ECDSA+SHA224:RSA+SHA224"

SSL_CTX *tls_context_bare(const SSL_METHOD *method, const struct tls_ground *ground);
/* Takes `ctx`. */
void tls_context_wrap(SSL_CTX *ctx, struct tls_context **out_context);

/* The store of what we trust; lent.  A user keeps a reference of its own (X509_STORE_up_ref). */
X509_STORE *tls_trust_store(const struct tls_trust *trust);

/* A bare new session of a context, for tls_session_begin. */
SSL *tls_context_session(struct tls_context *context);

/*
 * A new session of a context, not yet bound to a socket.  A client's goes for `name`: it is sent as
 * SNI and is what the certificate is judged against; a server's has none.
 */
SSL *tls_session_begin(struct tls_context *context, const char *name);

/* What stands after the handshake. `name` is the one that the session began with, or NULL. */
void tls_session_describe(SSL *ssl, const char *name, struct tls_session *out_session);

/* --- resumption by clients (tls_resumption.h) */

/* Sessions of this context may be kept, and be resumed. */
void tls_resumption_allow(SSL_CTX *ctx);
/* Before the handshake: offers one. */
void tls_resumption_offer(SSL *ssl, const struct tls_resumable *resumable);
/* After it: one more that the server has given, as tls_session_describe judges it; NULL: none. */
struct tls_resumable *tls_resumption_take(SSL *ssl, const char *name);

/* Gives the binding's length; 0: this session has none. */
size_t tls_session_binding(SSL *ssl, enum tls_binding kind, unsigned char room[TLS_BINDING_MAX]);

/* RFC 8461 s.4.2: DNS-IDs only; RFC 6125 s.6.4.3: a wildcard is a complete label. */
enum {
    TLS_HOST_FLAGS = X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS
};

/* Is this one of its DNS-IDs, as clients compare them?  Anything may be asked. */
bool tls_certificate_bears(X509 *certificate, struct span reference);

/* For people who have to mend it: "valid until 2026-11-21T11:06:15Z, CN=mx.example.net". */
enum { TLS_CERTIFICATE_WORDS_SIZE = 160 };
void tls_certificate_words(X509 *certificate, char words[TLS_CERTIFICATE_WORDS_SIZE]);

/*
 * Before the handshake of a client: by these records it is judged, and for usage DANE-TA by the
 * name `base` or one of `also`.  Gives how many are in force; with 0 nothing it says is to be
 * believed.
 */
unsigned tls_dane_expect(SSL *ssl, const char *base, const struct tlsa_names *also,
                         const struct span *records, unsigned count);

/* An error of ours with what OpenSSL has to say about it. */
struct error *tls_error(const char *what) MUST_CHECK;
/* The first error that OpenSSL queued, by its macro's name ("SSL_R_WRONG_VERSION_NUMBER"). */
void tls_error_name(char text[TLS_REASON_SIZE]);

#endif
