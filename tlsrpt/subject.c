#include "tlsrpt/subject.h"

#include <string.h>

static struct subject subject_of(uint32_t day, bool of_host, struct span name)
{
    struct subject subject = { .day = day, .of_host = of_host };
    size_t len = 0;

    if (name.len > 0 && name.data[name.len - 1] == '.')
        name.len--;
    for (size_t i = 0; i < name.len && len < DOMAIN_MAX; i++)
        subject.domain[len++] = ascii_lower(name.data[i]);
    return subject;
}

struct subject subject_of_domain(uint32_t day, struct span domain)
{
    return subject_of(day, false, domain);
}

struct subject subject_of_host(uint32_t day, struct span base_domain)
{
    return subject_of(day, true, base_domain);
}

bool subject_equal(const struct subject *a, const struct subject *b)
{
    return a->day == b->day && a->of_host == b->of_host && strcmp(a->domain, b->domain) == 0;
}

struct subject_key subject_key_of_day(uint32_t day)
{
    struct subject_key key = { .len = SUBJECT_DAY_SIZE };

    for (int i = 0; i < SUBJECT_DAY_SIZE; i++)
        key.bytes[i] = (char)(day >> (8 * (SUBJECT_DAY_SIZE - 1 - i)));
    return key;
}

struct subject_key subject_key(const struct subject *subject)
{
    struct subject_key key = subject_key_of_day(subject->day);
    size_t size = strlen(subject->domain) + 1;

    key.bytes[key.len++] = subject->of_host ? 1 : 0;
    memcpy(key.bytes + key.len, subject->domain, size);
    key.len += size;
    return key;
}

struct span subject_key_span(const struct subject_key *key)
{
    return (struct span){ key->bytes, key->len };
}

bool subject_parse(struct span key, struct subject *out, struct span *out_rest)
{
    struct span name = span_from(key, SUBJECT_DAY_SIZE + 1);
    size_t end = span_find(name, '\0');

    if (key.len <= SUBJECT_DAY_SIZE || end == name.len || end == 0 || end > DOMAIN_MAX)
        return false;
    *out = (struct subject){ .of_host = key.data[SUBJECT_DAY_SIZE] != 0 };
    for (int i = 0; i < SUBJECT_DAY_SIZE; i++)
        out->day = out->day << 8 | (unsigned char)key.data[i];
    memcpy(out->domain, name.data, end);
    *out_rest = span_from(name, end + 1);
    return true;
}
