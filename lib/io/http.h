/*
 * http - one HTTPS GET as MTA-STS wants it, or one POST as TLS reporting does: no redirects,
 * bounded time and size, certificate for the host by SAN only, addresses handed in; libcurl behind
 * it (pitfalls.md section 4).
 */
#ifndef WAXSEAL_IO_HTTP_H
#define WAXSEAL_IO_HTTP_H

#include "lib/base/network.h"
#include "lib/io/loop.h"
#include "lib/io/tls.h"

struct http;
struct http_request;

/* What came of a request. */
enum http_outcome {
    HTTP_GOT,         /* a whole answer, of whatever status */
    HTTP_UNREACHABLE, /* no connection, or it broke, or time ran out */
    HTTP_BAD_CERTIFICATE,
    HTTP_BAD_TLS, /* the handshake failed otherwise */
    HTTP_TOO_LARGE,
    HTTP_TRUNCATED, /* or its end was marked by nothing but the end of the connection */
    HTTP_LOCAL,     /* our own trouble */
};

struct http_answer {
    enum http_outcome outcome;
    int status;
    struct span content_type; /* "" when absent */
    struct span body;
    char reason[240];       /* for people: "certificate expired", "timed out after 60 s", ... */
    enum cert_verdict cert; /* for HTTP_BAD_CERTIFICATE; and of a POST's answer, see there */
};

struct error *http_new(struct loop *loop, struct tls_trust *trust,
                       struct http **out_http) MUST_CHECK;
void http_free(struct http **http);
/* Other trusted certificates for what is begun from now on; takes its own reference. */
void http_trust(struct http *http, struct tls_trust *trust);

typedef void http_done_fn(void *ctx, const struct http_answer *answer);

/*
 * GET https://host/path from one of `addresses` (in order), at most `limit_bytes` within `wait_ms`.
 * `done` is called exactly once, from the loop, unless cancelled; the answer is lent.
 */
struct http_request *http_get_start(struct http *http, const char *host, const char *path,
                                    const struct ip_address *addresses, unsigned address_count,
                                    size_t limit_bytes, int64_t wait_ms, http_done_fn *done,
                                    void *ctx);

/*
 * POST to https://host:port/path.  Differs from a GET in what it takes for an answer: the status is
 * one as soon as all of `body` has been sent, whatever becomes of the words behind it, of which at
 * most `limit_bytes` are read (RFC 8460 s.5.4).  And a certificate that does not hold does not end
 * it (RFC 8460 s.3): `cert` and `reason` of an answer tell of it.
 */
struct http_post {
    const char *host;
    uint16_t port;
    const char *path;
    const struct ip_address *addresses;
    unsigned address_count;
    const char *content_type;
    struct span body; /* the caller's until `done` or cancel */
    size_t limit_bytes;
    int64_t wait_ms;
};
struct http_request *http_post_start(struct http *http, const struct http_post *post,
                                     http_done_fn *done, void *ctx);

void http_cancel(struct http_request **request);

#endif
