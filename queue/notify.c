#include "queue/notify.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/utf8.h"
#include "lib/ipc/channel.h"
#include "lib/mail/address.h"
#include "lib/mail/seven_bit.h"
#include "queue/notify_original.h"
#include "queue/notify_status.h"
#include "queue/notify_words.h"

enum { BOUNDARY_SIZE = 64 };

size_t notify_count(const struct notify_facts *facts, enum notify_action action)
{
    size_t count = 0;

    for (size_t i = 0; i < facts->count; i++)
        count += facts->recipients[i].action == action;
    return count;
}

/* ---- what comes from outside ---------------------------------------------------------------- */

static char clean_byte(char c)
{
    if (c == '\n' || c == '\r' || c == '\t')
        return ' ';
    return c >= ' ' && c <= '~' ? c : '?';
}

bool notify_clean(struct buf *out, struct span text, size_t most)
{
    struct span s = span_first(text, most);
    char piece[256];

    while (s.len > 0) {
        size_t len = s.len < sizeof(piece) ? s.len : sizeof(piece);
        for (size_t i = 0; i < len; i++)
            piece[i] = clean_byte(s.data[i]);
        if (!buf_append(out, (struct span){ piece, len }))
            return false;
        s = span_from(s, len);
    }
    return true;
}

bool notify_clean_utf8(struct buf *out, struct span text, size_t most)
{
    struct span s = span_first(text, most);
    bool ok = true;

    while (s.len > 0 && ok) {
        size_t len = utf8_character(s);
        ok = len > 1 ? buf_append(out, span_first(s, len)) : notify_clean(out, span_first(s, 1), 1);
        s = span_from(s, len > 1 ? len : 1);
    }
    return ok;
}

bool notify_clean_coded(struct buf *out, struct span text, size_t most)
{
    char coded[16]; /* of one character */
    size_t written = 0;
    bool ok = true;

    while (text.len > 0 && ok) {
        size_t len = utf8_character(text);
        struct span character = span_first(text, len > 1 ? len : 1);
        if (len > 1)
            snprintf(coded, sizeof(coded), "\\x{%02X}", (unsigned)utf8_point(character));
        written += len > 1 ? strlen(coded) : 1;
        if (written > most)
            break;
        ok = len > 1 ? buf_append(out, span_of(coded)) : notify_clean(out, character, 1);
        text = span_from(text, character.len);
    }
    return ok;
}

struct span notify_host(const struct notify_recipient *recipient)
{
    const Ipc__Decision *decision = recipient->decision;

    if (!decision || decision->n_candidates == 0)
        return SPAN("");
    return span_of_bytes(decision->candidates[decision->n_candidates - 1]->mx);
}

/* ---- the whole ------------------------------------------------------------------------------ */

/* One that does not occur in the original; in the other parts no line begins with it. */
static void choose_boundary(const struct notify_facts *facts, char boundary[BOUNDARY_SIZE])
{
    char id[QID_TEXT_SIZE];
    unsigned nth = 0;
    struct buf text;

    qid_format(facts->id, id);
    do {
        buf_init(&text, BOUNDARY_SIZE - 1);
        ensure(buf_printf(&text, "=_%s.%llx.%u", id, (unsigned long long)facts->now_ms, nth++));
        span_to_string(buf_span(&text), boundary, BOUNDARY_SIZE);
        buf_clear(&text);
    } while (facts->original.len > 0 &&
             memmem(facts->original.data, facts->original.len, boundary, strlen(boundary)));
}

/* In ASCII where the address has such a form, so that any host takes the notification. */
static bool write_to(const struct notify_facts *facts, struct buf *out)
{
    struct span to = facts->to;
    char ascii[ADDRESS_ASCII_SIZE];
    struct address address;

    if (address_parse_utf8(to, &address) == ADDRESS_FINE && address_to_ascii(&address, ascii))
        to = span_of(ascii);
    return buf_append(out, SPAN("To: <")) && notify_clean_utf8(out, to, sizeof(ascii)) &&
           buf_append(out, SPAN(">\r\n"));
}

static const char *subject_of(const struct notify_facts *facts)
{
    if (notify_count(facts, ACTION_FAILED) > 0)
        return "could not be delivered";
    if (notify_count(facts, ACTION_DELAYED) > 0)
        return "has not been delivered yet";
    return "was passed on";
}

static bool write_header(const struct notify_facts *facts, const char *type, const char *boundary,
                         struct buf *out)
{
    const struct notify_settings *settings = facts->settings;
    const char *postmaster = settings->postmaster;
    char date[CLOCK_TEXT_SIZE];
    char id[QID_TEXT_SIZE];

    clock_format_mail(facts->now_ms, date);
    qid_format(facts->id, id);
    return buf_printf(out,
                      "Date: %s\r\n"
                      "From: Mail Delivery System <%s%s>\r\n",
                      date, postmaster[0] ? "" : "MAILER-DAEMON@",
                      postmaster[0] ? postmaster : settings->hostname) &&
           write_to(facts, out) &&
           buf_printf(out,
                      "Subject: %s %s\r\n"
                      "Message-ID: <%s.%llx@%s>\r\n"
                      "Auto-Submitted: auto-replied\r\n"
                      "MIME-Version: 1.0\r\n"
                      "Content-Type: multipart/report; report-type=%s;\r\n"
                      "\tboundary=\"%s\"\r\n\r\n",
                      facts->for_postmaster ? "For the postmaster: a message" : "Your message",
                      subject_of(facts), id, (unsigned long long)facts->now_ms, settings->hostname,
                      type, boundary);
}

static bool write_parts(const struct notify_facts *facts, struct span words, struct span status,
                        struct buf *out)
{
    const char *type = span_is_ascii(status) ? "delivery-status" : "global-delivery-status";
    char boundary[BOUNDARY_SIZE];

    choose_boundary(facts, boundary);
    return write_header(facts, type, boundary, out) &&
           buf_printf(out, "--%s\r\nContent-Type: text/plain; charset=%s\r\n", boundary,
                      span_is_ascii(words) ? "us-ascii" : "utf-8") &&
           seven_bit_write(out, words) &&
           buf_printf(out,
                      "\r\n--%s\r\nContent-Type: message/%s\r\n"
                      "Content-Description: Delivery report\r\n",
                      boundary, type) &&
           seven_bit_write(out, status) && buf_printf(out, "\r\n--%s\r\n", boundary) &&
           notify_write_original(facts, out) && buf_printf(out, "\r\n--%s--\r\n", boundary);
}

bool notify_write(const struct notify_facts *facts, struct buf *out)
{
    struct buf words, status;

    buf_init(&words, NOTIFY_TEXT_MAX);
    buf_init(&status, NOTIFY_TEXT_MAX);
    bool ok = notify_write_words(facts, &words) && notify_write_status(facts, &status) &&
              write_parts(facts, buf_span(&words), buf_span(&status), out);
    buf_clear(&words);
    buf_clear(&status);
    return ok;
}
