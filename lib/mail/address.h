/*
 * address - mailboxes of the envelope: local-part and domain (RFC 5321 s.4.1.2, RFC 6531 s.3.3).
 * Pure.  Nothing here or elsewhere compares local-parts that are not ASCII: they are kept as they
 * came and never brought into another form (RFC 6532 s.3.1).
 */
#ifndef WAXSEAL_MAIL_ADDRESS_H
#define WAXSEAL_MAIL_ADDRESS_H

#include "lib/base/limits.h"
#include "lib/base/network.h"
#include "lib/base/span.h"

/* A mailbox as we keep it: text as received (source route stripped), domain as we look it up. */
struct address {
    char text[ADDRESS_MAX + 1]; /* "ada@example.net", "postmaster"; "" for the null reverse-path */
    size_t local_len;           /* bytes of text before the last '@' */
    char
        domain[DOMAIN_MAX + 1]; /* A-labels, lower case; "" for none; "[192.0.2.1]" for a literal */
    bool is_literal;            /* the domain is an address literal */
    struct ip_address literal;
};

enum address_fault {
    ADDRESS_FINE,
    ADDRESS_SYNTAX, /* not a mailbox */
    ADDRESS_TOO_LONG,
    ADDRESS_NON_ASCII,  /* of address_parse: needs SMTPUTF8 */
    ADDRESS_BAD_DOMAIN, /* labels, IDNA */
};

/* Parses what stands between the angle brackets of RCPT TO (without them).  Source routes are
 * stripped. */
enum address_fault address_parse(struct span text, struct address *out);

/* The same, and UTF-8 in local-part and domain, well-formed and without control characters. */
enum address_fault address_parse_utf8(struct span text, struct address *out);

/* The path of MAIL FROM: the same, or empty for the null reverse-path; "postmaster" alone is none.
 */
enum address_fault address_parse_reverse(struct span text, struct address *out);

/* Is all of it ASCII as it came?  Else it goes where SMTPUTF8 was said (RFC 6531 s.3.4). */
bool address_is_ascii(const struct address *address);

/*
 * The mailbox for hosts without SMTPUTF8: the domain in A-labels (RFC 6531 s.3.2).  False: its
 * local-part is not ASCII, there is none.
 */
enum { ADDRESS_ASCII_SIZE = ADDRESS_MAX + DOMAIN_MAX + 2 };
bool address_to_ascii(const struct address *address, char room[ADDRESS_ASCII_SIZE]);

#endif
