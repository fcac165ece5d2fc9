#include "tlsrpt/reader_decode.h"

#include "lib/base/base64.h"

enum reader_encoding reader_encoding_of(struct span field)
{
    struct span word = span_trim(span_first(field, span_find(field, ';')));

    if (span_equal_nocase(word, SPAN("base64")))
        return ENCODING_BASE64;
    if (span_equal_nocase(word, SPAN("quoted-printable")))
        return ENCODING_QUOTED_PRINTABLE;
    return ENCODING_NONE;
}

static bool is_letter(char c)
{
    return ascii_is_alnum(c) || c == '+' || c == '/';
}

/* Letters alone, up to the "=" that ends them. */
static struct span only_letters(struct span text, char *room)
{
    size_t len = 0;

    for (size_t i = 0; i < text.len && text.data[i] != '='; i++)
        if (is_letter(text.data[i]))
            room[len++] = text.data[i];
    return (struct span){ room, len };
}

/* The last group, of two or three letters; its stray bits do not count. */
static void decode_rest(struct span letters, struct buf *out)
{
    char group[4] = { 'A', 'A', 'A', 'A' };
    struct span bytes;
    struct buf whole;

    if (letters.len < 2)
        return;
    for (size_t i = 0; i < letters.len; i++)
        group[i] = letters.data[i];
    buf_init(&whole, sizeof(group));
    ensure(base64_decode((struct span){ group, sizeof(group) }, &whole));
    bytes = span_first(buf_span(&whole), letters.len - 1);
    ensure(buf_append(out, bytes));
    buf_clear(&whole);
}

static void decode_base64(struct span text, struct buf *out)
{
    struct buf room;
    size_t size;
    struct span letters;
    char *at;

    if (text.len == 0)
        return;
    buf_init(&room, text.len);
    at = buf_reserve(&room, text.len, &size);
    ensure(at != NULL);
    letters = only_letters(text, at);
    ensure(base64_decode(span_first(letters, letters.len / 4 * 4), out));
    decode_rest(span_from(letters, letters.len / 4 * 4), out);
    buf_clear(&room);
}

/* The byte that "=3D" stands for; false for anything else. */
static bool hex_byte(struct span text, char *out)
{
    int high = text.len > 2 ? ascii_hex_value(text.data[1]) : -1;
    int low = text.len > 2 ? ascii_hex_value(text.data[2]) : -1;

    *out = (char)(high * 16 + low);
    return high >= 0 && low >= 0;
}

/* Bytes of "=" with blanks and a line's end behind it, which joins two lines; 0 for none. */
static size_t soft_break(struct span text)
{
    size_t at = 1;

    while (at < text.len && (text.data[at] == ' ' || text.data[at] == '\t'))
        at++;
    if (at < text.len && text.data[at] == '\r')
        at++;
    if (at == text.len)
        return at;
    return text.data[at] == '\n' ? at + 1 : 0;
}

/* What stands behind an "=", or that byte itself where it means nothing; gives the bytes used. */
static size_t decode_equals(struct span text, struct buf *out)
{
    size_t used = soft_break(text);
    char byte;

    if (used > 0)
        return used;
    if (hex_byte(text, &byte)) {
        ensure(buf_append(out, (struct span){ &byte, 1 }));
        return 3;
    }
    ensure(buf_append(out, span_first(text, 1)));
    return 1;
}

static void decode_quoted(struct span text, struct buf *out)
{
    while (text.len > 0) {
        size_t plain = span_find(text, '=');
        ensure(buf_append(out, span_first(text, plain)));
        text = span_from(text, plain);
        if (text.len > 0)
            text = span_from(text, decode_equals(text, out));
    }
}

void reader_decode(enum reader_encoding encoding, struct span text, struct buf *out)
{
    switch (encoding) {
    case ENCODING_BASE64:
        decode_base64(text, out);
        break;
    case ENCODING_QUOTED_PRINTABLE:
        decode_quoted(text, out);
        break;
    case ENCODING_NONE:
    default:
        ensure(buf_append(out, text));
        break;
    }
}
