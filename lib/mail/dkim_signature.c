#include "lib/mail/dkim_signature.h"

#include "lib/base/base64.h"
#include "lib/mail/dkim_header.h"
#include "lib/mail/dkim_select.h"
#include "lib/mail/dkim_tags.h"
#include "lib/mail/domain.h"
#include "lib/mail/header_fields.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A field that grows word by word and is folded before a word that would make a line too long. */
struct folder {
    struct buf *out;
    size_t column;
    bool fits;
};

static void put(struct folder *f, struct span text)
{
    f->fits = f->fits && buf_append(f->out, text);
    f->column += text.len;
}

static void fold(struct folder *f)
{
    put(f, SPAN("\r\n "));
    f->column = 1;
}

/* A tag of the list, with the blank or fold in front and the ";" behind. */
static void put_tag(struct folder *f, const char *text)
{
    struct span tag = span_of(text);

    if (f->column + 1 + tag.len + 1 > DKIM_LINE_MAX)
        fold(f);
    else
        put(f, SPAN(" "));
    put(f, tag);
    put(f, SPAN(";"));
}

/* h= on lines of its own, folded behind colons. */
static void put_names(struct folder *f, struct span names)
{
    struct span name;

    fold(f);
    put(f, SPAN("h="));
    while (span_cut(&names, ':', &name)) {
        if (f->column + name.len + 1 > DKIM_LINE_MAX)
            fold(f);
        put(f, name);
        put(f, names.data ? SPAN(":") : SPAN(";"));
    }
}

static void put_body_hash(struct folder *f, struct span sha256)
{
    struct buf text;

    buf_init(&text, BASE64_SIZE(DKIM_SHA256_SIZE) + 1);
    fold(f);
    put(f, SPAN("bh="));
    f->fits = f->fits && base64_encode(sha256, &text);
    put(f, buf_span(&text));
    put(f, SPAN(";"));
    buf_clear(&text);
}

static void put_what(struct folder *f, const struct dkim_signing *s)
{
    char tag[DOMAIN_MAX + 64];

    snprintf(tag, sizeof(tag), "a=%s", dkim_algorithm_name(s->algorithm));
    put_tag(f, "v=1");
    put_tag(f, tag);
    snprintf(tag, sizeof(tag), "c=%s/%s", dkim_canon_name(s->header), dkim_canon_name(s->body));
    put_tag(f, tag);
}

static void put_who_and_when(struct folder *f, const struct dkim_signing *s)
{
    char tag[DOMAIN_MAX + 64];

    snprintf(tag, sizeof(tag), "d=" SPAN_FMT, SPAN_ARG(s->domain));
    put_tag(f, tag);
    snprintf(tag, sizeof(tag), "s=" SPAN_FMT, SPAN_ARG(s->selector));
    put_tag(f, tag);
    snprintf(tag, sizeof(tag), "t=%" PRId64, s->signed_utc_s);
    put_tag(f, tag);
    snprintf(tag, sizeof(tag), "x=%" PRId64, s->expires_utc_s);
    put_tag(f, tag);
}

static bool is_in_order(const struct dkim_signing *s)
{
    return domain_is_host(s->domain) && dkim_selector_is_valid(s->selector) &&
           s->body_sha256.len == DKIM_SHA256_SIZE && s->signed_utc_s >= 0 &&
           s->expires_utc_s > s->signed_utc_s;
}

const char *dkim_signature_open(const struct dkim_signing *signing, struct span header,
                                struct buf *out)
{
    struct folder f = { .out = out, .fits = true };
    struct buf names;
    const char *fault;

    ensure(is_in_order(signing));
    buf_init(&names, DKIM_FIELD_MAX / 2);
    fault = dkim_select_names(header, &names);
    if (!fault) {
        put(&f, SPAN("DKIM-Signature:"));
        put_what(&f, signing);
        put_who_and_when(&f, signing);
        put_names(&f, buf_span(&names));
        put_body_hash(&f, signing->body_sha256);
        fold(&f);
        put(&f, SPAN("b="));
        fault = f.fits ? NULL : "the signature's field would be too long";
    }
    buf_clear(&names);
    return fault;
}

/* The tags of a DKIM-Signature field given whole. */
static bool tags_of(struct span field, struct dkim_tags *out)
{
    size_t colon = span_find(field, ':');

    return colon < field.len && dkim_tags_parse(span_from(field, colon + 1), out);
}

bool dkim_signature_input(struct span header, struct span field, enum dkim_canon canon,
                          struct buf *out)
{
    struct dkim_selection selection;
    struct dkim_tags tags;
    struct span names;

    if (!tags_of(field, &tags) || !dkim_tags_find(&tags, "h", &names) ||
        !dkim_select_fields(header, names, &selection))
        return false;
    for (size_t i = 0; i < selection.count; i++)
        if (!dkim_header_append(selection.fields[i], canon, out) || !buf_append(out, SPAN("\r\n")))
            return false;
    return dkim_header_append(field, canon, out); /* without CRLF (RFC 6376 s.3.7) */
}

bool dkim_signature_close(struct span field, struct span signature, struct buf *out)
{
    struct folder f = { .out = out, .column = 3, .fits = true };
    struct span rest;
    struct buf text;

    buf_init(&text, BASE64_SIZE(DKIM_SIGNATURE_MAX) + 1);
    f.fits = buf_append(out, field) && base64_encode(signature, &text);
    for (rest = buf_span(&text); rest.len > 0;) {
        struct span line = span_first(rest, DKIM_LINE_MAX - f.column);
        put(&f, line);
        rest = span_from(rest, line.len);
        if (rest.len > 0)
            fold(&f);
    }
    buf_clear(&text);
    return f.fits && buf_append(out, SPAN("\r\n"));
}

static bool is_of(struct span field, struct span domain)
{
    struct dkim_tags tags;
    struct span value;
    char normal[DOMAIN_MAX + 1];

    return tags_of(field, &tags) && dkim_tags_find(&tags, "d", &value) &&
           domain_normalize(value, normal) && span_equal_nocase(span_of(normal), domain);
}

bool dkim_signature_is_there(struct span header, struct span domain)
{
    struct header_fields fields;
    struct header_field field;

    header_fields_init(&fields, header);
    while (header_fields_next(&fields, &field))
        if (span_equal_nocase(field.name, SPAN("DKIM-Signature")) && is_of(field.whole, domain))
            return true;
    return false;
}
