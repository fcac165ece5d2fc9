/*
 * tls_dane - a server's certificate judged by TLSA records instead of by our authorities (RFC 7672,
 * rfc/dane-smtp.md sections 7 and 10); OpenSSL behind it.  The caller has seen that the records are
 * secure (DNSSEC).  Sessions judged so are never resumed.
 */
#ifndef WAXSEAL_IO_TLS_DANE_H
#define WAXSEAL_IO_TLS_DANE_H

#include "lib/base/limits.h"
#include "lib/io/tls.h"

/*
 * Can SMTP use it: DANE-TA or DANE-EE, of a certificate or a key, in full or by SHA2-256 or
 * SHA2-512 of the right length (DANE-44, DANE-60)?  `rdata` as in DNS.  Pure.
 */
bool tlsa_is_usable(struct span rdata);

#endif
