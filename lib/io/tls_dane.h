/*
 * tls_dane - a server's certificate judged by TLSA records instead of by our authorities (RFC 7672,
 * rfc/dane-smtp.md sections 7 and 10); OpenSSL behind it.  The caller has seen that the records are
 * secure (DNSSEC).  Sessions judged so are never resumed.
 */
#ifndef WAXSEAL_IO_TLS_DANE_H
#define WAXSEAL_IO_TLS_DANE_H

#include "lib/io/tls.h"

/*
 * Can it decide who is at the other end: tlsa_is_usable (lib/mail/tlsa.h), and what stands there in
 * full can be read (DANE-44)?  `rdata` as in DNS.  Pure.
 */
bool tls_dane_usable(struct span rdata);

#endif
