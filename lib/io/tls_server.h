/*
 * tls_server - what the TLS sessions of one listener share: its certificates, of which each client
 * is shown the one for the name it asks for (SNI, RFC 6066 s.3), and what is asked of clients.
 * Called by smtpd, and by the supervisor to try what it read.  OpenSSL behind it.
 */
#ifndef WAXSEAL_IO_TLS_SERVER_H
#define WAXSEAL_IO_TLS_SERVER_H

#include "lib/io/tls.h"

/* A chain, our own certificate first, and its key, both as PEM text. */
struct tls_pair {
    struct span chain_pem;
    struct span key_pem;
};

/* Shall clients show a certificate? */
enum tls_client_certificate {
    TLS_CLIENT_UNASKED,
    TLS_CLIENT_ASKED,    /* the handshake goes on whatever they show, or nothing */
    TLS_CLIENT_REQUIRED, /* without one it fails, and with `client_trust` without a trusted one */
};

/* What seals tickets, which let a client come back without a whole handshake. */
enum { TLS_TICKET_KEY_SIZE = 16 + 32 + 32, TLS_TICKET_KEYS_MAX = 3 };

enum { TLS_PAIRS_MAX = 8 };

struct tls_server_wish {
    /*
     * TLS_PAIRS_MAX at most.  The first is for clients that ask for no name, or for one that none
     * bears.  A pair with the same names as one before it and another kind of key (RSA, ECDSA)
     * stands beside that one.
     */
    const struct tls_pair *pairs;
    unsigned pair_count;
    struct span session_id; /* keeps tickets of listeners apart */
    bool only_13;           /* TLS 1.3; else 1.2, too */
    enum tls_client_certificate client;
    /* Who vouches for clients; NULL: nobody, then what counts are fingerprints.  Lent. */
    const struct tls_trust *client_trust;
    /*
     * Whole keys, one behind the other: the first seals, all open.  Empty: no tickets.  None are
     * given either where clients are asked for a certificate.
     */
    struct span ticket_keys;
};

struct error *tls_server_context_new(const struct tls_server_wish *wish,
                                     struct tls_context **out_context) MUST_CHECK;

#endif
