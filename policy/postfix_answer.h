/*
 * postfix_answer - what another mail system asks over a socketmap, and what it is answered: the
 * request taken apart, and the policy of a domain as Postfix's smtp_tls_policy_maps and sendmail's
 * map `sts` want it.  Called by policy/inquiry.  Pure.  The table is docs/socketmap.md.
 * Rules: rfc/socketmap-and-policy-maps.md MAP-10 to MAP-68; what wins over what: docs/policy.md.
 */
#ifndef WAXSEAL_POLICY_POSTFIX_ANSWER_H
#define WAXSEAL_POLICY_POSTFIX_ANSWER_H

#include "lib/base/buf.h"
#include "lib/base/limits.h"
#include "lib/base/settings.h"
#include "policy/sts_policy.h"

enum postfix_map {
    POSTFIX_MAP_QUERY,  /* a level and its attributes (Postfix 2.10 and later) */
    POSTFIX_MAP_TLSRPT, /* and what goes into TLS reports (Postfix 3.10 and later) */
    POSTFIX_MAP_STS,    /* sendmail's: MTA-STS alone, since DANE is its own business */
};

/* What a request comes to before anything is looked up. */
enum postfix_asked {
    POSTFIX_ASKS_POLICY,
    POSTFIX_ASKS_NOTHING, /* a key that no policy can be for: "not found" */
    POSTFIX_ASKS_AMISS,   /* no such map, or no request at all: refused for good */
};

struct postfix_question {
    enum postfix_map map;
    char domain[DOMAIN_MAX + 1]; /* whose MX the mail goes to; in the form of lib/mail/domain */
    uint16_t
        port; /* of these hosts; 0: by a name that only the asker knows, no TLSA is asked for */
};

/* Takes a request apart: the map's name, a blank, the key (MAP-11, MAP-30 to MAP-33). */
enum postfix_asked postfix_question_parse(struct span request, struct postfix_question *out);

/* What the TLSA records of all MX hosts come to (RFC 7672 s.2.2). */
enum postfix_dane {
    POSTFIX_DANE_NONE,        /* not of every host that can be used: the domain has no DANE */
    POSTFIX_DANE_ALL,         /* every host has usable ones, but for those that are not reachable */
    POSTFIX_DANE_UNREACHABLE, /* the lookup of every host's failed: none is to be used (s.2.1.2) */
    POSTFIX_DANE_UNKNOWN,     /* the MX records cannot be looked up */
};

struct postfix_facts {
    enum postfix_dane dane;
    bool sts_is_known;                          /* else nobody knows for now what binds */
    const struct sts_policy *policy;            /* what binds; NULL: nothing */
    enum socketmap_dane level;                  /* what the administrator wants of DANE */
    const struct exception_settings *exception; /* for the domain, and in force; NULL: none */
};

/* How long the answer may be told to others who ask the same. */
enum postfix_answer_kind { POSTFIX_ANSWER_FOUND, POSTFIX_ANSWER_NOT_FOUND, POSTFIX_ANSWER_LATER };

/*
 * Appends the answer, "OK secure match=...", "NOTFOUND " or "TEMP ...", to an empty buffer that
 * holds SOCKETMAP_REPLY_MAX bytes.
 */
enum postfix_answer_kind postfix_answer(const struct postfix_question *question,
                                        const struct postfix_facts *facts, struct buf *out);

/* The same for what is not looked up: POSTFIX_ASKS_NOTHING or POSTFIX_ASKS_AMISS. */
struct span postfix_answer_at_once(enum postfix_asked asked);

#endif
