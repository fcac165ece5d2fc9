#include "lib/mail/route.h"

#include "lib/base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The MX records that may be used, before they are cut to the candidates. */
struct choice {
    const struct dns_record *records[DNS_RECORDS_MAX];
    unsigned count;
};

static void conclude(struct route *out, enum route_verdict verdict, const char *reason)
{
    out->verdict = verdict;
    snprintf(out->reason, sizeof(out->reason), "%s", reason);
}

/* "." says that no mail is taken (RFC 7505 s.3); "localhost" is the same said badly. */
static bool is_nowhere(const struct dns_record *record)
{
    struct span name = span_of(record->name);

    return span_equal(name, SPAN(".")) || span_equal_nocase(name, SPAN("localhost"));
}

/* An address in place of a name is invalid (rfc/smtp-client.md CLI-8). */
static bool is_usable(const struct dns_record *record)
{
    struct span name = span_of(record->name);
    struct ip_address address;

    return record->name_is_host && name.len <= DOMAIN_MAX && !is_nowhere(record) &&
           !ip_address_parse(name, &address);
}

static bool is_own(const char *name, const char *const *own_names, unsigned own_name_count)
{
    for (unsigned i = 0; i < own_name_count; i++)
        if (span_equal_nocase(span_of(name), span_of(own_names[i])))
            return true;
    return false;
}

/* Adds a record, or betters the preference of the same name (rfc/dns.md DNS-48). */
static void choice_add(struct choice *choice, const struct dns_record *record)
{
    for (unsigned i = 0; i < choice->count; i++) {
        if (strcmp(choice->records[i]->name, record->name) != 0)
            continue;
        if (record->preference < choice->records[i]->preference)
            choice->records[i] = record;
        return;
    }
    if (choice->count < DNS_RECORDS_MAX)
        choice->records[choice->count++] = record;
}

static void choice_swap(struct choice *choice, unsigned a, unsigned b)
{
    const struct dns_record *record = choice->records[a];

    choice->records[a] = choice->records[b];
    choice->records[b] = record;
}

/*
 * Cuts the best preference level that has one of our own names and all behind it (RFC 5321 s.5.1);
 * the others stay in no order.
 */
static void choice_cut_own(struct choice *choice, const char *const *own_names,
                           unsigned own_name_count)
{
    uint32_t least = UINT32_MAX;
    unsigned kept = 0;

    for (unsigned i = 0; i < choice->count; i++)
        if (choice->records[i]->preference < least &&
            is_own(choice->records[i]->name, own_names, own_name_count))
            least = choice->records[i]->preference;
    for (unsigned i = 0; i < choice->count; i++)
        if (choice->records[i]->preference < least)
            choice->records[kept++] = choice->records[i];
    choice->count = kept;
}

/* Moves the best `wanted` to the front, each time one of those that are equally good. */
static void choice_order(struct choice *choice, unsigned wanted, uint64_t (*shuffle)(uint64_t))
{
    for (unsigned i = choice->count; i > 1; i--)
        choice_swap(choice, i - 1, (unsigned)shuffle(i));
    for (unsigned i = 0; i < wanted; i++) {
        unsigned best = i;
        for (unsigned j = i + 1; j < choice->count; j++)
            if (choice->records[j]->preference < choice->records[best]->preference)
                best = j;
        choice_swap(choice, i, best);
    }
}

static void add_candidate(struct route *out, struct span name, uint16_t preference, bool implicit)
{
    struct mx_candidate *candidate = &out->candidates[out->count];
    bool fits = span_to_string(name, candidate->name, sizeof(candidate->name));

    ensure(fits);
    candidate->preference = preference;
    candidate->implicit = implicit;
    out->count++;
    out->verdict = ROUTE_FOUND;
}

static void route_of_records(const struct dns_answer *mx, const char *const *own_names,
                             unsigned own_name_count, uint64_t (*shuffle)(uint64_t),
                             struct route *out)
{
    struct choice choice = { .count = 0 };
    unsigned wanted;

    for (unsigned i = 0; i < mx->count; i++)
        if (is_usable(&mx->records[i]))
            choice_add(&choice, &mx->records[i]);
    if (choice.count == 0) {
        conclude(out, ROUTE_NO_HOST, "no MX record holds a usable host name");
        return;
    }
    choice_cut_own(&choice, own_names, own_name_count);
    if (choice.count == 0) {
        conclude(out, ROUTE_LOOP, "mail for the domain loops back to this relay");
        return;
    }
    wanted = choice.count < MX_NAMES_MAX ? choice.count : MX_NAMES_MAX;
    out->left_out = choice.count - wanted + mx->left_out;
    choice_order(&choice, wanted, shuffle);
    for (unsigned i = 0; i < wanted; i++)
        add_candidate(out, span_of(choice.records[i]->name), choice.records[i]->preference, false);
}

/* No MX record: the domain itself, with preference 0 (RFC 5321 s.5.1). */
static void route_implicit(struct span domain, const struct dns_answer *mx,
                           const char *const *own_names, unsigned own_name_count, struct route *out)
{
    add_candidate(out, domain, 0, true);
    if (!is_own(out->candidates[0].name, own_names, own_name_count) &&
        !is_own(mx->canonical, own_names, own_name_count))
        return;
    out->count = 0;
    conclude(out, ROUTE_LOOP, "the domain has no MX record and is this relay");
}

void route_from_mx(const struct dns_answer *mx, struct span domain, const char *const *own_names,
                   unsigned own_name_count, uint64_t (*shuffle)(uint64_t bound), struct route *out)
{
    *out =
        (struct route){ .verdict = ROUTE_TEMPFAIL, .secure = mx->secure, .in_doubt = mx->in_doubt };
    if (mx->cname_steps > 0)
        snprintf(out->expanded, sizeof(out->expanded), "%s", mx->canonical);
    switch (mx->outcome) {
    case DNS_TEMPFAIL:
        snprintf(out->reason, sizeof(out->reason), "MX lookup: %s", mx->reason);
        return;
    case DNS_NXDOMAIN:
        conclude(out, ROUTE_NO_DOMAIN, "the domain does not exist");
        return;
    case DNS_NODATA:
        route_implicit(domain, mx, own_names, own_name_count, out);
        return;
    case DNS_ANSWER:
        if (mx->count == 1 && is_nowhere(&mx->records[0]))
            conclude(out, ROUTE_NULL_MX, "the domain takes no mail (null MX)");
        else
            route_of_records(mx, own_names, own_name_count, shuffle, out);
        return;
    }
}

struct address_filter {
    const struct network *allow;
    unsigned allow_count;
};

bool route_lets_through(const struct ip_address *address, const struct network *allow,
                        unsigned allow_count)
{
    if (!ip_address_is_internal(address))
        return true;
    for (unsigned i = 0; i < allow_count; i++)
        if (network_contains(&allow[i], address))
            return true;
    return false;
}

static bool passes(const struct address_filter *filter, const struct ip_address *address)
{
    return route_lets_through(address, filter->allow, filter->allow_count);
}

struct address_set {
    struct ip_address items[MX_ADDRESSES_MAX];
    unsigned count;
};

static bool address_set_has(const struct address_set *set, const struct ip_address *address)
{
    for (unsigned i = 0; i < set->count; i++)
        if (ip_address_equal(&set->items[i], address))
            return true;
    return false;
}

/* Who is reached by IPv4 says so in an A record (rfc/dns.md DNS-45). */
static bool is_mapped(const struct ip_address *address)
{
    static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };

    return address->family == ADDRESS_V6 && memcmp(address->bytes, prefix, sizeof(prefix)) == 0;
}

static struct address_set collect(const struct dns_answer *answer,
                                  const struct address_filter *filter)
{
    struct address_set set = { .count = 0 };

    if (answer->outcome != DNS_ANSWER)
        return set;
    for (unsigned i = 0; i < answer->count && set.count < MX_ADDRESSES_MAX; i++) {
        const struct ip_address *address = &answer->records[i].address;
        if (!is_mapped(address) && passes(filter, address) && !address_set_has(&set, address))
            set.items[set.count++] = *address;
    }
    return set;
}

/* One of each family in turn, so that a dead network costs one wait (rfc/dns.md DNS-73). */
static unsigned interleave(const struct address_set *v6, const struct address_set *v4,
                           struct ip_address out[MX_ADDRESSES_MAX])
{
    unsigned most = v6->count > 0 && v4->count > 0 ? MX_ADDRESSES_MAX / 2 : MX_ADDRESSES_MAX;
    unsigned count = 0;

    for (unsigned i = 0; i < most; i++) {
        if (i < v6->count)
            out[count++] = v6->items[i];
        if (i < v4->count)
            out[count++] = v4->items[i];
    }
    return count;
}

enum address_verdict route_addresses(const struct dns_answer *a, const struct dns_answer *aaaa,
                                     const struct network *allow, unsigned allow_count,
                                     struct ip_address out[MX_ADDRESSES_MAX], unsigned *out_count)
{
    struct address_filter filter = { allow, allow_count };
    struct address_set v6 = collect(aaaa, &filter);
    struct address_set v4 = collect(a, &filter);

    *out_count = interleave(&v6, &v4, out);
    if (*out_count > 0)
        return ADDRESSES_FOUND;
    if (a->outcome == DNS_TEMPFAIL || aaaa->outcome == DNS_TEMPFAIL)
        return ADDRESSES_TEMPFAIL;
    if (a->outcome == DNS_ANSWER || aaaa->outcome == DNS_ANSWER)
        return ADDRESSES_REFUSED;
    return ADDRESSES_NONE;
}
