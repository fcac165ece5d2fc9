/*
 * proxy_wait - connections of proxies, from accept until the header of the PROXY protocol has said
 * whose they are.  Called by smtpd/entrance.  Takes from the socket the header and not a byte more,
 * so that the session, or its TLS handshake, begins with the client's own first byte.
 * Rules: rfc/smtp-server.md SRV-120 to SRV-124: always or never, never guessed, soon or not at all.
 */
#ifndef WAXSEAL_SMTPD_PROXY_WAIT_H
#define WAXSEAL_SMTPD_PROXY_WAIT_H

#include "lib/base/list.h"
#include "lib/base/network.h"
#include "lib/io/loop.h"

struct session_place;

/* The header is read: the descriptor is the callee's; `client` is the proxy where it says so. */
typedef void proxy_wait_fn(void *ctx, const struct session_place *place, int fd,
                           const struct endpoint *client);

/* A plain value, part of the entrance. */
struct proxy_waits {
    struct loop *loop;
    struct list all;
    unsigned count;
    int64_t patience_ms; /* for a whole header */
    proxy_wait_fn *done;
    void *ctx;
};

void proxy_waits_init(struct proxy_waits *waits, struct loop *loop, proxy_wait_fn *done, void *ctx);
/* Closes what connections are left. */
void proxy_waits_clear(struct proxy_waits *waits);

/* Takes a connection that a proxy has made. */
void proxy_wait_start(struct proxy_waits *waits, const struct session_place *place, int fd,
                      const struct endpoint *proxy);

/* Logs why a connection at a place for proxies is closed without a word. */
void proxy_log_refused(const struct endpoint *proxy, const char *reason);

#endif
