/*
 * auth_client - smtpd's side of the auth role: an exchange with a client, response by response,
 * until the role says yes or no.  smtpd never sees a hash or a key.
 */
#ifndef WAXSEAL_IPC_AUTH_CLIENT_H
#define WAXSEAL_IPC_AUTH_CLIENT_H

#include "lib/base/span.h"
#include "lib/io/loop.h"
#include "lib/ipc/auth.pb-c.h"

/* In the order in which EHLO names them. */
enum auth_mechanism {
    AUTH_PLAIN,
    AUTH_LOGIN,
    AUTH_SCRAM_SHA_256,
    AUTH_SCRAM_SHA_256_PLUS,
    AUTH_EXTERNAL, /* never crosses: what is to be judged is the certificate, which smtpd has */
    AUTH_MECHANISM_COUNT,
};
const char *auth_mechanism_name(enum auth_mechanism mechanism);
/* AUTH_MECHANISM_COUNT for a name that is none of them. */
enum auth_mechanism auth_mechanism_of(struct span name);

struct auth_client;
struct auth_exchange;

struct auth_client *auth_client_new(struct loop *loop);
void auth_client_free(struct auth_client **client);
/* A channel to the role, new or restarted; exchanges under way come to TROUBLE.  Takes it. */
void auth_client_attach(struct auth_client *client, int fd);
/*
 * What can be offered: a bit a mechanism; 0: nothing.  Before the role has said, PLAIN and LOGIN: a
 * client that comes in the first moments must not be told that nobody can log in here.
 */
unsigned auth_client_mechanisms(const struct auth_client *client);

/* How an exchange begins, not that of EXTERNAL; all lent for the call. */
struct auth_start {
    enum auth_mechanism mechanism;
    const char *client; /* its address */
    bool has_response;
    struct span response; /* decoded */
    struct span exporter; /* channel bindings, empty when there are none */
    struct span end_point;
};

/*
 * `answer` is lent.  After a CHALLENGE comes auth_respond; after anything else the exchange is
 * over and has freed itself.  A role that is away or silent for AUTH_CLIENT_WAIT_MS: TROUBLE.
 */
typedef void auth_answer_fn(void *ctx, const Ipc__AuthAnswer *answer);
enum { AUTH_CLIENT_WAIT_MS = 30 * 1000 };

struct auth_exchange *auth_begin(struct auth_client *client, const struct auth_start *start,
                                 auth_answer_fn *on_answer, void *ctx);
void auth_respond(struct auth_exchange *exchange, struct span response);
void auth_cancel(struct auth_exchange **exchange);

#endif
