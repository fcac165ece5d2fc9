#include "smtpd/lines.h"

#include "lib/base/limits.h"

/* The bytes before the first CRLF, or input.len. */
static size_t find_end(struct span input, size_t from)
{
    while (from < input.len) {
        from += span_find(span_from(input, from), '\n');
        if (from > 0 && from < input.len && input.data[from - 1] == '\r')
            return from - 1;
        from++;
    }
    return input.len;
}

static enum line_found discard(struct lines *lines, struct span input, size_t *out_used)
{
    size_t end = find_end(input, 0);
    bool has_ended = end < input.len;

    if (!has_ended && input.data[input.len - 1] == '\r')
        end--; /* its LF may follow */
    lines->discarded += end;
    *out_used = has_ended ? end + 2 : end;
    if (lines->discarded > SMTPD_COMMAND_DISCARD_MAX)
        return LINE_ENDLESS;
    if (!has_ended)
        return LINE_NONE;
    lines->discarded = 0;
    return LINE_TOO_LONG;
}

enum line_found lines_take(struct lines *lines, struct span input, struct span *out_line,
                           size_t *out_used)
{
    size_t most = lines->is_response ? SMTP_AUTH_LINE_MAX : SMTP_COMMAND_MAX;
    size_t len;

    *out_used = 0;
    if (input.len == 0)
        return LINE_NONE;
    if (lines->discarded > 0)
        return discard(lines, input, out_used);
    len = find_end(input, lines->scanned);
    lines->scanned = 0;
    if (len + 2 > most && input.len >= most)
        return discard(lines, input, out_used);
    if (len == input.len) {
        lines->scanned = input.len;
        return LINE_NONE;
    }
    *out_line = span_first(input, len);
    *out_used = len + 2;
    return LINE_WHOLE;
}
