#include "lib/mail/tls_result.h"

/* RFC 8460 s.6.6 */
static const char *const names[TLS_RESULT_COUNT] = {
    [TLS_RESULT_SUCCESS] = "success",
    [TLS_RESULT_STARTTLS_NOT_SUPPORTED] = "starttls-not-supported",
    [TLS_RESULT_CERTIFICATE_HOST_MISMATCH] = "certificate-host-mismatch",
    [TLS_RESULT_CERTIFICATE_EXPIRED] = "certificate-expired",
    [TLS_RESULT_CERTIFICATE_NOT_TRUSTED] = "certificate-not-trusted",
    [TLS_RESULT_VALIDATION_FAILURE] = "validation-failure",
    [TLS_RESULT_TLSA_INVALID] = "tlsa-invalid",
    [TLS_RESULT_DNSSEC_INVALID] = "dnssec-invalid",
    [TLS_RESULT_DANE_REQUIRED] = "dane-required",
    [TLS_RESULT_STS_POLICY_FETCH_ERROR] = "sts-policy-fetch-error",
    [TLS_RESULT_STS_POLICY_INVALID] = "sts-policy-invalid",
    [TLS_RESULT_STS_WEBPKI_INVALID] = "sts-webpki-invalid",
};

const char *tls_result_name(enum tls_result result)
{
    return names[result];
}

bool tls_result_parse(struct span name, enum tls_result *out)
{
    for (int i = 0; i < TLS_RESULT_COUNT; i++) {
        if (span_equal(name, span_of(names[i]))) {
            *out = (enum tls_result)i;
            return true;
        }
    }
    return false;
}
