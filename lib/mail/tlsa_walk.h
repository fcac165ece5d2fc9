/*
 * tlsa_walk - which TLSA records speak for an MX host: from how its name and its addresses came to
 * the questions to ask one after another, to the base domain, or to why there is none.  Pure: the
 * asking is lib/io/host_lookup's.
 * Rules: RFC 7672 s.2.1.2 to s.2.2.3; rfc/dane-smtp.md DANE-10 to DANE-42.
 */
#ifndef WAXSEAL_MAIL_TLSA_WALK_H
#define WAXSEAL_MAIL_TLSA_WALK_H

#include "lib/mail/tlsa.h"

/* How a host's addresses came. */
struct host_security {
    bool secure;                   /* all that were found, and the whole way to them (DANE-33) */
    bool in_doubt;                 /* the same, but that nobody can say of some whether they are */
    bool is_alias;                 /* the name asked for is not that of the addresses */
    char expanded[DOMAIN_MAX + 1]; /* that one */
};

/* Of both families' answers; one without records, or not waited for, brings nothing. */
void host_security_of(const struct dns_answer *a, const struct dns_answer *aaaa,
                      struct host_security *out);

enum tlsa_question {
    TLSA_ASK_ALIAS,   /* the CNAME record of the host itself, for its security alone (DANE-15) */
    TLSA_ASK_RECORDS, /* TLSA records */
    TLSA_ASK_NOTHING, /* it has come to an end */
};

/* A plain value; read are the last three, at the end. */
struct tlsa_walk {
    const char *host; /* lent */
    uint16_t port;
    enum tlsa_question question;
    char candidates[2][DOMAIN_MAX + 1]; /* base domains, the better one first */
    unsigned count;
    unsigned at;

    bool failed; /* what is to be known is not: as if the host could not be reached (DANE-12) */
    const char *base;   /* where records were found that are secure; NULL: none bind */
    const char *reason; /* a static phrase, why there is none; with `failed`: which records */
};

/*
 * Begins, when addresses have been found.  `name_is_sure`: the host's name came with DNSSEC, or
 * from the administrator; else anybody chose it, and DANE says nothing of it (DANE-22).
 */
void tlsa_walk_start(struct tlsa_walk *walk, const char *host, uint16_t port, bool name_is_sure,
                     const struct host_security *security);

/* The name to ask for; not with TLSA_ASK_NOTHING. */
const char *tlsa_walk_name(const struct tlsa_walk *walk, char room[TLSA_NAME_SIZE]);

/* What was answered. */
void tlsa_walk_take(struct tlsa_walk *walk, const struct dns_answer *answer);

#endif
