/*
 * session_log - the events of a client's session as log lines (docs/logging.md, "smtpd").
 * Called by smtpd/session.  Pure but for the log.
 */
#ifndef WAXSEAL_SMTPD_SESSION_LOG_H
#define WAXSEAL_SMTPD_SESSION_LOG_H

#include "lib/base/network.h"
#include "lib/io/tls.h"
#include "smtpd/commands.h"

void session_log_connect(const struct endpoint *client, const struct listener_settings *listener);
void session_log_disconnect(const struct endpoint *client, const char *why, unsigned messages,
                            int64_t took_ms);

/* A message was taken; its envelope is still there.  `tls`: the version, "" in clear. */
void session_log_accept(const struct conversation *talk, uint64_t id, uint64_t size,
                        const char *tls);

/*
 * Something was refused with the reply `said` (with its line end).  `command` is what the client
 * said, or empty; only commands that cannot hold a secret are shown.
 */
void session_log_refuse(const struct endpoint *client, const struct conversation *talk,
                        struct span said, struct span command);

/* Somebody logged in, or failed to; `why` is NULL for success. */
void session_log_auth(const struct endpoint *client, struct span user,
                      enum auth_mechanism mechanism, const char *why);

/* The client has shown a certificate; whether it is worth anything, others judge. */
void session_log_certificate(const struct endpoint *client, const struct tls_session *tls);

/* A message's bare LFs became line ends; `times`: its messages since that was logged last. */
void session_log_mended(const struct endpoint *client, uint64_t lines, uint64_t times);

/* `proxy` speaks for `client` from here on, and for `user`, if that is not "". */
void session_log_xclient(const struct endpoint *proxy, const struct endpoint *client,
                         const char *user);
void session_log_tls_failed(const struct endpoint *client, const char *reason);

#endif
