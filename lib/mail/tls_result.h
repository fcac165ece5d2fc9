/* tls_result - the result types of TLS reporting (RFC 8460 s.4.3) and their names.  Pure. */
#ifndef WAXSEAL_MAIL_TLS_RESULT_H
#define WAXSEAL_MAIL_TLS_RESULT_H

#include "lib/base/span.h"

enum tls_result {
    TLS_RESULT_SUCCESS,
    TLS_RESULT_STARTTLS_NOT_SUPPORTED,
    TLS_RESULT_CERTIFICATE_HOST_MISMATCH,
    TLS_RESULT_CERTIFICATE_EXPIRED,
    TLS_RESULT_CERTIFICATE_NOT_TRUSTED,
    TLS_RESULT_VALIDATION_FAILURE,
    TLS_RESULT_TLSA_INVALID,
    TLS_RESULT_DNSSEC_INVALID,
    TLS_RESULT_DANE_REQUIRED,
    TLS_RESULT_STS_POLICY_FETCH_ERROR,
    TLS_RESULT_STS_POLICY_INVALID,
    TLS_RESULT_STS_WEBPKI_INVALID,
    TLS_RESULT_COUNT,
};

/* "certificate-expired"; "success" for the first. */
const char *tls_result_name(enum tls_result result);
bool tls_result_parse(struct span name, enum tls_result *out);

#endif
