/*
 * outcome - a server's reply, or the loss of the connection, by the stage at which it came, to what
 * it means for the recipients it concerns.  Called by dialogue and attempt.  Pure.
 * Rules: RFC 5321 s.4.2, s.4.5.3.1.10, s.5.1; rfc/smtp-client.md CLI-18, CLI-20, CLI-35 to CLI-40,
 * CLI-160.  README.md beside it has the table.
 */
#ifndef WAXSEAL_QUEUE_DELIVER_OUTCOME_H
#define WAXSEAL_QUEUE_DELIVER_OUTCOME_H

#include "lib/mail/reply.h"
#include "lib/mail/route.h"

/* Where in a session a reply or a loss came. */
enum stage {
    STAGE_CONNECT,
    STAGE_GREETING,
    STAGE_EHLO,
    STAGE_STARTTLS,
    STAGE_HANDSHAKE,
    STAGE_LOGIN, /* AUTH */
    STAGE_MAIL,  /* and RSET, and between messages */
    STAGE_RCPT,
    STAGE_DATA,
    STAGE_CONTENT, /* the final dot is not out */
    STAGE_DOT,     /* it is */
    STAGE_COUNT,
};

enum outcome_kind {
    OUTCOME_DELIVERED,
    OUTCOME_DEFERRED,
    OUTCOME_FAILED,
    OUTCOME_UNKNOWN, /* the final dot was out and no reply came */
    OUTCOME_POLICY_UNKNOWN,
    OUTCOME_RETURNED,
};

struct outcome {
    enum outcome_kind kind;
    bool elsewhere;   /* the next candidate may be tried for it, in this attempt */
    bool again;       /* one recipient too many: at once, in a new transaction */
    bool without_dsn; /* delivered to a host that will report nothing (RFC 3461 s.5.2.2) */
    bool hang_up;     /* the session is of no more use */
    char status[STATUS_TEXT_SIZE];
};

/* What outcome_of_reply wants to know. */
struct reply_facts {
    enum stage stage;
    int code;
    struct status status; /* of the reply; all 0: none */
    unsigned accepted;    /* recipients accepted before, in this transaction */
    bool size_declared;   /* MAIL had SIZE= */
    bool is_chosen;       /* the administrator named the host */
};

/* A reply that is not "go on": for MAIL, RCPT and DATA anything else than what was asked for. */
struct outcome outcome_of_reply(struct reply_facts f);

/*
 * Does a reply to MAIL, to DATA or to the message say that the host takes less than it gets?  4yz
 * to MAIL does, unless its status speaks of the sender's address (4.1.x), and behind it what speaks
 * of the host by its status alone; the rest may be about the message, or greylisting.  421 ends the
 * session, and is seen there.
 */
bool outcome_blames_host(struct reply_facts f);

/* How a session can end without a reply. */
enum loss {
    LOSS_REFUSED,  /* no connection came about */
    LOSS_CLOSED,   /* closed or reset */
    LOSS_TIMEOUT,  /* the phase's deadline passed */
    LOSS_PROTOCOL, /* it does not speak SMTP */
    LOSS_COUNT,
};
struct outcome outcome_of_loss(enum stage stage, enum loss loss);

/* Why a next hop has no candidate; for all but ROUTE_FOUND. */
struct outcome outcome_of_route(enum route_verdict verdict);

/* No address of a candidate can be used; for all but ADDRESSES_FOUND. */
struct outcome outcome_of_addresses(enum address_verdict verdict);

/*
 * Nobody is logged in: our own trouble, which another host may not have.  `status`: what the host
 * said, all 0 for nothing.
 */
struct outcome outcome_of_login(struct status status);

/* The candidate does not meet the policy (RFC 8461 s.5: never final before the end). */
struct outcome outcome_of_policy(bool last_attempt);

/* The candidate does not give what REQUIRETLS asks for (RFC 8689 s.4.2.1); others may. */
struct outcome outcome_of_unprotected(void);

/* "while waiting for the greeting", ... */
const char *stage_words(enum stage stage);
const char *loss_words(enum loss loss);

#endif
