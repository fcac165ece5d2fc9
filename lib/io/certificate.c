#include "lib/io/certificate.h"

#include <openssl/err.h>
#include <time.h>

#include "lib/base/clock.h"
#include "lib/io/tls_openssl.h"

static X509 *first_of(struct span chain_pem)
{
    BIO *bio = tls_pem_open(chain_pem);
    X509 *certificate = tls_pem_certificate(bio);

    BIO_free(bio);
    ERR_clear_error();
    return certificate;
}

static bool time_read(const ASN1_TIME *time, int64_t *out_utc_ms)
{
    struct tm tm;

    if (ASN1_TIME_to_tm(time, &tm) != 1)
        return false;
    *out_utc_ms = (int64_t)timegm(&tm) * SECOND_MS;
    return true;
}

/* RFC 5246 s.7.4.2: each certificate vouches for the one before it; many clients insist on it. */
static bool is_in_order(struct span chain_pem)
{
    BIO *bio = tls_pem_open(chain_pem);
    X509 *one = tls_pem_certificate(bio);
    bool in_order = true;
    X509 *next;

    while (in_order && (next = tls_pem_certificate(bio)) != NULL) {
        in_order = X509_check_issued(next, one) == X509_V_OK;
        X509_free(one);
        one = next;
    }
    X509_free(one);
    BIO_free(bio);
    ERR_clear_error();
    return in_order;
}

struct error *certificate_read(struct span chain_pem, struct span hostname,
                               struct certificate_facts *out_facts)
{
    X509 *certificate = first_of(chain_pem);
    struct certificate_facts facts;
    bool fine;

    if (!certificate)
        return error_new(ERROR_LOCAL, "holds no certificate in PEM form");
    facts.names_host = tls_certificate_bears(certificate, hostname);
    facts.is_in_order = is_in_order(chain_pem);
    fine = time_read(X509_get0_notBefore(certificate), &facts.not_before_utc_ms) &&
           time_read(X509_get0_notAfter(certificate), &facts.not_after_utc_ms);
    X509_free(certificate);
    if (!fine)
        return error_new(ERROR_LOCAL, "holds a certificate without valid dates");
    *out_facts = facts;
    return NULL;
}
