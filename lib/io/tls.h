/*
 * tls - clients' contexts, verification, and what a session came to (servers: tls_server.h);
 * OpenSSL behind it (pitfalls.md section 5).  Names in certificates: subjectAltName DNS-IDs only, a
 * wildcard stands for the complete left-most label (RFC 6125, RFC 8461 s.4.2).
 */
#ifndef WAXSEAL_IO_TLS_H
#define WAXSEAL_IO_TLS_H

#include "lib/base/error.h"
#include "lib/base/span.h"

#include <stdint.h>

/* The certificates we trust, loaded once from PEM text and shared by reference. */
struct tls_trust;
/* Fails when the text holds no certificate at all. */
struct error *tls_trust_new(struct span pem, struct tls_trust **out_trust) MUST_CHECK;
void tls_trust_free(struct tls_trust **trust);
unsigned tls_trust_count(const struct tls_trust *trust);
/* A PEM file's certificates counted without keeping them, for `waxseal check`. */
struct error *tls_trust_check_file(const char *path, unsigned *out_count) MUST_CHECK;

/* What a client session asks of TLS (design.md section 11, "TLS floor"). */
enum tls_floor {
    TLS_FLOOR_STRICT,        /* TLS 1.2, security level 2: where a policy binds */
    TLS_FLOOR_OPPORTUNISTIC, /* TLS 1.2, level 1 */
    TLS_FLOOR_LEGACY,        /* TLS 1.0, level 0: better than clear text, where nothing binds */
};

/* What a client's hello offers: the ladder of design.md section 11 tries them in this order. */
enum tls_hello {
    TLS_HELLO_FULL,    /* hybrid groups, too, where the library has them; never as a key share */
    TLS_HELLO_CLASSIC, /* few groups, none of them hybrid */
};
enum { TLS_HELLOS = TLS_HELLO_CLASSIC + 1 };
/* Is there anything that the full one has more, with this library? */
bool tls_hellos_differ(void);

/* A context: what many sessions share; counted, and gone when its last session ends. */
struct tls_context;
struct tls_context *tls_context_keep(struct tls_context *context); /* NULL: NULL */
/* A client's, with the full hello. */
struct error *tls_client_context_new(struct tls_trust *trust, enum tls_floor floor,
                                     struct tls_context **out_context) MUST_CHECK;
/* The same with the classic hello. */
struct error *tls_classic_context_new(struct tls_trust *trust, enum tls_floor floor,
                                      struct tls_context **out_context) MUST_CHECK;
void tls_context_free(struct tls_context **context);

/* What came of the checks of the peer's certificate (rfc/tls-rpt.md RPT-32). */
enum cert_verdict {
    CERT_OK,
    CERT_NONE,          /* no certificate, or no TLS */
    CERT_EXPIRED,       /* X509 error 10 */
    CERT_HOST_MISMATCH, /* 62 */
    CERT_NOT_TRUSTED,   /* chain errors */
    CERT_NOT_OF_TLSA,   /* 65: no TLSA record fits it */
    CERT_OTHER,         /* all else */
};

/* What ties an authentication to this very session (RFC 9266, RFC 5929 s.4). */
enum tls_binding {
    TLS_BINDING_EXPORTER,
    TLS_BINDING_END_POINT, /* of a server's own certificate */
};
enum { TLS_BINDING_MAX = 64 };

enum {
    TLS_NAME_SIZE = 256,
    TLS_NAMES_SIZE = 512,
    TLS_REASON_SIZE = 96,
    TLS_DIGEST_SIZE = 65,
    TLS_TLSA_SIZE = 16
};

/*
 * What a client's certificate says of it, once the handshake has proved that it holds the key.
 * Texts are printable ASCII, '?' for all else; what does not fit is left out whole.
 */
struct tls_client_facts {
    char common_name[TLS_NAME_SIZE]; /* the last one of the subject, or "" */
    char mailboxes[TLS_NAMES_SIZE];  /* rfc822Names, separated by blanks */
};

/* A session as it stands after the handshake; a plain value. */
struct tls_session {
    char version[16];                  /* "TLSv1.3" */
    char cipher[64];                   /* the IANA name */
    char group[32];                    /* of the key exchange: "x25519"; "" when there was none */
    enum cert_verdict cert;            /* judged against the name given at the start, if any */
    char cert_reason[TLS_REASON_SIZE]; /* OpenSSL's macro name, "" for CERT_OK */
    /*
     * With CERT_OK by TLSA records: which one it fits, "3 1 1" (RFC 6698 s.2.2), and whether it
     * does whatever other names it was judged by; else "".
     */
    char tlsa[TLS_TLSA_SIZE];
    bool fits_base;
    char subject[TLS_NAME_SIZE];
    char issuer[TLS_NAME_SIZE];
    char names[TLS_NAMES_SIZE]; /* the DNS-IDs, separated by blanks, only whole ones */
    int64_t not_after_utc_ms;
    char certificate_sha256[TLS_DIGEST_SIZE]; /* of the DER form; lower-case hex */
    char key_sha256[TLS_DIGEST_SIZE];         /* of the SubjectPublicKeyInfo (RFC 7469 s.2.4) */
    bool resumed;
    /*
     * At servers: the client's, all "" without a certificate.  `cert` is CERT_NONE then; CERT_OK
     * when one of the authorities vouches for it and its dates and purpose are in order.
     */
    struct tls_client_facts client;
};

/*
 * Does a certificate with these DNS-IDs fit `reference`?  The comparison that tls verification
 * uses, for tests and explanations: takes the certificate in DER form, judges names alone.
 */
bool tls_certificate_names(struct span der, struct span reference);

/* The verdict and name for an X509_V_ERR number. */
enum cert_verdict tls_verdict_of(long x509_error);
const char *tls_reason_of(long x509_error);

#endif
