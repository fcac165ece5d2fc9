/*
 * subject - what one report is about: a policy domain, or an MX host (its TLSA base domain) with
 * the mail of all domains to it, on a UTC day.  Called by all of tlsrpt that keeps something of
 * one.  Pure: plain values, and their keys in the report database.
 */
#ifndef WAXSEAL_TLSRPT_SUBJECT_H
#define WAXSEAL_TLSRPT_SUBJECT_H

#include "lib/base/limits.h"
#include "lib/base/span.h"

#include <stdint.h>

struct subject {
    uint32_t day; /* of tlsrpt/day */
    bool of_host;
    char domain[DOMAIN_MAX + 1]; /* lower case, no final dot */
};

/* Of a name that dns_name_is_valid. */
struct subject subject_of_domain(uint32_t day, struct span domain);
struct subject subject_of_host(uint32_t day, struct span base_domain);

bool subject_equal(const struct subject *a, const struct subject *b);

/*
 * Its key: day (big-endian, so that keys stand in the order of days), view, domain, NUL.  No key
 * is the beginning of another one's; other keys go on behind it.
 */
enum { SUBJECT_DAY_SIZE = 4, SUBJECT_KEY_MAX = SUBJECT_DAY_SIZE + 1 + DOMAIN_MAX + 1 };
struct subject_key {
    char bytes[SUBJECT_KEY_MAX];
    size_t len;
};
struct subject_key subject_key(const struct subject *subject);
struct span subject_key_span(const struct subject_key *key);

/* The first key of a day. */
struct subject_key subject_key_of_day(uint32_t day);

/*
 * Takes the subject off the front of a key; *out_rest is what stands behind it.  False: it does
 * not begin with one.
 */
bool subject_parse(struct span key, struct subject *out, struct span *out_rest);

#endif
