#include "queue/notify_original.h"

#include <string.h>

enum {
    LINE_MAX_OCTETS = 998,
    QP_LINE_MAX = 73, /* RFC 2045 s.6.7, with a soft line break */
    RET_HEADERS = 2,  /* Envelope.ret */
};

static bool is_lone(struct span s, size_t at)
{
    if (s.data[at] == '\r')
        return at + 1 >= s.len || s.data[at + 1] != '\n';
    return s.data[at] == '\n' && (at == 0 || s.data[at - 1] != '\r');
}

/* Fits "7bit": ASCII without NUL, lines of at most 998 that end with CRLF (RFC 2045 s.2.7). */
static bool is_seven_bit(struct span s)
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

struct span notify_headers(struct span original)
{
    struct span head = span_first(original, NOTIFY_HEADERS_MAX);
    const char *end = head.len > 0 ? memmem(head.data, head.len, "\r\n\r\n", 4) : NULL;

    if (end)
        return span_first(head, (size_t)(end - head.data) + 2);
    while (head.len > 0 && head.data[head.len - 1] != '\n')
        head.len--;
    return head;
}

/* Quoted-printable, for headers that are not ASCII or have endless lines (RFC 2045 s.6.7). */
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

/*
 * RFC 3461 s.6.2: only what has failed comes back whole; RFC 8689 s.5 wants headers alone.  Eight
 * bits of a message without SMTPUTF8 may not go where the notification goes.
 */
static bool returns_whole(const struct notify_facts *facts)
{
    const Ipc__Envelope *envelope = facts->message->envelope;

    if (facts->is_copy || envelope->requiretls || envelope->ret == RET_HEADERS)
        return false;
    return notify_count(facts, ACTION_FAILED) > 0 && facts->original_is_whole &&
           (envelope->smtputf8 || is_seven_bit(facts->original));
}

/* As it is, or, where it is not 7-bit, quoted, which any host takes (RFC 6533 s.4.5). */
bool notify_write_body(struct buf *out, struct span body)
{
    if (is_seven_bit(body))
        return buf_append(out, SPAN("\r\n")) && buf_append(out, body);
    return buf_append(out, SPAN("Content-Transfer-Encoding: quoted-printable\r\n\r\n")) &&
           write_quoted(out, body);
}

bool notify_write_original(const struct notify_facts *facts, struct buf *out)
{
    struct span headers = notify_headers(facts->original);
    bool is_utf8 = facts->message->envelope->smtputf8;

    if (returns_whole(facts))
        return buf_printf(out,
                          "Content-Type: message/%s\r\n"
                          "Content-Description: Undelivered message\r\n",
                          is_utf8 && !is_seven_bit(facts->original) ? "global" : "rfc822") &&
               notify_write_body(out, facts->original);
    return buf_printf(out,
                      "Content-Type: %s\r\n"
                      "Content-Description: Headers of the message\r\n",
                      is_seven_bit(headers) ? "text/rfc822-headers"
                      : is_utf8             ? "message/global-headers"
                                            : "text/rfc822-headers; charset=utf-8") &&
           notify_write_body(out, headers);
}
