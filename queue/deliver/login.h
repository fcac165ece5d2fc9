/*
 * login - logging in at a next hop that asks for it, line by line: SCRAM-SHA-256-PLUS (RFC
 * 9266), SCRAM-SHA-256 (RFC 5802, RFC 7677), PLAIN (RFC 4616), LOGIN (never standardized), the
 * strongest that is offered (RFC 4954).  Called by dialogue_auth, inside TLS.  Pure: the nonce and
 * the channel's binding come in. The server is hostile: its challenges are bounded, it has to prove
 * that it knows the password where the mechanism can show that, and stretching a password is cut
 * into small pieces.  Forgets passwords when freed.
 */
#ifndef WAXSEAL_QUEUE_DELIVER_LOGIN_H
#define WAXSEAL_QUEUE_DELIVER_LOGIN_H

#include "lib/base/limits.h"
#include "lib/base/span.h"
#include "lib/io/scram_keys.h"

struct login;

enum {
    LOGIN_NONCE_SIZE = 24, /* printable, no comma */
    LOGIN_FAULT_SIZE = 96,
};

/* Who logs in; lent for the call. */
struct login_identity {
    struct span user;
    struct span password;
};

enum login_step {
    LOGIN_STEP_SAY,    /* login_line, then hand in what the server answers */
    LOGIN_STEP_WORK,   /* login_work, again and again, until it gives something else */
    LOGIN_STEP_DONE,   /* we are logged in */
    LOGIN_STEP_BROKEN, /* the server does not keep to the mechanism: login_fault */
};

/*
 * Chooses among `offered` (lib/mail/ehlo: EHLO_AUTH_...); NULL: none is both offered and known, or
 * the user's name or password cannot be said in it.  `binding`: the exporter's of this TLS session,
 * empty when there is none.  The first line is ready to be said.
 */
struct login *login_new(unsigned offered, const struct login_identity *identity,
                        struct span binding, struct span nonce);
void login_free(struct login **client);

/* "SCRAM-SHA-256" */
const char *login_mechanism(const struct login *client);
/* Without its CRLF; lent until the next step. */
struct span login_line(const struct login *client);

/* The server says 334 with this text. */
enum login_step login_challenge(struct login *client, struct span text);
enum login_step login_work(struct login *client);
/* The server says 235: DONE, or BROKEN when it has not shown what it has to. */
enum login_step login_accepted(struct login *client);

/* What was wrong; printable. */
const char *login_fault(const struct login *client);

#endif
