/*
 * stream - bytes over TCP, clear first, then perhaps TLS.  It reads and writes the socket itself
 * on the loop's events, flushes once per turn, bounds what it keeps, and gives every wait a
 * deadline.  smtpd's sessions and the delivery dialogue stand on it.
 *
 * The owner hears five things.  Callbacks come from the loop, never from inside a call made by the
 * owner; after stream_free none comes.  A stream may be freed in its own callback.
 */
#ifndef WAXSEAL_IO_STREAM_H
#define WAXSEAL_IO_STREAM_H

#include "lib/base/error.h"
#include "lib/base/network.h"
#include "lib/io/loop.h"
#include "lib/io/tls_resumption.h"
#include "lib/mail/tlsa.h"

struct stream;

struct stream_events {
    /* The connection stands (only for stream_connect). */
    void (*connected)(void *ctx);
    /* The handshake is done; `session` is lent.  Input from before was empty or thrown away. */
    void (*secured)(void *ctx, const struct tls_session *session);
    /*
     * Bytes have come.  `input` is all that is kept and not yet used up, lent for the call; gives
     * how many of its front bytes are used up.  Called anew when more has come, when reading is
     * resumed, and at once when something but not all was used up.  Not called while paused.
     */
    size_t (*input)(void *ctx, struct span input);
    /* All output is with the kernel, after it was over the low mark. */
    void (*drained)(void *ctx);
    /*
     * The connection has ended; nothing but stream_free may be called any more.  `err` is lent and
     * NULL for an orderly end by the peer; else the kind is TRANSIENT (LOCAL when we have no
     * socket or address to connect from) and stream_end says more.
     */
    void (*closed)(void *ctx, const struct error *err);
};

/* Why a stream ended, for replies and reports. */
enum stream_end {
    STREAM_END_PEER,     /* the peer closed */
    STREAM_END_ERROR,    /* reset, unreachable, ... */
    STREAM_END_TIMEOUT,  /* the deadline passed */
    STREAM_END_TLS,      /* the handshake failed; stream_tls_reason says why */
    STREAM_END_REFUSED,  /* connect failed */
    STREAM_END_OVERFLOW, /* more input than the owner used up */
};

/* Takes over a connected socket (it is made non-blocking, and closed by stream_free). */
struct stream *stream_open(struct loop *loop, int fd, const struct stream_events *events,
                           void *ctx);

/*
 * Begins to connect to `remote` from `local` (NULL or family NONE: the kernel's choice).  Ends in
 * connected or closed.  stream_deadline should be set at once.
 */
struct stream *stream_connect(struct loop *loop, const struct endpoint *remote,
                              const struct ip_address *local, const struct stream_events *events,
                              void *ctx);

/* Ends as one whose connect failed with `err` does, without a connect.  Takes `err`. */
struct stream *stream_refuse(struct loop *loop, const struct endpoint *remote, struct error *err,
                             const struct stream_events *events, void *ctx);

/* Closes at once, throwing away unsent output.  Sets *stream to NULL. */
void stream_free(struct stream **stream);

/* Sends what is left within `wait_ms`, closes TLS properly, then frees itself.  Takes *stream. */
void stream_finish(struct stream **stream, int64_t wait_ms);

/* How many bytes of input may wait unused before the stream ends with OVERFLOW; 64 KiB at first. */
void stream_input_limit(struct stream *stream, size_t bytes);

/* Adds to the output; sent at the end of the turn.  Bounded by the owner, who watches the pending.
 */
void stream_write(struct stream *stream, struct span bytes);
/* The same of what nobody may find in memory once it has left; the output is empty before. */
void stream_write_secret(struct stream *stream, struct span bytes);
bool stream_printf(struct stream *stream, const char *format, ...) PRINTF_LIKE(2, 3);
size_t stream_pending(const struct stream *stream);
/* `drained` comes when the pending falls to `low` or below after having been above. 0 at first. */
void stream_low_mark(struct stream *stream, size_t low);

/* Stops and goes on reading from the socket: the owner's back-pressure. */
void stream_pause(struct stream *stream);
void stream_resume(struct stream *stream);

/*
 * Inside `input`: overwrites a piece of what the call was given, which the owner is done with and
 * which nobody may find in memory later.
 */
void stream_forget(const struct stream *stream, struct span piece);

/*
 * Bytes read and not used up: must be 0 before a handshake (RFC 3207 s.4.2, pitfalls.md 7.2).
 * Inside `input` it is all that the call was given; there look at what stands behind the line.
 */
size_t stream_unused(const struct stream *stream);

/*
 * Begins the handshake; ends in secured or closed.  Output still pending is sent in clear first;
 * what is written from here on waits for TLS.  Input not used up is thrown away.
 * A client says the name it wants (SNI and reference identity, an A-label without final dot) and
 * goes on whatever the certificate's verdict: the caller judges session->cert.
 */
void stream_secure_client(struct stream *stream, struct tls_context *context, const char *name);
void stream_secure_server(struct stream *stream, struct tls_context *context);
bool stream_is_secure(const struct stream *stream);
/*
 * Right behind stream_secure_client: the certificate is judged by these TLSA records alone
 * (lib/io/tls_dane.h), and by the name, which is the TLSA base domain, or by one of `also` where
 * their usage asks for one.  Gives how many are in force; with 0 the verdict means nothing.
 */
unsigned stream_expect_tlsa(struct stream *stream, const struct tlsa_names *also,
                            const struct span *records, unsigned count);
/*
 * Right behind stream_secure_client: offers a session of before, lent for the call.  The server may
 * take it or not; session->resumed tells.
 */
void stream_resume_tls(struct stream *stream, const struct tls_resumable *resumable);
/* One more session that the server has given for later connections; the caller's, NULL: none. */
struct tls_resumable *stream_resumable(const struct stream *stream);
/* What ties an authentication to this TLS session; gives its length, 0: there is none. */
size_t stream_tls_binding(const struct stream *stream, enum tls_binding kind,
                          unsigned char room[TLS_BINDING_MAX]);

/*
 * The absolute end of the present wait: monotonic ms from now; -1: none.  When it passes the stream
 * closes with STREAM_END_TIMEOUT.  It is not moved by bytes that come.
 */
void stream_deadline(struct stream *stream, int64_t wait_ms);

enum stream_end stream_end(const struct stream *stream);
const char *stream_tls_reason(const struct stream *stream); /* alert or error name; "" if none */

bool stream_local(const struct stream *stream, struct endpoint *out);
bool stream_remote(const struct stream *stream, struct endpoint *out);

#endif
