#include "lib/mail/netstring.h"

#include <stdio.h>

enum { DIGITS_MAX = 6, HEAD_SIZE = 24 };

/* So many digits stand in front; without leading zeros, so that each length has one form. */
static bool length_is_wrong(struct span digits)
{
    for (size_t i = 0; i < digits.len; i++)
        if (!ascii_is_digit(digits.data[i]))
            return true;
    return digits.len > DIGITS_MAX || (digits.len > 1 && digits.data[0] == '0');
}

enum netstring_state netstring_read(struct span input, size_t most, struct span *out_payload,
                                    size_t *out_used)
{
    size_t colon = span_find(span_first(input, DIGITS_MAX + 1), ':');
    struct span digits = span_first(input, colon);
    uint64_t len;

    if (length_is_wrong(digits))
        return NETSTRING_WRONG;
    if (colon == input.len)
        return NETSTRING_PART;
    if (!span_to_number(digits, most, &len))
        return NETSTRING_WRONG;
    struct span rest = span_from(input, colon + 1);
    if (rest.len <= len)
        return NETSTRING_PART;
    if (rest.data[len] != ',')
        return NETSTRING_WRONG;
    *out_payload = span_first(rest, len);
    *out_used = colon + 1 + len + 1;
    return NETSTRING_WHOLE;
}

bool netstring_write(struct span payload, struct buf *out)
{
    char head[HEAD_SIZE];
    int len = snprintf(head, sizeof(head), "%zu:", payload.len);
    size_t room;

    if (!buf_reserve(out, (size_t)len + payload.len + 1, &room))
        return false;
    return buf_append(out, (struct span){ head, (size_t)len }) && buf_append(out, payload) &&
           buf_append(out, SPAN(","));
}
