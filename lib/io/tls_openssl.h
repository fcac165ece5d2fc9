/*
 * tls_openssl - the OpenSSL objects behind lib/io/tls.h, for those in lib/io that speak TLS
 * themselves (wire, http).  Nobody outside lib/io includes it.
 */
#ifndef WAXSEAL_IO_TLS_OPENSSL_H
#define WAXSEAL_IO_TLS_OPENSSL_H

#include "lib/io/tls.h"

#include <openssl/ssl.h>

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

/* Gives the binding's length; 0: this session has none. */
size_t tls_session_binding(SSL *ssl, enum tls_binding kind, unsigned char room[TLS_BINDING_MAX]);

/* The first error that OpenSSL queued, by its macro's name ("SSL_R_WRONG_VERSION_NUMBER"). */
void tls_error_name(char text[TLS_REASON_SIZE]);

#endif
