#include "queue/notify_original.h"

#include <string.h>

#include "lib/mail/seven_bit.h"

enum { RET_HEADERS = 2 }; /* Envelope.ret */

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
           (envelope->smtputf8 || seven_bit_is(facts->original));
}

bool notify_write_original(const struct notify_facts *facts, struct buf *out)
{
    struct span headers = notify_headers(facts->original);
    bool is_utf8 = facts->message->envelope->smtputf8;

    if (returns_whole(facts))
        return buf_printf(out,
                          "Content-Type: message/%s\r\n"
                          "Content-Description: Undelivered message\r\n",
                          is_utf8 && !seven_bit_is(facts->original) ? "global" : "rfc822") &&
               seven_bit_write(out, facts->original);
    return buf_printf(out,
                      "Content-Type: %s\r\n"
                      "Content-Description: Headers of the message\r\n",
                      seven_bit_is(headers) ? "text/rfc822-headers"
                      : is_utf8             ? "message/global-headers"
                                            : "text/rfc822-headers; charset=utf-8") &&
           seven_bit_write(out, headers);
}
