/* dns_build - DNS messages made by hand, for tests of dns_message and of the resolver. */
#ifndef WAXSEAL_TESTS_SUPPORT_DNS_BUILD_H
#define WAXSEAL_TESTS_SUPPORT_DNS_BUILD_H

#include "lib/mail/dns_message.h"

#include <string.h>

struct dns_build {
    char wire[70000];
    size_t len;
    size_t data_len_at; /* of the record begun */
};

static inline void build_u8(struct dns_build *b, unsigned v)
{
    b->wire[b->len++] = (char)v;
}

static inline void build_u16(struct dns_build *b, unsigned v)
{
    build_u8(b, v >> 8 & 0xff);
    build_u8(b, v & 0xff);
}

static inline void build_u32(struct dns_build *b, uint32_t v)
{
    build_u16(b, v >> 16);
    build_u16(b, v & 0xffff);
}

static inline void build_bytes(struct dns_build *b, const void *bytes, size_t len)
{
    memcpy(b->wire + b->len, bytes, len);
    b->len += len;
}

/* "a.b" as labels; "" is the root. */
static inline void build_name(struct dns_build *b, const char *name)
{
    struct span rest = { name, strlen(name) };
    struct span label;

    while (rest.len > 0 && span_cut(&rest, '.', &label)) {
        build_u8(b, (unsigned)label.len);
        build_bytes(b, label.data, label.len);
    }
    build_u8(b, 0);
}

/* flags: 0x8180 for a plain answer; counts are set with build_count. */
static inline void build_start(struct dns_build *b, unsigned flags, const char *name, unsigned type)
{
    b->len = 0;
    build_u16(b, 0x1234);
    build_u16(b, flags);
    build_u16(b, 1);
    build_u16(b, 0);
    build_u32(b, 0);
    build_name(b, name);
    build_u16(b, type);
    build_u16(b, 1);
}

enum build_section { SECTION_ANSWER = 6, SECTION_AUTHORITY = 8, SECTION_ADDITIONAL = 10 };

/* Begins a record and counts it; its data follows, then build_end. */
static inline void build_record(struct dns_build *b, enum build_section section, const char *owner,
                                unsigned type, uint32_t ttl)
{
    unsigned count = (unsigned)(unsigned char)b->wire[section] << 8;

    count = (count | (unsigned char)b->wire[section + 1]) + 1;
    b->wire[section] = (char)(count >> 8);
    b->wire[section + 1] = (char)count;
    build_name(b, owner);
    build_u16(b, type);
    build_u16(b, 1);
    build_u32(b, ttl);
    b->data_len_at = b->len;
    build_u16(b, 0);
}

static inline void build_end(struct dns_build *b)
{
    size_t len = b->len - b->data_len_at - 2;

    b->wire[b->data_len_at] = (char)(len >> 8);
    b->wire[b->data_len_at + 1] = (char)len;
}

static inline void build_mx(struct dns_build *b, const char *owner, uint32_t ttl, unsigned pref,
                            const char *name)
{
    build_record(b, SECTION_ANSWER, owner, DNS_MX, ttl);
    build_u16(b, pref);
    build_name(b, name);
    build_end(b);
}

static inline void build_cname(struct dns_build *b, const char *owner, uint32_t ttl,
                               const char *target)
{
    build_record(b, SECTION_ANSWER, owner, DNS_CNAME, ttl);
    build_name(b, target);
    build_end(b);
}

static inline void build_soa(struct dns_build *b, const char *owner, uint32_t ttl, uint32_t minimum)
{
    build_record(b, SECTION_AUTHORITY, owner, DNS_SOA, ttl);
    build_name(b, "ns.test");
    build_name(b, "hostmaster.test");
    for (int i = 0; i < 4; i++)
        build_u32(b, 1000);
    build_u32(b, minimum);
    build_end(b);
}

#endif
