#include "lib/mail/tlsa.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/error.h"
#include "lib/base/memory.h"

enum { USAGE_TA = 2, USAGE_EE = 3, SELECTOR_KEY = 1, HEAD = 3 };

/* --- the set */

struct tlsa_set *tlsa_set_keep(const struct tlsa_set *set)
{
    struct tlsa_set *kept = (struct tlsa_set *)(uintptr_t)set;

    if (kept)
        kept->refs++;
    return kept;
}

void tlsa_set_free(struct tlsa_set **set)
{
    struct tlsa_set *s = *set;

    *set = NULL;
    if (!s || --s->refs > 0)
        return;
    for (unsigned i = 0; i < s->count; i++)
        free((char *)(uintptr_t)s->records[i].data);
    free(s);
}

static struct span rdata_of(const struct dns_record *record)
{
    return (struct span){ record->data, record->data_len };
}

/* Of those that are usable, or of the others, as many as there is room for. */
static void take_records(struct tlsa_set *set, const struct dns_answer *answer, bool usable,
                         bool (*is_usable)(struct span rdata))
{
    for (unsigned i = 0; i < answer->count && set->count < TLSA_RECORDS_MAX; i++) {
        struct span rdata = rdata_of(&answer->records[i]);
        if (is_usable(rdata) == usable)
            set->records[set->count++] = (struct span){ memory_copy_span(rdata), rdata.len };
    }
}

static int compare(const void *a, const void *b)
{
    const struct span *one = a, *other = b;
    int order = memcmp(one->data, other->data, one->len < other->len ? one->len : other->len);

    return order != 0 ? order : (one->len > other->len) - (one->len < other->len);
}

struct tlsa_set *tlsa_set_new(const char *base, const struct dns_answer *answer,
                              bool (*is_usable)(struct span rdata))
{
    unsigned room = answer->count < TLSA_RECORDS_MAX ? answer->count : TLSA_RECORDS_MAX;
    struct tlsa_set *set = memory_new(sizeof(*set) + room * sizeof(set->records[0]));

    set->refs = 1;
    set->ttl = answer->ttl;
    snprintf(set->base, sizeof(set->base), "%s", base);
    take_records(set, answer, true, is_usable);
    set->usable_count = set->count;
    take_records(set, answer, false, is_usable);
    /* Resolvers give them in turns: the same records are to be the same policy in reports. */
    qsort(set->records, set->usable_count, sizeof(set->records[0]), compare);
    qsort(set->records + set->usable_count, set->count - set->usable_count, sizeof(set->records[0]),
          compare);
    return set;
}

enum tlsa_worth tlsa_set_worth(const struct tlsa_set *set)
{
    if (!set)
        return TLSA_NOT_APPLICABLE;
    return set->usable_count > 0 ? TLSA_USABLE : TLSA_UNUSABLE;
}

/* --- one record */

bool tlsa_name(const char *host, uint16_t port, char name[TLSA_NAME_SIZE])
{
    int len = snprintf(name, TLSA_NAME_SIZE, "_%u._tcp.%s", port, host);

    return len > 0 && len < TLSA_NAME_SIZE;
}

bool tlsa_is_usable(struct span rdata)
{
    static const size_t lengths[] = { 0, 32, 64 }; /* in full; SHA2-256; SHA2-512 */
    const unsigned char *bytes = (const unsigned char *)rdata.data;

    if (rdata.len <= HEAD || rdata.len > TLSA_RECORD_MAX)
        return false;
    if ((bytes[0] != USAGE_TA && bytes[0] != USAGE_EE) || bytes[1] > SELECTOR_KEY ||
        bytes[2] >= sizeof(lengths) / sizeof(lengths[0]))
        return false;
    return lengths[bytes[2]] == 0 || rdata.len - HEAD == lengths[bytes[2]];
}

void tlsa_text(struct span rdata, char *text, size_t size)
{
    static const char more[] = "...";
    const unsigned char *bytes = (const unsigned char *)rdata.data;
    size_t at;

    ensure(size > sizeof("255 255 255 ") + sizeof(more));
    if (rdata.len < HEAD) { /* RFC 6698 s.2.1 knows none so short */
        snprintf(text, size, "malformed");
        return;
    }
    at = (size_t)snprintf(text, size, "%u %u %u ", bytes[0], bytes[1], bytes[2]);
    for (size_t i = HEAD; i < rdata.len; i++) {
        if (at + 2 + sizeof(more) > size) {
            snprintf(text + at, size - at, "%s", more);
            return;
        }
        at += (size_t)snprintf(text + at, size - at, "%02x", bytes[i]);
    }
}

struct tlsa_names tlsa_names_of(const char *next_hop, const char *expanded, bool is_sure)
{
    struct tlsa_names names = { .next_hop = is_sure ? next_hop : NULL };

    if (is_sure && next_hop && expanded && expanded[0] != '\0' &&
        !span_equal_nocase(span_of(next_hop), span_of(expanded)))
        names.expanded = expanded;
    return names;
}
