/*
 * dns_message - a DNS answer as we need it: outcome class, records, TTL, AD (rfc/dns.md).  Pure.
 * Hostile input: bounded counts, no pointer loops, owners must be the question or its CNAME chain.
 */
#ifndef WAXSEAL_MAIL_DNS_MESSAGE_H
#define WAXSEAL_MAIL_DNS_MESSAGE_H

#include "lib/base/limits.h"
#include "lib/base/network.h"
#include "lib/base/span.h"

enum dns_type {
    DNS_A = 1,
    DNS_CNAME = 5,
    DNS_SOA = 6,
    DNS_MX = 15,
    DNS_TXT = 16,
    DNS_AAAA = 28,
    DNS_DNSKEY = 48,
    DNS_TLSA = 52
};

/* rfc/dns.md section 1.  Never take TEMPFAIL for absence. */
enum dns_outcome {
    DNS_ANSWER,
    DNS_NODATA,
    DNS_NXDOMAIN,
    DNS_TEMPFAIL,
};

struct dns_record {
    uint32_t ttl;
    uint16_t preference;       /* MX */
    struct ip_address address; /* A, AAAA */
    char *name;                /* MX exchange, CNAME: lower case, no final dot; "." for the root */
    bool name_is_host;         /* letters, digits, '-', '_', '.' only; else never use it */
    char *data;                /* TXT: the strings joined; DNSKEY, TLSA: rdata */
    size_t data_len;
};

struct dns_answer {
    enum dns_outcome outcome;
    bool secure;   /* AD, from a trusted resolver that has shown that it validates */
    bool in_doubt; /* AD, from one that could not show it so far: not secure, nor insecure */
    uint32_t ttl;  /* least of the chain and the records; for negatives from the SOA; seconds */
    struct dns_record *records;     /* of the type asked for, in the order they came */
    unsigned count;                 /* at most DNS_RECORDS_MAX */
    unsigned left_out;              /* MX alone: further ones, none better than these */
    char canonical[DOMAIN_MAX + 1]; /* the name at the end of the CNAME chain */
    unsigned cname_steps;
    char reason[80]; /* for TEMPFAIL: "SERVFAIL", "timed out", "malformed answer", ... */
};

/*
 * Parses a whole DNS message as the answer to (name, type).  Anything malformed gives TEMPFAIL with
 * a reason.  *out is filled in any case and is freed with dns_answer_clear.  `trusted`: AD counts.
 */
void dns_message_parse(struct span wire, struct span name, enum dns_type type, bool trusted,
                       struct dns_answer *out);

/* An answer that never came, or came otherwise: an outcome with a reason and no records. */
void dns_answer_none(struct dns_answer *out, enum dns_outcome outcome, const char *reason);
void dns_answer_clear(struct dns_answer *answer);

/* May this name be asked for: length, labels (rfc/dns.md DNS-11)?  Underscores are allowed. */
bool dns_name_is_valid(struct span name);

#endif
