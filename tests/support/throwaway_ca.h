/*
 * throwaway_ca - certificates made on the spot for tests: a CA, what it signs, what nobody signs.
 * Keys are P-256 unless asked otherwise; all texts given are the caller's to free().
 */
#ifndef WAXSEAL_TESTS_THROWAWAY_CA_H
#define WAXSEAL_TESTS_THROWAWAY_CA_H

#include "lib/io/tls_server.h"

struct throwaway_ca;

struct throwaway_ca *throwaway_ca_new(const char *common_name);
void throwaway_ca_free(struct throwaway_ca **ca);

/* The CA's own certificate, as a bundle of trusted ones holds it. */
char *throwaway_ca_pem(const struct throwaway_ca *ca);

/* What a leaf certificate shall be.  All zero: no name at all, valid from yesterday on for a month.
 */
struct leaf_wish {
    const char *common_name;  /* NULL: an empty subject */
    const char *const *names; /* ends with NULL: "DNS:mx1.example.net", "IP:192.0.2.1",
                                 "email:a@example.net", "URI:https://example.net/" */
    int starts_in_days;       /* 0: yesterday */
    int ends_in_days;         /* 0: in 30 days; below 0: it has expired */
    int rsa_bits;             /* 0: a P-256 key */
    bool self_signed;
};

/* PEM of the certificate and of its key; either may be NULL. */
void throwaway_leaf(const struct throwaway_ca *ca, const struct leaf_wish *wish, char **out_pem,
                    char **out_key_pem);

/* The certificate in DER form; *out_len is its length. */
unsigned char *throwaway_leaf_der(const struct throwaway_ca *ca, const struct leaf_wish *wish,
                                  size_t *out_len);

/* What a server needs to serve with one such certificate. */
struct error *throwaway_server(struct span pem, struct span key_pem,
                               struct tls_context **out_context) MUST_CHECK;

#endif
