#include "lib/mail/rewrite.h"

#include <string.h>

/* Behind the last "@"; empty for a bare name. */
static struct span domain_of(struct span address)
{
    size_t at = address.len;

    while (at > 0 && address.data[at - 1] != '@')
        at--;
    return at > 0 ? span_from(address, at) : (struct span){ NULL, 0 };
}

static bool fits(const struct rewrite *row, struct span address, struct span domain,
                 bool *out_is_domain)
{
    struct span from = span_of(row->from);

    *out_is_domain = span_find(from, '@') == from.len;
    if (!*out_is_domain)
        return span_equal_nocase(from, address);
    if (from.data[0] == '.')
        return domain.len > from.len && span_ends_with_nocase(domain, from);
    return span_equal_nocase(from, domain);
}

const struct rewrite *rewrite_find(const struct rewrite_list *rewrites, struct span address,
                                   bool *out_is_domain)
{
    struct span domain = domain_of(address);

    for (unsigned i = 0; domain.len > 0 && i < rewrites->count; i++)
        if (fits(&rewrites->items[i], address, domain, out_is_domain))
            return &rewrites->items[i];
    return NULL;
}

bool rewrite_address(const struct rewrite_list *rewrites, struct span address,
                     char room[ADDRESS_MAX + 1])
{
    bool is_domain;
    const struct rewrite *row = rewrite_find(rewrites, address, &is_domain);
    size_t kept = row && is_domain ? address.len - domain_of(address).len : 0;
    size_t len = row ? strlen(row->to) : 0;

    if (!row || kept + len > ADDRESS_MAX)
        return false;
    if (kept > 0)
        memcpy(room, address.data, kept);
    memcpy(room + kept, row->to, len + 1);
    return true;
}

void rewrite_path(const struct rewrite_list *rewrites, struct address *path)
{
    char text[ADDRESS_MAX + 1];
    struct address fresh;

    if (rewrite_address(rewrites, span_of(path->text), text) &&
        address_parse_utf8(span_of(text), &fresh) == ADDRESS_FINE)
        *path = fresh;
}
