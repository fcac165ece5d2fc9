#include "lib/mail/dkim_select.h"

#include "lib/mail/dkim_tags.h"
#include "lib/mail/header_fields.h"

#define NAME(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

/*
 * Received, Return-Path, Authentication-Results, Bcc, Comments and Keywords are not here: they
 * change on the way or are nobody's business (DKIM-36).  Nor is DKIM-Signature: a new one covers
 * itself without being listed, and need not vouch for another's.
 */
static const struct signable {
    struct span name;
    unsigned over; /* once more than it is there (DKIM-37) */
} signables[] = {
    { NAME("From"), 1 },
    { NAME("To"), 1 },
    { NAME("Cc"), 1 },
    { NAME("Subject"), 1 },
    { NAME("Date"), 1 },
    { NAME("Reply-To"), 1 },
    { NAME("Sender"), 1 },
    { NAME("Message-ID"), 1 },
    { NAME("In-Reply-To"), 1 },
    { NAME("References"), 1 },
    { NAME("MIME-Version"), 1 },
    { NAME("Content-Type"), 1 },
    { NAME("Content-Transfer-Encoding"), 1 },
    { NAME("Content-ID"), 0 },
    { NAME("Content-Description"), 0 },
    { NAME("Content-Disposition"), 0 },
    { NAME("Resent-Date"), 0 },
    { NAME("Resent-From"), 0 },
    { NAME("Resent-Sender"), 0 },
    { NAME("Resent-To"), 0 },
    { NAME("Resent-Cc"), 0 },
    { NAME("Resent-Message-ID"), 0 },
    { NAME("List-Id"), 0 },
    { NAME("List-Help"), 0 },
    { NAME("List-Unsubscribe"), 0 },
    { NAME("List-Unsubscribe-Post"), 0 },
    { NAME("List-Subscribe"), 0 },
    { NAME("List-Post"), 0 },
    { NAME("List-Owner"), 0 },
    { NAME("List-Archive"), 0 },
    { NAME("Auto-Submitted"), 0 },
    { NAME("TLS-Required"), 0 },
    { NAME("TLS-Report-Domain"), 0 }, /* RFC 8460 s.5.3 */
    { NAME("TLS-Report-Submitter"), 0 },
};

enum { SIGNABLES = sizeof(signables) / sizeof(signables[0]) };

static void count_field(struct span name, unsigned counts[SIGNABLES])
{
    for (size_t i = 0; i < SIGNABLES; i++)
        if (span_equal_nocase(name, signables[i].name))
            counts[i]++;
}

/*
 * False when a line that is no field stands in the block, that of an mbox file in front included:
 * readers do not agree what follows it.
 */
static bool count_fields(struct span header, unsigned counts[SIGNABLES])
{
    struct header_fields fields;
    struct header_field field;

    header_fields_init(&fields, header);
    if (fields.rest.len < header.len)
        return false;
    while (header_fields_next(&fields, &field))
        count_field(field.name, counts);
    return !header_fields_skip(&fields);
}

static const char *fault_of(const unsigned counts[SIGNABLES])
{
    if (counts[0] == 0)
        return "the message has no From field";
    if (counts[0] > 1)
        return "the message has more than one From field";
    for (size_t i = 0; i < SIGNABLES; i++)
        if (counts[i] > DKIM_SAME_MAX)
            return "a header field is there too often";
    return NULL;
}

static bool add_name(struct span name, struct buf *out)
{
    return (buf_len(out) == 0 || buf_append(out, SPAN(":"))) && buf_append(out, name);
}

const char *dkim_select_names(struct span header, struct buf *out)
{
    unsigned counts[SIGNABLES] = { 0 };
    const char *fault;

    if (!count_fields(header, counts))
        return "the header has a line that is no field";
    fault = fault_of(counts);
    for (size_t i = 0; !fault && i < SIGNABLES; i++)
        for (unsigned times = counts[i] + signables[i].over; times > 0; times--)
            if (!add_name(signables[i].name, out))
                return "the header has too many fields";
    return fault;
}

/* An h= taken apart, and the fields it may choose from, top to bottom. */
struct choice {
    struct span names[DKIM_NAMES_MAX];
    size_t name_count;
    struct header_field fields[DKIM_FIELDS_MAX];
    bool used[DKIM_FIELDS_MAX];
    size_t field_count;
};

/* Blanks and folds may stand round the colons (RFC 6376 s.3.5). */
static bool split_names(struct span names, struct choice *c)
{
    struct span name;

    c->name_count = 0;
    while (span_cut(&names, ':', &name)) {
        if (c->name_count == DKIM_NAMES_MAX)
            return false;
        c->names[c->name_count++] = dkim_trim(name);
    }
    return true;
}

static bool is_listed(const struct choice *c, struct span name)
{
    for (size_t i = 0; i < c->name_count; i++)
        if (span_equal_nocase(c->names[i], name))
            return true;
    return false;
}

static bool find_fields(struct span header, struct choice *c)
{
    struct header_fields fields;
    struct header_field field;

    c->field_count = 0;
    header_fields_init(&fields, header);
    while (header_fields_next(&fields, &field)) {
        if (!is_listed(c, field.name))
            continue;
        if (c->field_count == DKIM_FIELDS_MAX)
            return false;
        c->used[c->field_count] = false;
        c->fields[c->field_count++] = field;
    }
    return true;
}

static bool take_lowest(struct choice *c, struct span name, struct span *out_field)
{
    for (size_t i = c->field_count; i > 0; i--) {
        if (c->used[i - 1] || !span_equal_nocase(c->fields[i - 1].name, name))
            continue;
        c->used[i - 1] = true;
        *out_field = c->fields[i - 1].whole;
        return true;
    }
    return false;
}

bool dkim_select_fields(struct span header, struct span names, struct dkim_selection *out)
{
    struct choice c;

    out->count = 0;
    if (!split_names(names, &c) || !find_fields(header, &c))
        return false;
    for (size_t i = 0; i < c.name_count; i++)
        if (take_lowest(&c, c.names[i], &out->fields[out->count]))
            out->count++;
    return true;
}
