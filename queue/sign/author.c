#include "queue/sign/author.h"

#include "lib/mail/domain.h"
#include "lib/mail/header_addresses.h"
#include "lib/mail/header_fields.h"

#include <string.h>

struct authors {
    unsigned count;
    char address[ADDRESS_MAX + 1]; /* of the last one */
};

static void on_author(void *ctx, struct span text)
{
    struct authors *authors = ctx;

    authors->count++;
    ensure(span_to_string(text, authors->address, sizeof(authors->address)));
}

/* Also behind lines that are no fields, where other readers may see one. */
static unsigned count_from_fields(struct span header)
{
    struct header_fields fields;
    struct header_field field;
    unsigned count = 0;

    header_fields_init(&fields, header);
    do
        while (header_fields_next(&fields, &field))
            count += span_equal_nocase(field.name, SPAN("From"));
    while (header_fields_skip(&fields));
    return count;
}

/* The last "@": one in quotes belongs to the local-part. */
static struct span domain_of(const char *address)
{
    const char *at = strrchr(address, '@');

    return at ? span_of(at + 1) : SPAN("");
}

const char *author_domain(struct span header, char out_domain[DOMAIN_MAX + 1])
{
    struct authors authors = { .count = 0 };
    unsigned fields = count_from_fields(header);

    if (fields == 0)
        return "the message has no From field";
    if (fields > 1)
        return "the message has several From fields";
    if (!header_visit_authors(header, on_author, &authors))
        return "its From field holds what is no address";
    if (authors.count == 0)
        return "its From field names nobody";
    if (authors.count > 1)
        return "its From field names several authors";
    if (!domain_normalize(domain_of(authors.address), out_domain) ||
        !domain_is_host(span_of(out_domain)))
        return "its author has no domain that DNS could know";
    return NULL;
}
