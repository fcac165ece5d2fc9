/*
 * ehlo - what a server offers, from the lines of its EHLO reply (RFC 5321 s.4.1.1.1).  Pure.
 */
#ifndef WAXSEAL_MAIL_EHLO_H
#define WAXSEAL_MAIL_EHLO_H

#include "lib/base/limits.h"
#include "lib/base/span.h"

/* Mechanisms of AUTH that we know (RFC 4954), as bits. */
enum {
    EHLO_AUTH_PLAIN = 1,
    EHLO_AUTH_LOGIN = 2,
    EHLO_AUTH_SCRAM = 4,
    EHLO_AUTH_SCRAM_PLUS = 8,
};

struct ehlo {
    char name[DOMAIN_MAX + 1]; /* the first word of its first line, made harmless */
    bool starttls;
    bool pipelining;
    bool size;
    uint64_t size_max; /* 0: no fixed limit */
    bool eightbitmime;
    bool smtputf8;
    bool chunking;
    bool dsn;
    bool requiretls;
    bool mt_priority;
    bool enhanced_status;
    bool auth;               /* there is an AUTH line ... */
    unsigned auth_said;      /* ... with these mechanisms */
    unsigned auth_legacy;    /* of "AUTH=PLAIN LOGIN", as servers of the last century say */
    unsigned recipients_max; /* LIMITS (RFC 9422): RCPT commands a transaction; 0: not said */
    unsigned messages_max;   /* MAIL commands a session */
    unsigned domains_max;    /* recipient domains a session */
    unsigned keywords;
};

/* Forgets everything: nothing learnt before TLS survives (RFC 3207 s.4.2). */
void ehlo_clear(struct ehlo *offered);
/* Takes line `number` (0: the greeting line); unknown and malformed keywords are ignored. */
void ehlo_line(struct ehlo *offered, unsigned number, struct span text);
/* The mechanisms; the old spelling counts where the right one is missing (CLI-24). */
unsigned ehlo_mechanisms(const struct ehlo *offered);

#endif
