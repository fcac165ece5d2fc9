/*
 * certificate - what the operator of a server wants to know of its certificate before clients find
 * out: when it is valid, and whether it bears our name.  Called by supervisor/certificates.
 * OpenSSL behind it.
 */
#ifndef WAXSEAL_IO_CERTIFICATE_H
#define WAXSEAL_IO_CERTIFICATE_H

#include "lib/base/error.h"
#include "lib/base/span.h"

#include <stdint.h>

struct certificate_facts {
    int64_t not_before_utc_ms;
    int64_t not_after_utc_ms;
    bool names_host; /* as clients compare it: DNS-IDs alone (RFC 6125) */
};

/* Reads the first certificate of a chain in PEM form. */
struct error *certificate_read(struct span chain_pem, struct span hostname,
                               struct certificate_facts *out_facts) MUST_CHECK;

#endif
