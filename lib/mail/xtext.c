#include "lib/mail/xtext.h"

#include "lib/base/utf8.h"

/* RFC 3461 s.4: a digit in lower case is none. */
static int upper_hex_value(char c)
{
    return c >= 'a' ? -1 : ascii_hex_value(c);
}

/* The byte that "+XY" stands for; -1: none. */
static int coded_byte(struct span text)
{
    int high, low;

    if (text.len < 3)
        return -1;
    high = upper_hex_value(text.data[1]);
    low = upper_hex_value(text.data[2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* The byte at the front of the text, and how many bytes say it; -1: none. */
static int any_byte(struct span text, size_t *out_used)
{
    char c = text.data[0];

    *out_used = c == '+' ? 3 : 1;
    if (c == '+')
        return coded_byte(text);
    return c > ' ' && c <= '~' && c != '=' ? c : -1;
}

/* The same, of those that are printable ASCII. */
static int first_byte(struct span text, size_t *out_used)
{
    int byte = any_byte(text, out_used);

    return byte >= ' ' && byte <= '~' ? byte : -1;
}

bool xtext_decode(struct span text, char *room, size_t *out_len)
{
    size_t len = 0;

    while (text.len > 0) {
        size_t used;
        int byte = first_byte(text, &used);
        if (byte < 0)
            return false;
        room[len++] = (char)byte;
        text = span_from(text, used);
    }
    *out_len = len;
    return true;
}

bool xtext_is_valid(struct span text)
{
    while (text.len > 0) {
        size_t used;
        if (first_byte(text, &used) < 0)
            return false;
        text = span_from(text, used);
    }
    return true;
}

/* --- addresses of type "utf-8" (RFC 6533 s.3) */

enum { POINT_DIGITS_MAX = 6 };

/* May such a character stand in an address?  No control characters, no halves of one. */
static bool is_point(uint32_t point)
{
    if (point < 0x80)
        return point == ' ' || point == '+' || point == '=' || point == '\\';
    return point >= 0xa0 && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
}

static bool is_address(struct span text)
{
    while (text.len > 0) {
        size_t len = utf8_character(text);
        bool is_printable = len == 1 && text.data[0] >= ' ' && text.data[0] <= '~';
        if (!is_printable && (len < 2 || !is_point(utf8_point(span_first(text, len)))))
            return false;
        text = span_from(text, len);
    }
    return true;
}

bool xtext_decode_utf8(struct span text, char *room, size_t *out_len)
{
    size_t len = 0, used;

    for (; text.len > 0; text = span_from(text, used)) {
        int byte = any_byte(text, &used);
        if (byte < 0)
            return false;
        room[len++] = (char)byte;
    }
    *out_len = len;
    return is_address((struct span){ room, len });
}

/* The character that "\x{C4}" at the front stands for; 0 for none. */
static uint32_t coded_point(struct span text, size_t *out_used)
{
    struct span digits = span_from(text, 3);
    uint32_t point = 0;

    if (!span_starts_with(text, SPAN("\\x{")))
        return 0;
    digits = span_first(digits, span_find(digits, '}'));
    *out_used = 3 + digits.len + 1;
    if (*out_used > text.len || digits.len < 2 || digits.len > POINT_DIGITS_MAX)
        return 0;
    for (size_t i = 0; i < digits.len; i++) {
        int value = ascii_hex_value(digits.data[i]);
        if (value < 0)
            return 0;
        point = point * 16 + (uint32_t)value;
    }
    return is_point(point) ? point : 0;
}

/* The character at the front, and how many bytes say it; 0: not of this form. */
static uint32_t first_point(struct span text, size_t *out_used)
{
    uint32_t point = coded_point(text, out_used);
    size_t len = utf8_character(text);
    int byte;

    if (point > 0)
        return point;
    if (len <= 1) {
        byte = first_byte(text, out_used);
        return byte < 0 ? 0 : (uint32_t)byte;
    }
    *out_used = len;
    point = utf8_point(span_first(text, len));
    return is_point(point) ? point : 0;
}

bool xtext_utf8_is_valid(struct span text)
{
    size_t used;

    for (; text.len > 0; text = span_from(text, used))
        if (first_point(text, &used) == 0)
            return false;
    return true;
}

bool xtext_utf8_decode(struct span text, struct buf *out)
{
    char room[UTF8_CHARACTER_MAX];
    size_t used;

    for (; text.len > 0; text = span_from(text, used)) {
        uint32_t point = first_point(text, &used);
        if (point == 0 || !buf_append(out, (struct span){ room, utf8_write(point, room) }))
            return false;
    }
    return true;
}

bool xtext_utf8_to_ascii(struct span text, struct buf *out)
{
    size_t used;

    for (; text.len > 0; text = span_from(text, used)) {
        uint32_t point = first_point(text, &used);
        bool is_raw = (unsigned char)text.data[0] >= 0x80;
        if (point == 0 || !(is_raw ? buf_printf(out, "\\x{%02X}", (unsigned)point)
                                   : buf_append(out, span_first(text, used))))
            return false;
    }
    return true;
}
