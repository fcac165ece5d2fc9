/*
 * tls_resumption - what a TLS client keeps of a session to resume it on a later connection: bytes,
 * and what was found out about the peer (RFC 8446 s.2.2, RFC 5077).  Resuming spares both sides the
 * signature; OpenSSL then verifies nothing again (pitfalls.md section 5).  So whoever keeps one
 * does so under a key that says for whom, at what level and by which roots it was verified; what
 * stands in the certificate itself, names and dates, is compared anew by tls_session.
 * Taken from a stream and given to the next one by queue/deliver/dialogue.
 */
#ifndef WAXSEAL_IO_TLS_RESUMPTION_H
#define WAXSEAL_IO_TLS_RESUMPTION_H

#include "lib/io/tls.h"

struct tls_resumable;

/* Forgets the secrets, too. */
void tls_resumable_free(struct tls_resumable **resumable);
struct tls_resumable *tls_resumable_copy(const struct tls_resumable *resumable);

/* For one connection only (RFC 8446 appendix C.4)? */
bool tls_resumable_once(const struct tls_resumable *resumable);
/* Had the certificate passed all checks? */
bool tls_resumable_verified(const struct tls_resumable *resumable);
/* Monotonic: when the peer was last asked for its certificate. */
int64_t tls_resumable_since_ms(const struct tls_resumable *resumable);
/* Has its certificate expired meanwhile?  One that was no good at first is not asked. */
bool tls_resumable_expired(const struct tls_resumable *resumable, int64_t utc_ms);

#endif
