/*
 * proxy_header - the header of the PROXY protocol, versions 1 and 2, in front of a connection that
 * a proxy hands on: whose connection it is.  Called by smtpd/proxy_wait.  Pure.
 * Rules: haproxy's proxy-protocol.txt; rfc/smtp-server.md SRV-120 to SRV-124.
 */
#ifndef WAXSEAL_MAIL_PROXY_HEADER_H
#define WAXSEAL_MAIL_PROXY_HEADER_H

#include "lib/base/network.h"

enum {
    PROXY_LINE_MAX = 107,          /* version 1, with CRLF */
    PROXY_HEADER_MAX = 16 + 65535, /* version 2 */
};

enum proxy_progress {
    PROXY_MORE,   /* bytes are missing; all that came belong to the header */
    PROXY_WHOLE,  /* the first `length` bytes are the header */
    PROXY_BROKEN, /* no header, or one with an error */
};

struct proxy_header {
    bool is_proxied; /* false: the proxy speaks for itself (LOCAL), or does not know (UNKNOWN) */
    struct endpoint client; /* only when it is proxied */
    struct endpoint server;
    size_t length;
};

/* Reads what came so far, from the first byte on. */
enum proxy_progress proxy_header_parse(struct span bytes, struct proxy_header *out_header);

#endif
