#include "lib/base/span.h"

#include <string.h>

char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool ascii_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool ascii_is_alnum(char c)
{
    char lower = ascii_lower(c);
    return ascii_is_digit(c) || (lower >= 'a' && lower <= 'z');
}

int ascii_hex_value(char c)
{
    char lower = ascii_lower(c);

    if (ascii_is_digit(c))
        return c - '0';
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

struct span span_of(const char *text)
{
    return (struct span){ text, text ? strlen(text) : 0 };
}

struct span span_from(struct span s, size_t from)
{
    if (from >= s.len)
        return (struct span){ s.data ? s.data + s.len : NULL, 0 };
    return (struct span){ s.data + from, s.len - from };
}

struct span span_first(struct span s, size_t len)
{
    return (struct span){ s.data, len < s.len ? len : s.len };
}

bool span_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool span_equal_nocase(struct span a, struct span b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (ascii_lower(a.data[i]) != ascii_lower(b.data[i]))
            return false;
    return true;
}

bool span_starts_with(struct span s, struct span prefix)
{
    return s.len >= prefix.len && span_equal(span_first(s, prefix.len), prefix);
}

bool span_starts_with_nocase(struct span s, struct span prefix)
{
    return s.len >= prefix.len && span_equal_nocase(span_first(s, prefix.len), prefix);
}

bool span_ends_with_nocase(struct span s, struct span suffix)
{
    return s.len >= suffix.len && span_equal_nocase(span_from(s, s.len - suffix.len), suffix);
}

size_t span_find(struct span s, char byte)
{
    const char *hit = s.len > 0 ? memchr(s.data, byte, s.len) : NULL;
    return hit ? (size_t)(hit - s.data) : s.len;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct span span_trim(struct span s)
{
    while (s.len > 0 && is_blank(s.data[0]))
        s = span_from(s, 1);
    while (s.len > 0 && is_blank(s.data[s.len - 1]))
        s.len--;
    return s;
}

bool span_cut(struct span *rest, char separator, struct span *out_piece)
{
    if (!rest->data)
        return false;
    size_t at = span_find(*rest, separator);
    *out_piece = span_first(*rest, at);
    if (at == rest->len)
        *rest = (struct span){ NULL, 0 };
    else
        *rest = span_from(*rest, at + 1);
    return true;
}

bool span_to_number(struct span s, uint64_t max, uint64_t *out_value)
{
    uint64_t value = 0;

    if (s.len == 0 || s.len > 20)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (!ascii_is_digit(s.data[i]))
            return false;
        uint64_t digit = (uint64_t)(s.data[i] - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (value > max)
        return false;
    *out_value = value;
    return true;
}

bool span_is_ascii(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.data[i] > 0x7f)
            return false;
    return true;
}

bool span_is_printable(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] < 0x20 || s.data[i] > 0x7e)
            return false;
    return true;
}

bool span_to_string(struct span s, char *room, size_t size)
{
    room[0] = '\0';
    if (s.len >= size || span_find(s, '\0') < s.len)
        return false;
    if (s.len > 0)
        memcpy(room, s.data, s.len);
    room[s.len] = '\0';
    return true;
}
