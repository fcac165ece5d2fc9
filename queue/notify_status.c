#include "queue/notify_status.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/network.h"
#include "lib/ipc/channel.h"
#include "lib/mail/xtext.h"

enum {
    FIELD_MAX = 900, /* of one field's text: lines stay below 998 (RFC 5322 s.2.1.1) */
    DIAGNOSTIC_LINES_MAX = 20,
    DIAGNOSTIC_LEAST = 200,       /* octets of a reply, however many recipients there are ... */
    DIAGNOSTICS_MAX = 256 * 1024, /* ... and of all of them together */
};

/* In the order of enum notify_action: the word, the class of its status, and one for want of it. */
static const struct {
    const char *word;
    char class;
    const char *status;
} actions[] = {
    [ACTION_FAILED] = { "failed", '5', "5.0.0" },
    [ACTION_DELAYED] = { "delayed", '4', "4.0.0" },
    [ACTION_RELAYED] = { "relayed", '2', "2.0.0" },
    [ACTION_DELIVERED] = { "delivered", '2', "2.0.0" },
    [ACTION_EXPANDED] = { "expanded", '2', "2.0.0" },
};

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
    bool ok = write_field(out, "Reporting-MTA", "dns; ", span_of(facts->settings->hostname));

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
    char wanted = recipient->expired ? '4' : actions[recipient->action].class;

    if (is_status(status) && status.data[0] == wanted)
        return status;
    return recipient->expired ? SPAN("4.4.7") : span_of(actions[recipient->action].status);
}

/* What each may quote of its reply: the notification stays small, however many have failed. */
static size_t diagnostic_share(const struct notify_facts *facts)
{
    size_t share = DIAGNOSTICS_MAX / facts->count;

    return share < DIAGNOSTIC_LEAST ? DIAGNOSTIC_LEAST : share;
}

/*
 * A reply of several lines has its code at each, with "-" at all but the last (RFC 5321 s.4.2.1);
 * it was kept in front of the first alone.
 */
static bool write_code(struct span code, bool is_last, struct buf *out)
{
    return code.len == 0 ||
           (buf_append(out, code) && buf_append(out, is_last ? SPAN(" ") : SPAN("-")));
}

/* "550" of "550 5.1.1 no such user" when more lines follow. */
static struct span code_of(struct span reply)
{
    bool has_code = reply.len > 4 && reply.data[3] == ' ' && span_find(reply, '\n') < reply.len;

    for (size_t i = 0; i < 3 && has_code; i++)
        has_code = ascii_is_digit(reply.data[i]);
    return has_code ? span_first(reply, 3) : SPAN("");
}

/* Further lines of a reply are folded (RFC 3461 s.9.2). */
static bool write_diagnostic(const struct notify_recipient *recipient, size_t most, struct buf *out)
{
    struct span rest = span_first(span_of_bytes(recipient->result->reply), most);
    bool remote = recipient->result->remote;
    struct span code = remote ? code_of(rest) : SPAN("");
    struct span line;

    if (rest.len == 0)
        return true;
    bool ok = buf_append(out, remote ? SPAN("Diagnostic-Code: smtp;")
                                     : SPAN("Diagnostic-Code: x-waxseal;"));
    rest = code.len > 0 ? span_from(rest, 4) : rest;
    for (int i = 0; i < DIAGNOSTIC_LINES_MAX && ok && span_cut(&rest, '\n', &line); i++)
        ok = (i == 0 || buf_append(out, SPAN("\r\n"))) && buf_append(out, SPAN(" ")) &&
             write_code(code, rest.len == 0, out) &&
             notify_clean_coded(out, line.len > 0 ? line : SPAN("."), FIELD_MAX);
    return ok && buf_append(out, SPAN("\r\n"));
}

/* RFC 3464 s.2.3.5: only where a remote host was involved. */
static bool write_remote(const struct notify_recipient *recipient, struct buf *out)
{
    struct span host = notify_host(recipient);

    if (!recipient->result->remote || host.len == 0)
        return true;
    return write_field(out, "Remote-MTA", "dns; ", host);
}

/* RFC 3464 s.2.3.9: only with a delay. */
static bool write_until(const struct notify_recipient *recipient, struct buf *out)
{
    return recipient->action != ACTION_DELAYED ||
           write_date(out, "Will-Retry-Until", recipient->until_ms);
}

static bool write_recipient_fields(const struct notify_facts *facts,
                                   const struct notify_recipient *recipient, struct buf *out)
{
    const Ipc__Recipient *address = recipient->record->recipient;
    int64_t tried_ms = recipient->decision ? recipient->decision->at_utc_ms : facts->now_ms;
    char id[QID_TEXT_SIZE];

    qid_format(facts->original_id, id);
    return buf_append(out, SPAN("\r\n")) && write_original_recipient(facts, address, out) &&
           write_address_field(out, "Final-Recipient",
                               span_of_bytes(address->forward_path->text)) &&
           write_field(out, "Action", "", span_of(actions[recipient->action].word)) &&
           write_field(out, "Status", "", status_of(recipient)) && write_remote(recipient, out) &&
           write_diagnostic(recipient, diagnostic_share(facts), out) &&
           write_date(out, "Last-Attempt-Date", tried_ms) &&
           write_field(out, "Final-Log-ID", "", span_of(id)) && write_until(recipient, out);
}

bool notify_write_status(const struct notify_facts *facts, struct buf *out)
{
    bool ok = write_message_fields(facts, out);

    for (size_t i = 0; i < facts->count && ok; i++)
        ok = write_recipient_fields(facts, &facts->recipients[i], out);
    return ok;
}
