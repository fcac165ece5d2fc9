#include "queue/signatures.h"

#include "lib/mail/dkim_tags.h"
#include "lib/mail/header_fields.h"

/* Printable ASCII, blanks and tabs, and CRLF as the end of each line. */
static bool is_clean(struct span fields)
{
    for (size_t i = 0; i < fields.len; i++) {
        unsigned char c = (unsigned char)fields.data[i];
        bool is_line_end = c == '\r' && i + 1 < fields.len && fields.data[i + 1] == '\n';
        if (is_line_end)
            i++;
        else if (c != '\t' && (c < ' ' || c > '~'))
            return false;
    }
    return fields.len >= 2 && span_equal(span_from(fields, fields.len - 2), SPAN("\r\n"));
}

/* A word that can stand in a list of them. */
static bool is_word(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] <= ' ' || text.data[i] == ',')
            return false;
    return text.len > 0;
}

/* Beyond the bound a name is left out, and nothing else. */
static void add_name(struct buf *names, struct span domain, struct span selector)
{
    if (buf_len(names) + domain.len + selector.len + 2 > SIGNATURES_NAMES_MAX)
        return;
    (void)!buf_printf(names, "%s" SPAN_FMT ":" SPAN_FMT, buf_len(names) > 0 ? "," : "",
                      SPAN_ARG(domain), SPAN_ARG(selector));
}

static bool read_field(const struct header_field *field, struct buf *signed_by)
{
    struct dkim_tags tags;
    struct span domain;
    struct span selector;

    if (!span_equal_nocase(field->name, SPAN("DKIM-Signature")) ||
        !dkim_tags_parse(field->body, &tags) || !dkim_tags_find(&tags, "d", &domain) ||
        !dkim_tags_find(&tags, "s", &selector) || !is_word(domain) || !is_word(selector))
        return false;
    add_name(signed_by, domain, selector);
    return true;
}

bool signatures_read(struct span fields, struct buf *signed_by)
{
    struct header_fields walk;
    struct header_field field;

    if (fields.len > SIGNATURES_MAX || !is_clean(fields))
        return false;
    header_fields_init(&walk, fields);
    if (walk.rest.len < fields.len) /* it stepped over a line that is no field */
        return false;
    while (header_fields_next(&walk, &field))
        if (!read_field(&field, signed_by))
            return false;
    return walk.rest.len == 0;
}
