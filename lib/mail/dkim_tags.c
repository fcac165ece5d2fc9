#include "lib/mail/dkim_tags.h"

static bool is_white(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct span dkim_trim(struct span text)
{
    while (text.len > 0 && is_white(text.data[0]))
        text = span_from(text, 1);
    while (text.len > 0 && is_white(text.data[text.len - 1]))
        text.len--;
    return text;
}

/* ALPHA *ALNUMPUNC (RFC 6376 s.3.2). */
static bool is_name(struct span name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!ascii_is_alnum(name.data[i]) && name.data[i] != '_')
            return false;
    return name.len > 0 && name.data[0] != '_' && !ascii_is_digit(name.data[0]);
}

/* Printable, or white space; UTF-8 since RFC 8616 s.5. */
static bool is_value(struct span value)
{
    for (size_t i = 0; i < value.len; i++)
        if ((unsigned char)value.data[i] < ' ' && !is_white(value.data[i]))
            return false;
    return span_find(value, 0x7f) == value.len;
}

static bool add(struct dkim_tags *tags, struct span piece)
{
    size_t equals = span_find(piece, '=');
    struct dkim_tag tag = { dkim_trim(span_first(piece, equals)),
                            dkim_trim(span_from(piece, equals + 1)) };

    if (equals == piece.len || !is_name(tag.name) || !is_value(tag.value))
        return false;
    if (tags->count == DKIM_TAGS_MAX)
        return false;
    for (size_t i = 0; i < tags->count; i++)
        if (span_equal(tags->tags[i].name, tag.name))
            return false;
    tags->tags[tags->count++] = tag;
    return true;
}

bool dkim_tags_parse(struct span text, struct dkim_tags *out)
{
    struct span piece;

    out->count = 0;
    while (span_cut(&text, ';', &piece)) {
        if (dkim_trim(piece).len == 0 && !text.data && out->count > 0)
            return true; /* the last ";" may be there or not */
        if (!add(out, piece))
            return false;
    }
    return out->count > 0;
}

bool dkim_tags_find(const struct dkim_tags *tags, const char *name, struct span *out_value)
{
    for (size_t i = 0; i < tags->count; i++) {
        if (!span_equal(tags->tags[i].name, span_of(name)))
            continue;
        *out_value = tags->tags[i].value;
        return true;
    }
    return false;
}
