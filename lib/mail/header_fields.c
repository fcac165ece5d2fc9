#include "lib/mail/header_fields.h"

/* Bytes of the line at the front, with its CRLF if it has one. */
static size_t line_length(struct span text)
{
    size_t end = span_find(text, '\n');

    return end < text.len ? end + 1 : end;
}

static bool is_continuation(struct span text)
{
    return text.len > 0 && (text.data[0] == ' ' || text.data[0] == '\t');
}

/* RFC 5322 s.2.2: printable ASCII but the colon; 0 when there is no name. */
static size_t name_length(struct span line)
{
    size_t len = 0;

    while (len < line.len && line.data[len] > ' ' && line.data[len] < 0x7f && line.data[len] != ':')
        len++;
    return len;
}

/* The bytes up to and with the colon; 0 when the line begins no field. */
static size_t colon_length(struct span line, struct span *out_name)
{
    size_t at = name_length(line);

    *out_name = span_first(line, at);
    while (is_continuation(span_from(line, at)))
        at++;
    return out_name->len > 0 && at < line.len && line.data[at] == ':' ? at + 1 : 0;
}

static size_t field_length(struct span text)
{
    size_t len = line_length(text);

    while (is_continuation(span_from(text, len)))
        len += line_length(span_from(text, len));
    return len;
}

static struct span without_line_end(struct span text)
{
    if (text.len > 0 && text.data[text.len - 1] == '\n')
        text.len--;
    if (text.len > 0 && text.data[text.len - 1] == '\r')
        text.len--;
    return text;
}

/* "From ada Fri Jan 30"; but "From : ada" is a field (RFC 5322 s.4.5). */
static bool is_of_mbox(struct span line)
{
    struct span name;

    return span_starts_with(line, SPAN(">From ")) ||
           (span_starts_with(line, SPAN("From ")) && colon_length(line, &name) == 0);
}

void header_fields_init(struct header_fields *fields, struct span block)
{
    struct span line = span_first(block, line_length(block));

    fields->rest = is_of_mbox(line) ? span_from(block, line.len) : block;
}

bool header_fields_next(struct header_fields *fields, struct header_field *out)
{
    struct span line = span_first(fields->rest, line_length(fields->rest));
    size_t begin = colon_length(line, &out->name);

    if (begin == 0)
        return false;
    out->whole = span_first(fields->rest, field_length(fields->rest));
    out->body = without_line_end(span_from(out->whole, begin));
    fields->rest = span_from(fields->rest, out->whole.len);
    return true;
}

bool header_fields_skip(struct header_fields *fields)
{
    struct span line = span_first(fields->rest, line_length(fields->rest));

    if (without_line_end(line).len == 0)
        return false;
    fields->rest = span_from(fields->rest, line.len);
    return true;
}
