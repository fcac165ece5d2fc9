/*
 * dns_wire - the pieces of a DNS message: numbers, names, resource records (RFC 1035 s.4).  Called
 * by dns_message.  Pure; never reads outside the message, and every name ends.
 */
#ifndef WAXSEAL_MAIL_DNS_WIRE_H
#define WAXSEAL_MAIL_DNS_WIRE_H

#include "lib/base/span.h"

enum {
    DNS_NAME_WIRE_MAX = 255,                        /* RFC 1035 s.2.3.4 */
    DNS_NAME_TEXT_SIZE = 4 * DNS_NAME_WIRE_MAX + 1, /* each byte as "\DDD" at worst */
};

/* A name out of a message: lower case, no final dot, odd bytes as "\DDD"; "." for the root. */
struct dns_wire_name {
    char text[DNS_NAME_TEXT_SIZE];
    bool is_host; /* letters, digits, '-' and '_' only, and not the root */
};

/* A place in the message; `broken` once something did not fit.  Then what was read is nothing. */
struct dns_reader {
    struct span wire;
    size_t at;
    bool broken;
};

/* A resource record, its data not yet looked at. */
struct dns_raw_record {
    struct dns_wire_name owner;
    uint16_t type;
    uint16_t class;
    uint32_t ttl; /* that of OPT as it stands; else RFC 2181 s.8 */
    size_t data_at;
    size_t data_len;
};

unsigned dns_read_u8(struct dns_reader *r);
unsigned dns_read_u16(struct dns_reader *r);
uint32_t dns_read_u32(struct dns_reader *r);
/* RFC 2181 s.8: a TTL with the top bit set is 0. */
uint32_t dns_read_ttl(struct dns_reader *r);
void dns_skip(struct dns_reader *r, size_t len);

/*
 * Reads a name.  A compression pointer leads only to before the place where the run of labels that
 * holds it began, so that following them ends (RFC 1035 s.4.1.4).
 */
void dns_read_name(struct dns_reader *r, struct dns_wire_name *out);

void dns_read_record(struct dns_reader *r, struct dns_raw_record *out);

#endif
