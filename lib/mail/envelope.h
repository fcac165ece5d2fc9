/*
 * envelope - one transaction's paths and parameters, and where it came from.  Owns its recipients.
 */
#ifndef WAXSEAL_MAIL_ENVELOPE_H
#define WAXSEAL_MAIL_ENVELOPE_H

#include "lib/base/error.h"
#include "lib/mail/address.h"

enum body_type { BODY_7BIT, BODY_8BITMIME };

/* RFC 3461: kept as received, and passed on so. */
struct dsn_request {
    bool ret_full;
    bool ret_headers;
    char envid[ENVID_MAX + 1]; /* as received, xtext; "" for none */
};

struct envelope_recipient {
    struct address forward_path;
    unsigned number;           /* its place in the message, from 0 */
    uint32_t notify;           /* bits of enum notify; 0: not given */
    char orcpt[ORCPT_MAX + 1]; /* as received; "" for none */
};

enum { PRIORITY_MAX = 9 }; /* and PRIORITY_MAX below 0 (RFC 6710 s.3) */

enum notify { NOTIFY_NEVER = 1, NOTIFY_SUCCESS = 2, NOTIFY_FAILURE = 4, NOTIFY_DELAY = 8 };

enum { ENVELOPE_TLS_SIZE = 96 };

struct envelope {
    struct address reverse_path;
    enum body_type body;
    bool smtputf8;    /* was said (RFC 6531 s.3.4) */
    bool utf8_header; /* is in the content; known once that has come */
    bool requiretls;
    bool tls_required_no; /* stands in the content (RFC 8689 s.3); known once that has come */
    bool tls_report; /* a report of ours (RFC 8460): no policy stops it, nothing of it is counted */
    bool from_stranger; /* taken for the recipients' sake alone, from a client of nobody's */
    int priority; /* MT-PRIORITY, of a client that may ask for it (RFC 6710); 0: as all mail */
    struct dsn_request dsn;
    int64_t received_utc_ms;
    char client_name[DOMAIN_MAX + 1]; /* as it said in EHLO, made harmless */
    struct ip_address client_address;
    char client_tls[ENVELOPE_TLS_SIZE];    /* "TLSv1.3 TLS_AES_256_GCM_SHA384"; "" in clear */
    char listener[LISTENER_LABEL_MAX + 1]; /* what it came in by is called; "" for our own mail */
    char user[ADDRESS_MAX + 1];            /* authenticated, or "local:1000"; "" for none */
    uint64_t declared_size;                /* SIZE=, 0 for none */
    struct envelope_recipient *recipients;
    unsigned recipient_count;
    struct envelope_recipient *expanded; /* who stood for several of them: aliases ... */
    unsigned expanded_count;             /* ... whose sender is told so (RFC 3461 s.5.2.7.3) */
    size_t recipient_octets;             /* at least what they take on their way between roles */
};

/* The memory that its recipients take. */
size_t envelope_memory(const struct envelope *e);

void envelope_init(struct envelope *e);
void envelope_clear(struct envelope *e);
/* Is there room for one more, whatever its ORCPT, within ENVELOPE_BYTES_MAX? */
bool envelope_has_room(const struct envelope *e, const struct address *forward_path);
/* Adds a recipient and gives it, lent until the next is added. */
struct envelope_recipient *envelope_add(struct envelope *e, const struct address *forward_path);
/* The same of one that is expanded: nothing is delivered to it. */
struct envelope_recipient *envelope_add_expanded(struct envelope *e,
                                                 const struct address *forward_path);
/* Gives one of its recipients an ORCPT; false when it is too long. */
bool envelope_set_orcpt(struct envelope *e, struct envelope_recipient *recipient,
                        struct span orcpt) MUST_CHECK;

#endif
