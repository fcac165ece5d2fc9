/*
 * tlsa - the TLSA records of one MX host: where they stand, which of them SMTP can use, which names
 * a certificate may bear, and how they are written.  Filled by lib/io/host_lookup; read by deliver,
 * by explain and by the socketmap.  Pure.
 * Rules: RFC 6698 s.2 and s.3, RFC 7672 s.2.2.3 and s.3; rfc/dane-smtp.md DANE-40 to DANE-44,
 * DANE-60, DANE-71 to DANE-73, DANE-96.
 */
#ifndef WAXSEAL_MAIL_TLSA_H
#define WAXSEAL_MAIL_TLSA_H

#include "lib/mail/dns_message.h"

/*
 * What a candidate's TLSA records are worth (RFC 7672 s.2.2).  A lookup that failed is no fact: the
 * host counts as one that cannot be reached (s.2.1.2).
 */
enum tlsa_worth {
    TLSA_NOT_APPLICABLE, /* there are none, or MX, address or records came without DNSSEC */
    TLSA_UNUSABLE,       /* secure, but none that SMTP can use: TLS, with whomever */
    TLSA_USABLE,         /* they decide who is at the other end, and MTA-STS does not */
};

/* Those of a secure answer, never none; shared by counting. */
struct tlsa_set {
    unsigned refs;
    char base[DOMAIN_MAX + 1]; /* the TLSA base domain: SNI, and the first name to look for */
    uint32_t ttl;              /* seconds */
    unsigned usable_count;
    unsigned count;
    struct span records[]; /* RDATA as in DNS, copies, sorted: the usable ones first */
};

struct tlsa_set *tlsa_set_keep(const struct tlsa_set *set); /* NULL: NULL */
void tlsa_set_free(struct tlsa_set **set);                  /* when the last one lets go */

/*
 * The records of a secure answer with at least one, found at `base`; TLSA_RECORDS_MAX at most, the
 * usable ones before all.  `is_usable` is asked for each one: tls_dane_usable.
 */
struct tlsa_set *tlsa_set_new(const char *base, const struct dns_answer *answer,
                              bool (*is_usable)(struct span rdata));
enum tlsa_worth tlsa_set_worth(const struct tlsa_set *set); /* NULL: TLSA_NOT_APPLICABLE */

/* "_25._tcp.mx.example.net"; false: too long for a name. */
enum { TLSA_NAME_SIZE = DOMAIN_MAX + 1 };
bool tlsa_name(const char *host, uint16_t port, char name[TLSA_NAME_SIZE]);

/*
 * Can SMTP use it: DANE-TA or DANE-EE, of a certificate or a key, in full or by SHA2-256 or
 * SHA2-512 of the right length?  Whether what stands there in full can be read, lib/io/tls_dane
 * knows.
 */
bool tlsa_is_usable(struct span rdata);

/*
 * "3 1 1 8d02..." (RFC 6698 s.2.2), no longer than `size` with its end: of what stands in full as
 * much as fits, and "..." behind it.
 */
enum { TLSA_TEXT_SIZE = 512 };
void tlsa_text(struct span rdata, char *text, size_t size);

/*
 * The names that a certificate vouched for by usage DANE-TA may bear, besides the base domain: the
 * next hop's, and where that one is an alias its end (RFC 7672 s.3.2.2).  Only where the MX records
 * are secure, or where there were none to look up.
 */
struct tlsa_names {
    const char *next_hop; /* NULL: none; lent */
    const char *expanded; /* NULL: none; lent */
};
struct tlsa_names tlsa_names_of(const char *next_hop, const char *expanded, bool is_sure);

#endif
