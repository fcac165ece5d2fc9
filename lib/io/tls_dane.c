#include "lib/io/tls_dane.h"

#include "lib/io/tls_openssl.h"

#include <openssl/err.h>

enum { USAGE_TA = 2, USAGE_EE = 3, SELECTOR_KEY = 1, HEAD = 3 };

bool tlsa_is_usable(struct span rdata)
{
    static const size_t lengths[] = { 0, 32, 64 }; /* in full; SHA2-256; SHA2-512 */
    const unsigned char *bytes = (const unsigned char *)rdata.data;

    if (rdata.len <= HEAD || rdata.len > TLSA_RECORD_MAX)
        return false;
    if ((bytes[0] != USAGE_TA && bytes[0] != USAGE_EE) || bytes[1] > SELECTOR_KEY ||
        bytes[2] >= sizeof(lengths) / sizeof(lengths[0]))
        return false;
    return lengths[bytes[2]] == 0 || rdata.len - HEAD == lengths[bytes[2]];
}

/* 0: OpenSSL cannot read it after all (a certificate in full that is none). */
static bool add_record(SSL *ssl, struct span rdata)
{
    const unsigned char *bytes = (const unsigned char *)rdata.data;

    return SSL_dane_tlsa_add(ssl, bytes[0], bytes[1], bytes[2], bytes + HEAD, rdata.len - HEAD) > 0;
}

unsigned tls_dane_expect(SSL *ssl, const char *base, const char *also, const struct span *records,
                         unsigned count)
{
    unsigned added = 0;

    if (SSL_dane_enable(ssl, base) <= 0)
        return 0;
    SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS); /* RFC 7672 s.3.1.1 */
    SSL_set_hostflags(ssl, TLS_HOST_FLAGS);
    if (also && SSL_add1_host(ssl, also) != 1)
        return 0;
    for (unsigned i = 0; i < count; i++)
        if (tlsa_is_usable(records[i]) && add_record(ssl, records[i]))
            added++;
    ERR_clear_error();
    return added;
}
