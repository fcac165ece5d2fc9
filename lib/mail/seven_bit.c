#include "lib/mail/seven_bit.h"

enum {
    LINE_MAX_OCTETS = 998,
    QP_LINE_MAX = 73, /* RFC 2045 s.6.7, with a soft line break */
};

static bool is_lone(struct span s, size_t at)
{
    if (s.data[at] == '\r')
        return at + 1 >= s.len || s.data[at + 1] != '\n';
    return s.data[at] == '\n' && (at == 0 || s.data[at - 1] != '\r');
}

bool seven_bit_is(struct span s)
{
    size_t column = 0;

    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        column = c == '\n' ? 0 : c == '\r' ? column : column + 1;
        if (c == 0 || c > 0x7f || column > LINE_MAX_OCTETS || is_lone(s, i))
            return false;
    }
    return true;
}

/* RFC 2045 s.6.7 */
static bool write_quoted(struct buf *out, struct span s)
{
    size_t column = 0;
    bool ok = true;

    for (size_t i = 0; i < s.len && ok; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (c == '\r' && i + 1 < s.len && s.data[i + 1] == '\n') {
            ok = buf_append(out, SPAN("\r\n"));
            column = 0;
            i++;
            continue;
        }
        if (column >= QP_LINE_MAX - 3) {
            ok = buf_append(out, SPAN("=\r\n"));
            column = 0;
        }
        bool at_end = i + 1 >= s.len || s.data[i + 1] == '\r';
        bool plain = (c > ' ' && c <= '~' && c != '=') || (c == ' ' && !at_end);
        ok = ok && (plain ? buf_append(out, span_first(span_from(s, i), 1))
                          : buf_printf(out, "=%02X", c));
        column += plain ? 1 : 3;
    }
    return ok;
}

bool seven_bit_write(struct buf *out, struct span body)
{
    if (seven_bit_is(body))
        return buf_append(out, SPAN("\r\n")) && buf_append(out, body);
    return buf_append(out, SPAN("Content-Transfer-Encoding: quoted-printable\r\n\r\n")) &&
           write_quoted(out, body);
}
