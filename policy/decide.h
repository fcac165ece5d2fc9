/*
 * decide - the facts of an MX candidate and of a session with it to what we do.  Called by deliver
 * twice for each candidate: before it connects, and when the session is as secure as it will be.
 * Pure.  The decision table is docs/policy.md; every row of it is a test.
 * Rules: RFC 8461 s.2, s.4 and s.5; RFC 7672 s.2.2; RFC 8689 s.2, s.3 and s.4.2.1; what counts in
 * reports: RFC 8460 s.4.3.
 */
#ifndef WAXSEAL_POLICY_DECIDE_H
#define WAXSEAL_POLICY_DECIDE_H

#include "lib/io/tls.h"
#include "lib/mail/tls_result.h"
#include "lib/mail/tlsa.h"
#include "policy/sts_policy.h"

/* Where a policy comes from. */
enum policy_source {
    POLICY_SOURCE_NONE, /* no policy, or none known after the wait for it */
    POLICY_SOURCE_STS,
    POLICY_SOURCE_DANE, /* in decisions alone: of the candidate's TLSA records */
};

/* What lets mail go although a policy is not met.  It is tried all the same, and reported. */
enum policy_relief {
    RELIEF_NONE,
    RELIEF_UNVERIFIED, /* but over TLS 1.2: an exception that allows "unverified" */
    RELIEF_FULL,       /* and in clear: one that allows "clear", or TLS-Required: No */
};

/*
 * What the route asks of TLS: `tls` of a route, `tls-level` of a relayhost, or `tls-floor` of all
 * mail where that is more; ROUTE_TLS_MAY for everybody else.  A floor: what a policy asks for
 * besides holds, too.
 */
enum route_tls {
    ROUTE_TLS_MAY,
    ROUTE_TLS_NONE,
    ROUTE_TLS_ENCRYPT,
    ROUTE_TLS_VERIFY,      /* a certificate for the candidate's name */
    ROUTE_TLS_FINGERPRINT, /* a certificate, or a key, that the route lists */
    ROUTE_TLS_DANE,        /* nothing but TLSA_USABLE */
};

/* How far a session came. */
enum session_tls {
    SESSION_TLS_NOT_OFFERED,
    SESSION_TLS_REFUSED,   /* STARTTLS was answered with anything but 220 */
    SESSION_TLS_FAILED,    /* the handshake failed, or bytes followed the 220: used up */
    SESSION_TLS_NOT_TRIED, /* STARTTLS was not said, on the word of a decision (use_tls) */
    SESSION_TLS_ON,
};

struct sts_facts {
    /* before connecting */
    enum policy_source source; /* NONE or STS */
    enum sts_mode mode;        /* with POLICY_SOURCE_STS */
    bool mx_listed;            /* with POLICY_SOURCE_STS: a pattern matches the candidate's name */
    enum tlsa_worth tlsa;
    enum policy_relief relief; /* of no account with require_tls (RFC 8689 s.4.1) */
    enum route_tls route;
    bool has_login;   /* a password is said: the route has credentials */
    bool mx_is_sure;  /* its name came with DNSSEC, or from the administrator */
    bool require_tls; /* the message asks for REQUIRETLS, and fails without (RFC 8689 s.4.2.1) */
    /* after */
    enum session_tls tls;
    enum tls_floor floor;   /* of the context that the handshake was tried with */
    enum cert_verdict cert; /* judged against the candidate's name; TLSA_USABLE: by the records */
    bool is_listed;         /* with ROUTE_TLS_FINGERPRINT: the route lists the certificate or key */
    bool failed_before;     /* a connection to this address failed its handshake in this attempt */
};

struct sts_decision {
    /* Before: connect to this candidate?  After: send mail over this session? */
    bool deliver;
    /* How to connect, or to connect again after SESSION_TLS_FAILED. */
    bool use_tls;         /* say STARTTLS where it is offered */
    bool must_verify;     /* policy, message or route wants a certificate for the name */
    bool by_tlsa;         /* TLSA records judge the certificate, not our authorities */
    bool mx_is_valid;     /* the name is validated: REQUIRETLS may be said (RFC 8689 s.2) */
    enum tls_floor floor; /* the first context to try */
    bool lower_allowed;   /* after a failed handshake, the next lower floor on a new connection */
    bool legacy_allowed;  /* down to TLS 1.0 at last; never with a password (RFC 8996) */
    bool clear_allowed;   /* and at last, or without STARTTLS, in clear */
    /* For the reports and the decision record. */
    bool report;                      /* count this session (once for each address and attempt) */
    enum policy_source counted_under; /* mode none counts as no policy (rfc/tls-rpt.md RPT-35) */
    enum tls_result result;
    const char *reason; /* a static phrase: "not in policy", "certificate expired", ... */
    bool by_route;      /* not to be used because of what the route asks for */
};

/* May this candidate be tried, and how?  Reads what is known before connecting. */
struct sts_decision sts_decide_candidate(struct sts_facts f);

/* May mail go over this session?  Reads all facts. */
struct sts_decision sts_decide_session(struct sts_facts f);

/*
 * After a failed handshake: the way to connect again, with *floor lowered or *use_tls taken back.
 * False when there is none.
 */
bool sts_decide_again(const struct sts_decision *d, enum tls_floor *floor, bool *use_tls);

#endif
