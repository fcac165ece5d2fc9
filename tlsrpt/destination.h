/*
 * destination - where a report goes: the URIs of a TLSRPT record taken apart (RFC 8460 s.3,
 * RFC 6068, RFC 3986; rfc/tls-rpt.md RPT-12, RPT-18, RPT-90).  Called by the tlsrpt role.  Pure.
 * The URIs are a stranger's: nothing of them but an address, or host, port and path, is ever used,
 * and no byte of these can end a line, a path or a URL.
 */
#ifndef WAXSEAL_TLSRPT_DESTINATION_H
#define WAXSEAL_TLSRPT_DESTINATION_H

#include "lib/base/limits.h"
#include "lib/base/span.h"

enum {
    DESTINATION_PATH_MAX = 1024,
    DESTINATION_TEXT_SIZE = DOMAIN_MAX + DESTINATION_PATH_MAX + 32,
};

enum destination_kind { DESTINATION_MAIL, DESTINATION_HTTPS };

struct destination {
    enum destination_kind kind;
    char address[ADDRESS_MAX + 1];       /* of mail: ASCII, domain in lower case */
    char host[DOMAIN_MAX + 1];           /* the address's domain, or the host to post to */
    uint16_t port;                       /* of HTTPS */
    char path[DESTINATION_PATH_MAX + 1]; /* of HTTPS: from "/" on, with the query */
    /* The only way to write it, as a URI that leads to the same again, for keys, logs and people:
     * "mailto:ada@example.net", "https://example.net/v1", "https://example.net:8443/". */
    char text[DESTINATION_TEXT_SIZE];
};

/* Why a URI, or an address in it, is of no use. */
enum destination_fault {
    DESTINATION_FINE,
    DESTINATION_REPEATED, /* the same as one before; harmless */
    DESTINATION_SCHEME,   /* neither mailto nor https, or none at all */
    DESTINATION_SYNTAX,   /* not of the scheme's form */
    DESTINATION_ADDRESS,  /* not a mailbox that mail can go to */
    DESTINATION_BYTES,    /* control characters, or bytes beyond ASCII */
    DESTINATION_HOST,     /* not a host name: an address, a user in front of it, a broken port */
    DESTINATION_TOO_LONG,
    DESTINATION_CROWDED,  /* beyond RUA_PER_HOST_MAX of one host */
    DESTINATION_TOO_MANY, /* beyond RUA_MAX in all */
};

/* What is used of a record: at most RUA_MAX in all and RUA_PER_HOST_MAX of one host. */
struct destinations {
    struct destination items[RUA_MAX];
    unsigned count;
};

/*
 * Adds where a URI leads to; a mailto may name several addresses.  Gives the worst fault that was
 * found: what else it names has been added nevertheless.
 */
enum destination_fault destinations_add(struct destinations *list, struct span uri);

/* A sentence's part for people: "is neither mailto: nor https:", ... */
const char *destination_fault_text(enum destination_fault fault);

#endif
