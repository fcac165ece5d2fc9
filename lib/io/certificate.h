/*
 * certificate - what the operator of a server wants to know of its certificate before clients find
 * out: when it is valid, whether it bears our name, and whether what stands behind it belongs
 * there.  Called by supervisor/certificates. OpenSSL behind it.
 */
#ifndef WAXSEAL_IO_CERTIFICATE_H
#define WAXSEAL_IO_CERTIFICATE_H

#include "lib/base/error.h"
#include "lib/base/span.h"

#include <stdint.h>

struct certificate_facts {
    int64_t not_before_utc_ms;
    int64_t not_after_utc_ms;
    bool names_host;  /* as clients compare it: DNS-IDs alone (RFC 6125) */
    bool is_in_order; /* each certificate of the chain was issued by the next one */
};

/* Reads a chain in PEM form; the facts are of its first certificate. */
struct error *certificate_read(struct span chain_pem, struct span hostname,
                               struct certificate_facts *out_facts) MUST_CHECK;

#endif
