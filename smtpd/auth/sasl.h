/*
 * sasl - the AUTH exchanges PLAIN (RFC 4616), LOGIN (never standardized) and SCRAM
 * (smtpd/auth/scram), as one shape: responses go in, what has to be done comes out.  Called by
 * smtpd/auth/exchanges. Pure: who the users are, and what is random, is the caller's.  Forgets
 * passwords when freed.
 */
#ifndef WAXSEAL_SMTPD_AUTH_SASL_H
#define WAXSEAL_SMTPD_AUTH_SASL_H

#include "lib/ipc/auth_client.h"
#include "smtpd/auth/scram.h"

struct sasl;

enum sasl_result {
    SASL_CHALLENGE, /* say sasl_challenge, hand in what the client responds */
    SASL_PASSWORD,  /* does sasl_password fit sasl_user?  The exchange has ended. */
    SASL_KEYS,      /* sasl_give_keys with those of sasl_user */
    SASL_PROVEN,    /* it is sasl_user; the exchange has ended */
    SASL_REFUSED,   /* it is not; the exchange has ended */
    SASL_MALFORMED, /* not of this mechanism; the exchange has ended */
};

struct sasl *sasl_new(enum auth_mechanism mechanism, const struct scram_bindings *bindings);
void sasl_free(struct sasl **sasl);

/* The beginning; `initial` is NULL when the client waits for a challenge. */
enum sasl_result sasl_begin(struct sasl *sasl, const struct span *initial);
enum sasl_result sasl_respond(struct sasl *sasl, struct span response);
/* After SASL_KEYS: keys of the user, or made-up ones for one whom nobody knows; gives CHALLENGE. */
enum sasl_result sasl_give_keys(struct sasl *sasl, const struct scram_keys *keys,
                                struct span nonce);

/* Lent until the next step. */
struct span sasl_challenge(const struct sasl *sasl);
const char *sasl_user(const struct sasl *sasl); /* "" when the client has not said */
struct span sasl_password(const struct sasl *sasl);

#endif
