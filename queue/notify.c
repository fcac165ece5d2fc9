#include "queue/notify.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/network.h"
#include "lib/ipc/channel.h"
#include "lib/mail/envelope.h"
#include "lib/mail/xtext.h"
#include "queue/notify_words.h"

enum {
    FIELD_MAX = 900, /* of one field's text: lines stay below 998 (RFC 5322 s.2.1.1) */
    LINE_MAX_OCTETS = 998,
    DIAGNOSTIC_LINES_MAX = 20,
    BOUNDARY_SIZE = 64,
    QP_LINE_MAX = 73, /* RFC 2045 s.6.7, with a soft line break */
};

bool notify_is_due(const Queue__MessageRecord *message, const Queue__RecipientRecord *recipient)
{
    uint32_t notify = recipient->recipient->notify;

    if (message->notification || message->envelope->reverse_path->text.len == 0)
        return false; /* RFC 5321 s.6.1: never for <> */
    return notify == 0 || (notify & NOTIFY_FAILURE);
}

bool notify_relay_is_due(const Queue__MessageRecord *message,
                         const Queue__RecipientRecord *recipient)
{
    if (message->notification || message->envelope->reverse_path->text.len == 0)
        return false;
    return (recipient->recipient->notify & NOTIFY_SUCCESS) != 0;
}

size_t notify_failures(const struct notify_facts *facts)
{
    size_t failures = 0;

    for (size_t i = 0; i < facts->count; i++)
        failures += !facts->recipients[i].relayed;
    return failures;
}

/* ---- the fields of the status part (RFC 3464 s.2) ------------------------------------------- */

static bool write_field(struct buf *out, const char *name, const char *type, struct span text)
{
    return buf_append(out, span_of(name)) && buf_append(out, SPAN(": ")) &&
           buf_append(out, span_of(type)) && notify_clean(out, text, FIELD_MAX) &&
           buf_append(out, SPAN("\r\n"));
}

/* An address, in UTF-8 where it is that (RFC 6533 s.3). */
static bool write_address_field(struct buf *out, const char *name, struct span address)
{
    return buf_printf(out, "%s: %s", name, span_is_ascii(address) ? "rfc822; " : "utf-8; ") &&
           notify_clean_utf8(out, address, FIELD_MAX) && buf_append(out, SPAN("\r\n"));
}

/* What an xtext stands for (RFC 3461 s.4); what is no xtext stays as it is. */
static struct span decode(struct span text, char room[ORCPT_MAX + 1])
{
    size_t len;

    if (text.len > ORCPT_MAX || !xtext_decode(text, room, &len))
        return text;
    return (struct span){ room, len };
}

static bool write_date(struct buf *out, const char *name, int64_t utc_ms)
{
    char date[CLOCK_TEXT_SIZE];

    clock_format_mail(utc_ms, date);
    return write_field(out, name, "", span_of(date));
}

static bool write_received_from(const Ipc__Envelope *envelope, struct buf *out)
{
    struct ip_address address = { .family =
                                      envelope->client_address.len == 4 ? ADDRESS_V4 : ADDRESS_V6 };
    char text[NETWORK_TEXT_SIZE];
    size_t len = envelope->client_address.len;

    if (envelope->client_name.len == 0)
        return true;
    bool ok = buf_append(out, SPAN("Received-From-MTA: dns; ")) &&
              notify_clean(out, span_of_bytes(envelope->client_name), FIELD_MAX);
    if (ok && (len == 4 || len == 16)) {
        memcpy(address.bytes, envelope->client_address.data, len);
        ip_address_format(&address, text);
        ok = buf_printf(out, " ([%s])", text);
    }
    return ok && buf_append(out, SPAN("\r\n"));
}

static bool write_message_fields(const struct notify_facts *facts, struct buf *out)
{
    const Ipc__Envelope *envelope = facts->message->envelope;
    char room[ORCPT_MAX + 1];
    bool ok = write_field(out, "Reporting-MTA", "dns; ", span_of(facts->identity->hostname));

    if (ok && envelope->envid.len > 0)
        ok = write_field(out, "Original-Envelope-Id", "",
                         decode(span_of_bytes(envelope->envid), room));
    return ok && write_received_from(envelope, out) &&
           write_date(out, "Arrival-Date", facts->message->accepted_utc_ms);
}

static bool write_original(struct buf *out, struct span type, struct span address)
{
    return buf_append(out, SPAN("Original-Recipient: ")) && notify_clean(out, type, FIELD_MAX) &&
           buf_append(out, SPAN("; ")) && notify_clean_utf8(out, address, FIELD_MAX) &&
           buf_append(out, SPAN("\r\n"));
}

/* What an ORCPT stands for; of a type that is not "utf-8" it is an xtext, and mostly ASCII. */
static bool decode_address(struct span type, struct span coded, struct buf *out)
{
    char room[ORCPT_MAX + 1];
    size_t len;

    if (span_equal_nocase(type, SPAN("utf-8")) && xtext_utf8_decode(coded, out))
        return true;
    buf_reset(out);
    return coded.len <= ORCPT_MAX && xtext_decode_utf8(coded, room, &len) &&
           buf_append(out, (struct span){ room, len });
}

/*
 * RFC 3461 s.4.2: "rfc822;Bob+2Blist@example.com"; RFC 6533 s.3: "utf-8;b\x{E4}r@example.com".  In
 * UTF-8 only for a message with SMTPUTF8; else it stays in its form in ASCII.
 */
static bool write_original_recipient(const struct notify_facts *facts,
                                     const Ipc__Recipient *recipient, struct buf *out)
{
    struct span orcpt = span_of_bytes(recipient->orcpt);
    struct span type = span_first(orcpt, span_find(orcpt, ';'));
    struct span coded = span_from(orcpt, type.len + 1);
    struct buf plain;

    if (type.len == orcpt.len)
        return true;
    buf_init(&plain, ORCPT_MAX);
    bool is_known = decode_address(type, coded, &plain);
    bool is_ascii = span_is_ascii(buf_span(&plain));
    bool ok = true;
    if (is_known && is_ascii)
        ok = write_original(out, type, buf_span(&plain));
    else if (is_known && facts->message->envelope->smtputf8)
        ok = write_original(out, SPAN("utf-8"), buf_span(&plain));
    else
        ok = write_original(out, type, coded);
    buf_clear(&plain);
    return ok;
}

/* "c.s.d": digits only, no leading zeros (RFC 3463 s.2). */
static bool is_status(struct span status)
{
    struct span part;
    unsigned parts = 0;
    uint64_t number;

    while (span_cut(&status, '.', &part)) {
        if (!span_to_number(part, 999, &number) || (part.len > 1 && part.data[0] == '0'))
            return false;
        parts++;
    }
    return parts == 3;
}

/* A recipient given up after a temporary failure keeps its class (RFC 3464 s.2.3.3). */
static struct span status_of(const struct notify_recipient *recipient)
{
    struct span status = span_of_bytes(recipient->result->status);
    char wanted = recipient->relayed ? '2' : recipient->expired ? '4' : '5';

    if (is_status(status) && status.data[0] == wanted)
        return status;
    if (recipient->relayed)
        return SPAN("2.0.0");
    return recipient->expired ? SPAN("4.4.7") : SPAN("5.0.0");
}

/* Further lines of a reply are folded as they came (RFC 3461 s.9.2). */
static bool write_diagnostic(const struct notify_recipient *recipient, struct buf *out)
{
    struct span rest = span_of_bytes(recipient->result->reply);
    bool remote = recipient->result->remote;
    struct span line;

    if (rest.len == 0)
        return true;
    bool ok = buf_append(out, remote ? SPAN("Diagnostic-Code: smtp;")
                                     : SPAN("Diagnostic-Code: x-waxseal;"));
    for (int i = 0; i < DIAGNOSTIC_LINES_MAX && ok && span_cut(&rest, '\n', &line); i++)
        ok = (i == 0 || buf_append(out, SPAN("\r\n"))) && buf_append(out, SPAN(" ")) &&
             notify_clean(out, line.len > 0 ? line : SPAN("."), FIELD_MAX);
    return ok && buf_append(out, SPAN("\r\n"));
}

static bool write_recipient_fields(const struct notify_facts *facts,
                                   const struct notify_recipient *recipient, struct buf *out)
{
    const Ipc__Recipient *address = recipient->record->recipient;
    struct span host = notify_host(recipient);
    char id[QID_TEXT_SIZE];
    int64_t tried_ms = recipient->decision ? recipient->decision->at_utc_ms : facts->now_ms;

    qid_format(facts->original_id, id);
    bool ok =
        buf_append(out, SPAN("\r\n")) && write_original_recipient(facts, address, out) &&
        write_address_field(out, "Final-Recipient", span_of_bytes(address->forward_path->text)) &&
        write_field(out, "Action", "", recipient->relayed ? SPAN("relayed") : SPAN("failed")) &&
        write_field(out, "Status", "", status_of(recipient));
    if (ok && recipient->result->remote && host.len > 0)
        ok = write_field(out, "Remote-MTA", "dns; ", host);
    return ok && write_diagnostic(recipient, out) &&
           write_date(out, "Last-Attempt-Date", tried_ms) &&
           write_field(out, "Final-Log-ID", "", span_of(id));
}

/* ---- the original --------------------------------------------------------------------------- */

/* Fits "7bit": ASCII without NUL, lines of at most 998 (RFC 2045 s.2.7). */
static bool is_seven_bit(struct span s)
{
    size_t column = 0;

    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        column = c == '\n' ? 0 : column + 1;
        if (c == 0 || c > 0x7f || column > LINE_MAX_OCTETS)
            return false;
    }
    return true;
}

/* The header section, its last whole line at the most. */
static struct span headers_of(struct span original)
{
    struct span head = span_first(original, NOTIFY_HEADERS_MAX);
    const char *end = memmem(head.data, head.len, "\r\n\r\n", 4);

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

    return notify_failures(facts) > 0 && facts->original_is_whole && envelope->ret != 2 &&
           !envelope->requiretls && (envelope->smtputf8 || is_seven_bit(facts->original));
}

/* A part as it is, or, where it is not 7-bit, quoted, which any host takes (RFC 6533 s.4.5). */
static bool write_body(struct buf *out, struct span body)
{
    if (is_seven_bit(body))
        return buf_append(out, SPAN("\r\n")) && buf_append(out, body);
    return buf_append(out, SPAN("Content-Transfer-Encoding: quoted-printable\r\n\r\n")) &&
           write_quoted(out, body);
}

static bool write_returned(const struct notify_facts *facts, struct buf *out)
{
    struct span headers = headers_of(facts->original);
    bool is_utf8 = facts->message->envelope->smtputf8;

    if (returns_whole(facts))
        return buf_printf(out,
                          "Content-Type: message/%s\r\n"
                          "Content-Description: Undelivered message\r\n",
                          is_utf8 && !is_seven_bit(facts->original) ? "global" : "rfc822") &&
               write_body(out, facts->original);
    return buf_printf(out,
                      "Content-Type: %s\r\n"
                      "Content-Description: Headers of the message\r\n",
                      is_seven_bit(headers) ? "text/rfc822-headers"
                      : is_utf8             ? "message/global-headers"
                                            : "text/rfc822-headers; charset=utf-8") &&
           write_body(out, headers);
}

/* ---- the whole ------------------------------------------------------------------------------ */

/* One that does not occur in the original. */
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
    } while (memmem(facts->original.data, facts->original.len, boundary, strlen(boundary)));
}

/* The sender; in ASCII where it has such a form, so that any host takes the notification. */
static bool write_to(const struct notify_facts *facts, struct buf *out)
{
    struct span sender = span_of_bytes(facts->message->envelope->reverse_path->text);
    char ascii[ADDRESS_ASCII_SIZE];
    struct address address;

    if (address_parse_utf8(sender, &address) == ADDRESS_FINE && address_to_ascii(&address, ascii))
        sender = span_of(ascii);
    return buf_append(out, SPAN("To: <")) && notify_clean_utf8(out, sender, sizeof(ascii)) &&
           buf_append(out, SPAN(">\r\n"));
}

static bool write_header(const struct notify_facts *facts, const char *type, const char *boundary,
                         struct buf *out)
{
    const char *postmaster = facts->identity->postmaster;
    char date[CLOCK_TEXT_SIZE];
    char id[QID_TEXT_SIZE];

    clock_format_mail(facts->now_ms, date);
    qid_format(facts->id, id);
    return buf_printf(out,
                      "Date: %s\r\n"
                      "From: Mail Delivery System <%s%s>\r\n",
                      date, postmaster[0] ? "" : "MAILER-DAEMON@",
                      postmaster[0] ? postmaster : facts->identity->hostname) &&
           write_to(facts, out) &&
           buf_printf(out,
                      "Subject: %s\r\n"
                      "Message-ID: <%s.%llx@%s>\r\n"
                      "Auto-Submitted: auto-replied\r\n"
                      "MIME-Version: 1.0\r\n"
                      "Content-Type: multipart/report; report-type=%s;\r\n"
                      "\tboundary=\"%s\"\r\n\r\n",
                      notify_failures(facts) > 0 ? "Your message could not be delivered"
                                                 : "Your message was passed on",
                      id, (unsigned long long)facts->now_ms, facts->identity->hostname, type,
                      boundary);
}

static bool write_status(const struct notify_facts *facts, struct buf *out)
{
    bool ok = write_message_fields(facts, out);

    for (size_t i = 0; i < facts->count && ok; i++)
        ok = write_recipient_fields(facts, &facts->recipients[i], out);
    return ok;
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
           write_body(out, words) &&
           buf_printf(out,
                      "\r\n--%s\r\nContent-Type: message/%s\r\n"
                      "Content-Description: Delivery report\r\n",
                      boundary, type) &&
           write_body(out, status) && buf_printf(out, "\r\n--%s\r\n", boundary) &&
           write_returned(facts, out) && buf_printf(out, "\r\n--%s--\r\n", boundary);
}

bool notify_write(const struct notify_facts *facts, struct buf *out)
{
    struct buf words, status;

    buf_init(&words, NOTIFY_TEXT_MAX);
    buf_init(&status, NOTIFY_TEXT_MAX);
    bool ok = notify_write_words(facts, &words) && write_status(facts, &status) &&
              write_parts(facts, buf_span(&words), buf_span(&status), out);
    buf_clear(&words);
    buf_clear(&status);
    return ok;
}
