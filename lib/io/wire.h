/*
 * wire - one non-blocking TCP socket, in clear or through TLS: what a single read, write or step of
 * the handshake came to.  Knows no loop and keeps no bytes; lib/io/stream stands on it, nobody
 * else.  Owns the descriptor and the TLS session.  A plain value, to be embedded.
 * SIGPIPE must be ignored by the process (OpenSSL writes without MSG_NOSIGNAL).
 */
#ifndef WAXSEAL_IO_WIRE_H
#define WAXSEAL_IO_WIRE_H

#include "lib/base/error.h"
#include "lib/base/network.h"
#include "lib/io/tls_resumption.h"
#include "lib/mail/tlsa.h"

enum wire_result {
    WIRE_DONE,
    WIRE_WANT_READ,  /* again when readable */
    WIRE_WANT_WRITE, /* again when writable */
    WIRE_EOF,        /* the peer closed in good order */
    WIRE_CUT,        /* TLS ended without close_notify */
    WIRE_FAILED,     /* wire_error says how; the wire is of no more use */
};

struct wire {
    int fd;
    struct endpoint remote;       /* whom it was connected to, if by us */
    struct ssl_st *ssl;           /* NULL: nobody asked for TLS yet */
    bool tls;                     /* the handshake has begun: no more clear bytes */
    char *name;                   /* the name a TLS client goes for; NULL in servers */
    bool broken;                  /* TLS failed: no more I/O, no close_notify */
    bool secured;                 /* the handshake is done */
    int errnum;                   /* of the failure, 0 when TLS itself failed */
    char reason[TLS_REASON_SIZE]; /* name of the TLS failure, or "" */
};

/* Takes over a connected descriptor. */
void wire_open(struct wire *wire, int fd);

/*
 * Begins to connect, from `local` unless that is NULL or none; when writable, wire_connected tells.
 * On failure the wire is closed.
 */
struct error *wire_connect(struct wire *wire, const struct endpoint *remote,
                           const struct ip_address *local) MUST_CHECK;
struct error *wire_connected(struct wire *wire) MUST_CHECK;

/* Closes at once; a closed wire may be closed again. */
void wire_close(struct wire *wire);

/* One read or write; *out_len is what it moved, also when the result is a WANT or an end. */
enum wire_result wire_read(struct wire *wire, char *room, size_t size, size_t *out_len);
enum wire_result wire_write(struct wire *wire, struct span bytes, size_t *out_len);

/* Prepares TLS, which begins with the first wire_handshake; that is called until it is DONE (or
 * neither of the WANTs). */
void wire_secure_client(struct wire *wire, struct tls_context *context, const char *name);
void wire_secure_server(struct wire *wire, struct tls_context *context);
enum wire_result wire_handshake(struct wire *wire, struct tls_session *out_session);

/* Before the handshake of a client: TLSA records to judge it by; gives how many are in force. */
unsigned wire_expect_tlsa(struct wire *wire, const struct tlsa_names *also,
                          const struct span *records, unsigned count);

/* Before the handshake of a client: a session to resume, lent for the call. */
void wire_resume(struct wire *wire, const struct tls_resumable *resumable);
/* After it: one more that the server has given for later, or NULL. */
struct tls_resumable *wire_resumable(const struct wire *wire);

/* See tls_session_binding; 0 without TLS. */
size_t wire_binding(const struct wire *wire, enum tls_binding kind,
                    unsigned char room[TLS_BINDING_MAX]);

/* Are there bytes inside TLS that the descriptor no longer tells of? */
bool wire_has_more(const struct wire *wire);

/* Says close_notify, once, if TLS is in good order. */
void wire_say_end(struct wire *wire);

/*
 * After the last byte: throws away what has come, so that closing does not reset the connection
 * and with it our last words.  EOF, or nothing there: WIRE_DONE; else the peer still talks, and is
 * told that we do not: WIRE_WANT_READ, to be called again when readable.
 */
enum wire_result wire_linger(struct wire *wire, char *room, size_t size);

/* The failure as an error: "what: Connection reset by peer". */
struct error *wire_error(const struct wire *wire, const char *what) MUST_CHECK;

bool wire_local(const struct wire *wire, struct endpoint *out);
bool wire_remote(const struct wire *wire, struct endpoint *out);

#endif
