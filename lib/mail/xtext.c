#include "lib/mail/xtext.h"

static int upper_hex_value(char c)
{
    if (ascii_is_digit(c))
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte that "+XY" stands for; -1 for none that is printable. */
static int coded_byte(struct span text)
{
    int high, low;

    if (text.len < 3)
        return -1;
    high = upper_hex_value(text.data[1]);
    low = upper_hex_value(text.data[2]);
    if (high < 0 || low < 0)
        return -1;
    return high * 16 + low >= ' ' && high * 16 + low <= '~' ? high * 16 + low : -1;
}

/* The byte at the front of the text, and how many bytes say it; -1: none. */
static int first_byte(struct span text, size_t *out_used)
{
    char c = text.data[0];

    *out_used = c == '+' ? 3 : 1;
    if (c == '+')
        return coded_byte(text);
    return c > ' ' && c <= '~' && c != '=' ? c : -1;
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
