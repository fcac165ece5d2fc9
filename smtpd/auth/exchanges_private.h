/*
 * exchanges_private - what exchanges.c (the channels, and what becomes of an exchange) shares with
 * those who judge: exchange_users.c (by the users file) and exchange_dovecot.c (Dovecot does).
 * Nobody else includes it.
 */
#ifndef WAXSEAL_SMTPD_AUTH_EXCHANGES_PRIVATE_H
#define WAXSEAL_SMTPD_AUTH_EXCHANGES_PRIVATE_H

#include "lib/base/list.h"
#include "lib/base/map.h"
#include "lib/ipc/channel.h"
#include "smtpd/auth/blocks.h"
#include "smtpd/auth/dovecot.h"
#include "smtpd/auth/dovecot_link.h"
#include "smtpd/auth/exchanges.h"
#include "smtpd/auth/hashing.h"
#include "smtpd/auth/sasl.h"

struct exchanges {
    struct loop *loop;
    struct users *users; /* NULL: nobody may log in */
    struct hashing *hashing;
    struct dovecot_link *dovecot; /* NULL: the users file judges */
    struct blocks *blocks;
    unsigned char secret[CRYPTO_SHA256_SIZE]; /* makes salts for users that do not exist */
    struct list smtpds;
};

struct smtpd_peer {
    struct list in_exchanges;
    struct exchanges *exchanges;
    struct channel *channel;
    struct map *by_id;
    struct list all;
};

struct exchange {
    struct list in_peer;
    struct smtpd_peer *peer;
    uint64_t id;
    char client[NETWORK_TEXT_SIZE];

    /* by the users file */
    struct sasl *sasl;
    struct hashing_task *task; /* a password is being compared */
    bool is_real;              /* with SCRAM and passwords: the user exists */

    /* by Dovecot */
    struct dovecot_request *request;
    bool is_asked; /* it thinks */
    char user[DOVECOT_USER_MAX + 1];
};

/* --- exchanges.c */

/* Who the client is, or says it is; "" while nobody knows. */
const char *exchange_user(const struct exchange *exchange);
/* Has this client, or its user, failed too often? */
bool exchange_is_blocked(const struct exchange *exchange);
/* Says a challenge. */
void exchange_challenge(const struct exchange *exchange, struct span challenge);
/* Says how it ended, counts it, and frees it. */
void exchange_finish(struct exchange *exchange, Ipc__AuthVerdict verdict);

/* --- exchange_users.c; the exchange may be gone after each of these */

void exchange_begin_users(struct exchange *exchange, const Ipc__AuthBegin *m);
void exchange_step_users(struct exchange *exchange, struct span response);

/* --- exchange_dovecot.c; the same */

void exchange_begin_dovecot(struct exchange *exchange, const Ipc__AuthBegin *m);
void exchange_step_dovecot(struct exchange *exchange, struct span response);

#endif
