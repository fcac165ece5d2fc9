#include "lib/mail/dkim_header.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct span without_line_end(struct span field)
{
    if (field.len >= 2 && field.data[field.len - 2] == '\r' && field.data[field.len - 1] == '\n')
        field.len -= 2;
    return field;
}

static bool append_name(struct span name, struct buf *out)
{
    size_t room;
    char *at;

    while (name.len > 0 && is_blank(name.data[name.len - 1]))
        name.len--;
    at = buf_reserve(out, name.len + 1, &room);
    if (!at)
        return false;
    for (size_t i = 0; i < name.len; i++)
        at[i] = ascii_lower(name.data[i]);
    at[name.len] = ':';
    buf_commit(out, name.len + 1);
    return true;
}

/* Unfolded, runs of blanks as one, none at the ends: what remains is never longer. */
static bool append_value(struct span value, struct buf *out)
{
    size_t room;
    size_t len = 0;
    bool has_blank = false;
    char *at = buf_reserve(out, value.len + 1, &room);

    if (!at)
        return false;
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] == '\r' && i + 1 < value.len && value.data[i + 1] == '\n') {
            i++;
        } else if (is_blank(value.data[i])) {
            has_blank = len > 0;
        } else {
            if (has_blank)
                at[len++] = ' ';
            has_blank = false;
            at[len++] = value.data[i];
        }
    }
    buf_commit(out, len);
    return true;
}

bool dkim_header_append(struct span field, enum dkim_canon canon, struct buf *out)
{
    size_t colon = span_find(field, ':');

    field = without_line_end(field);
    if (colon >= field.len)
        return false;
    if (canon == DKIM_SIMPLE)
        return buf_append(out, field);
    return append_name(span_first(field, colon), out) &&
           append_value(span_from(field, colon + 1), out);
}
