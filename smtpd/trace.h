/*
 * trace - the Received field that we put in front of every message (RFC 5321 s.4.4, RFC 3848,
 * RFC 6531 s.4.3, rfc/smtp-server.md section 7).  Called by smtpd/session.  Pure.  It comes in two
 * parts, for the queue id between them is not known here.
 */
#ifndef WAXSEAL_SMTPD_TRACE_H
#define WAXSEAL_SMTPD_TRACE_H

#include "lib/base/network.h"
#include "lib/base/span.h"

struct trace_facts {
    const char *client_name;          /* as it said in EHLO or HELO, a domain or a literal */
    struct ip_address client_address; /* family NONE: not known */
    const char *client_rdns;          /* its name by DNS, "" when nobody has said it */
    const char *hostname;             /* our own name */
    bool is_esmtp;
    bool is_user;            /* has authenticated */
    const char *user;        /* the login to be named; NULL: it is not */
    bool is_hidden;          /* nothing of the client is told; of users only */
    bool is_utf8;            /* SMTPUTF8 was said */
    int priority;            /* RFC 6710 s.3; 0 is not told */
    const char *tls_version; /* "" in clear */
    const char *tls_cipher;
    /* ASCII.  NULL when there are several: nobody learns of the others. */
    const char *only_recipient;
    int64_t now_utc_ms;
};

enum { TRACE_PART_SIZE = 1280 };

/* "Received: from ... with ESMTP id ", without the id. */
struct span trace_head(const struct trace_facts *facts, char room[TRACE_PART_SIZE]);

/* What stands behind the id, up to and with the line end. */
struct span trace_tail(const struct trace_facts *facts, char room[TRACE_PART_SIZE]);

#endif
