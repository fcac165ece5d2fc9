#include "lib/io/tls_dane.h"

#include "lib/io/tls_openssl.h"
#include "lib/mail/tlsa.h"

#include <openssl/err.h>
#include <openssl/x509.h>

enum { SELECTOR_KEY = 1, MATCHING_FULL = 0, HEAD = 3 };

/* What stands in full: one certificate or key, and nothing behind it. */
static bool can_be_read(unsigned selector, struct span data)
{
    const unsigned char *at = (const unsigned char *)data.data, *start = at;
    X509 *certificate = NULL;
    EVP_PKEY *key = NULL;
    bool is_whole;

    if (selector == SELECTOR_KEY)
        key = d2i_PUBKEY(NULL, &at, (long)data.len);
    else if ((certificate = d2i_X509(NULL, &at, (long)data.len)) != NULL)
        key = X509_get_pubkey(certificate); /* one of a kind that OpenSSL knows */
    is_whole = key && (size_t)(at - start) == data.len;
    EVP_PKEY_free(key);
    X509_free(certificate);
    ERR_clear_error();
    return is_whole;
}

bool tls_dane_usable(struct span rdata)
{
    const unsigned char *bytes = (const unsigned char *)rdata.data;

    return tlsa_is_usable(rdata) &&
           (bytes[2] != MATCHING_FULL || can_be_read(bytes[1], span_from(rdata, HEAD)));
}

static bool add_record(SSL *ssl, struct span rdata)
{
    const unsigned char *bytes = (const unsigned char *)rdata.data;

    return SSL_dane_tlsa_add(ssl, bytes[0], bytes[1], bytes[2], bytes + HEAD, rdata.len - HEAD) > 0;
}

static bool add_name(SSL *ssl, const char *name)
{
    return !name || SSL_add1_host(ssl, name) == 1;
}

unsigned tls_dane_expect(SSL *ssl, const char *base, const struct tlsa_names *also,
                         const struct span *records, unsigned count)
{
    unsigned added = 0;

    if (SSL_dane_enable(ssl, base) <= 0)
        return 0;
    SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS); /* RFC 7672 s.3.1.1 */
    SSL_set_hostflags(ssl, TLS_HOST_FLAGS);
    if (!add_name(ssl, also->next_hop) || !add_name(ssl, also->expanded))
        return 0;
    for (unsigned i = 0; i < count; i++)
        if (tls_dane_usable(records[i]) && add_record(ssl, records[i]))
            added++;
    ERR_clear_error();
    return added;
}
