/*
 * tls_tickets - sessions that come back: a client keeps its session, sealed with a key of ours, and
 * shows it next time instead of a whole handshake (RFC 5077, RFC 8446 s.4.6.1).  No state is kept.
 * Called by lib/io/tls_server for contexts that ask clients for no certificate: what a ticket says
 * of one would never be verified again (pitfalls.md section 5).  Never 0-RTT: what is said in it
 * can be said again by anybody who heard it (RFC 8446 s.8).
 */
#ifndef WAXSEAL_IO_TLS_TICKETS_H
#define WAXSEAL_IO_TLS_TICKETS_H

#include "lib/io/tls_openssl.h"

/* Opened with any of the keys, sealed with the first. */
struct tls_ticket_keys;

/* `bytes`: whole keys of TLS_TICKET_KEY_SIZE each, copied; NULL when there is none. */
struct tls_ticket_keys *tls_ticket_keys_new(struct span bytes);
void tls_ticket_keys_free(struct tls_ticket_keys **keys);

/* The context seals and opens with `keys`, which must live as long as its sessions. */
void tls_tickets_use(SSL_CTX *ctx, const struct tls_ticket_keys *keys);

/*
 * The binding to the certificate of the handshake in which a resumed session began (RFC 5929 s.4):
 * ours may have changed since.  Gives its length, 0: unknown.
 */
size_t tls_tickets_end_point(const SSL *ssl, unsigned char room[TLS_BINDING_MAX]);

#endif
