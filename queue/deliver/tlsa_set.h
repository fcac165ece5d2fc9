/*
 * tlsa_set - the TLSA records of one MX host, as far as they can be used (lib/io/tls_dane.h), and
 * whether they may be believed at all.  Called by attempt for routes with tls = "dane".  Owns
 * copies. Rules: RFC 7672 s.2.2.3; rfc/dane-smtp.md DANE-40, DANE-44, DANE-53.
 */
#ifndef WAXSEAL_QUEUE_DELIVER_TLSA_SET_H
#define WAXSEAL_QUEUE_DELIVER_TLSA_SET_H

#include "lib/io/tls_dane.h"
#include "lib/mail/dns_message.h"

struct tlsa_set {
    const char
        *next_hop; /* a second name that a certificate may bear (DANE-71); NULL: none; lent */
    struct span records[TLSA_RECORDS_MAX];
    unsigned count; /* 0: nothing can be demanded */
};

/* "_25._tcp.mx.example.net"; false: too long for a name. */
enum { TLSA_NAME_SIZE = DOMAIN_MAX + 1 };
bool tlsa_name(const char *host, uint16_t port, char name[TLSA_NAME_SIZE]);

/* Those of a secure answer; gives why there are none, or NULL. */
const char *tlsa_set_take(struct tlsa_set *set, const struct dns_answer *answer);
void tlsa_set_clear(struct tlsa_set *set);

#endif
