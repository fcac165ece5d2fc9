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

static bool bears_name(const X509 *certificate, struct span hostname)
{
    unsigned char *der = NULL;
    int len = i2d_X509(certificate, &der);
    bool bears;

    ensure(len > 0);
    bears = tls_certificate_names((struct span){ (const char *)der, (size_t)len }, hostname);
    OPENSSL_free(der);
    return bears;
}

struct error *certificate_read(struct span chain_pem, struct span hostname,
                               struct certificate_facts *out_facts)
{
    X509 *certificate = first_of(chain_pem);
    struct certificate_facts facts;
    bool fine;

    if (!certificate)
        return error_new(ERROR_LOCAL, "holds no certificate in PEM form");
    facts.names_host = bears_name(certificate, hostname);
    fine = time_read(X509_get0_notBefore(certificate), &facts.not_before_utc_ms) &&
           time_read(X509_get0_notAfter(certificate), &facts.not_after_utc_ms);
    X509_free(certificate);
    if (!fine)
        return error_new(ERROR_LOCAL, "holds a certificate without valid dates");
    *out_facts = facts;
    return NULL;
}
