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
    bool over; /* once more than it is there (DKIM-37) */
} signables[] = {
    { NAME("From"), true },
    { NAME("To"), true },
    { NAME("Cc"), true },
    { NAME("Subject"), true },
    { NAME("Date"), true },
    { NAME("Reply-To"), true },
    { NAME("Sender"), true },
    { NAME("Message-ID"), true },
    { NAME("In-Reply-To"), true },
    { NAME("References"), true },
    { NAME("MIME-Version"), true },
    { NAME("Content-Type"), true },
    { NAME("Content-Transfer-Encoding"), true },
    { NAME("Content-ID"), false },
    { NAME("Content-Description"), false },
    { NAME("Content-Disposition"), false },
    { NAME("Resent-Date"), false },
    { NAME("Resent-From"), false },
    { NAME("Resent-Sender"), false },
    { NAME("Resent-To"), false },
    { NAME("Resent-Cc"), false },
    { NAME("Resent-Message-ID"), false },
    { NAME("List-Id"), false },
    { NAME("List-Help"), false },
    { NAME("List-Unsubscribe"), false },
    { NAME("List-Unsubscribe-Post"), false },
    { NAME("List-Subscribe"), false },
    { NAME("List-Post"), false },
    { NAME("List-Owner"), false },
    { NAME("List-Archive"), false },
    { NAME("Auto-Submitted"), false },
    { NAME("TLS-Required"), false },
    { NAME("TLS-Report-Domain"), false }, /* RFC 8460 s.5.3 */
    { NAME("TLS-Report-Submitter"), false },
};

enum { SIGNABLES = sizeof(signables) / sizeof(signables[0]) };

static void count_field(struct span name, unsigned counts[SIGNABLES])
{
    for (size_t i = 0; i < SIGNABLES; i++)
        if (span_equal_nocase(name, signables[i].name))
            counts[i]++;
}

/* False when a line that is no field stands in the block: readers do not agree what follows it. */
static bool count_fields(struct span header, unsigned counts[SIGNABLES])
{
    struct header_fields fields;
    struct header_field field;

    header_fields_init(&fields, header);
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

const char *dkim_select_names(struct span header, struct buf *out)
{
    unsigned counts[SIGNABLES] = { 0 };
    const char *separator = "";
    const char *fault;

    if (!count_fields(header, counts))
        return "the header has a line that is no field";
    fault = fault_of(counts);
    for (size_t i = 0; !fault && i < SIGNABLES; i++) {
        unsigned times = counts[i] + (signables[i].over ? 1 : 0);
        for (; !fault && times > 0; times--) {
            if (!buf_printf(out, "%s" SPAN_FMT, separator, SPAN_ARG(signables[i].name)))
                fault = "the header has too many fields";
            separator = ":";
        }
    }
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
