#include "queue/notify_words.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/utf8.h"
#include "lib/ipc/channel.h"

enum { REPLY_SHOWN_MAX = 1000, NAME_SHOWN_MAX = 300, WRAP_AT = 72 };

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

struct span notify_host(const struct notify_recipient *recipient)
{
    const Ipc__Decision *decision = recipient->decision;

    if (!decision || decision->n_candidates == 0)
        return SPAN("");
    return span_of_bytes(decision->candidates[decision->n_candidates - 1]->mx);
}

/* ---- what went wrong, by enhanced status ---------------------------------------------------- */

enum side { SIDE_SENDER, SIDE_RECIPIENT, SIDE_EITHER };

static const char *const sides[] = {
    [SIDE_SENDER] = "This can be put right on your side.",
    [SIDE_RECIPIENT] = "This has to be put right on the recipient's side.",
    [SIDE_EITHER] = "It is not certain which side has to put this right.",
};

struct advice {
    const char *status; /* subject and detail; the detail may be left out */
    const char *what;
    enum side side;
    const char *todo;
};

static const struct advice advices[] = {
    { "1.10", "The recipient's domain says that it takes no mail at all.", SIDE_SENDER,
      "Check the address behind the @; this domain has no mailboxes." },
    { "1.2", "The recipient's domain does not exist, or takes no mail.", SIDE_SENDER,
      "Check the address behind the @ for typing mistakes." },
    { "1.", "There is no such mailbox.", SIDE_SENDER,
      "Check the address for typing mistakes, or ask the recipient for the right one." },
    { "2.2", "The recipient's mailbox is full.", SIDE_RECIPIENT,
      "Tell the recipient by other means, and send the message again later." },
    { "2.", "The recipient's mailbox cannot take mail at present.", SIDE_RECIPIENT,
      "Tell the recipient by other means, and send the message again later." },
    { "3.4", "The message is larger than the recipient's mail system allows.", SIDE_SENDER,
      "Send a smaller message, for instance without attachments." },
    { "4.6", "The message went round in circles between mail servers.", SIDE_EITHER,
      "Ask the administrator named below to look into it." },
    { "6.7", "The mail server takes no addresses with letters beyond ASCII.", SIDE_RECIPIENT,
      "Use another address, if the recipient has one, and if need be another one of your own." },
    { "6.9", "The mail server takes no headers with letters beyond ASCII.", SIDE_RECIPIENT,
      "Write subject and names without such letters, or as other mail programs encode them." },
    { "7.10", "Encryption that the message asked for could not be had on the way.", SIDE_EITHER,
      "Send it without asking for REQUIRETLS, or by other means." },
    { "7.30", "The message asked for protection (REQUIRETLS) that the next server cannot give.",
      SIDE_EITHER, "Send it without asking for REQUIRETLS, or by other means." },
    { "7.", "The recipient's mail system did not accept the message for reasons of policy.",
      SIDE_EITHER, "Read the server's words below; its administrator can say more." },
    { "4.", "The recipient's mail servers could not be reached.", SIDE_RECIPIENT,
      "Send the message again later, or tell the recipient by other means." },
};

static const struct advice general = {
    "", "The message was not accepted.", SIDE_EITHER,
    "Read the server's words below; send the message again when the cause is gone."
};

static const struct advice *advice_of(const struct notify_recipient *recipient)
{
    struct span status = span_of_bytes(recipient->result->status);

    if (status.len < 3 || status.data[1] != '.')
        return &general;
    status = span_from(status, 2);
    for (size_t i = 0; i < sizeof(advices) / sizeof(advices[0]); i++) {
        struct span key = span_of(advices[i].status);
        bool is_subject = key.data[key.len - 1] == '.';
        if (is_subject ? span_starts_with(status, key) : span_equal(status, key))
            return &advices[i];
    }
    return &general;
}

/* ---- the text ------------------------------------------------------------------------------- */

/* Words in lines of at most WRAP_AT, indented. */
static bool write_wrapped(struct buf *out, const char *indent, struct span text)
{
    struct span rest = span_trim(text);
    size_t column = 0;
    bool ok = true;

    while (ok && rest.len > 0) {
        struct span word = span_first(rest, span_find(rest, ' '));
        if (column > 0 && column + 1 + word.len > WRAP_AT) {
            ok = buf_append(out, SPAN("\r\n"));
            column = 0;
        }
        ok = ok && buf_append(out, column > 0 ? SPAN(" ") : span_of(indent));
        ok = ok && notify_clean(out, word, WRAP_AT * 10);
        column += word.len + (column > 0 ? 1 : strlen(indent));
        rest = span_trim(span_from(rest, word.len));
    }
    return ok && buf_append(out, SPAN("\r\n"));
}

static bool write_reply(const struct notify_recipient *recipient, struct buf *out)
{
    struct span rest = span_first(span_of_bytes(recipient->result->reply), REPLY_SHOWN_MAX);
    struct span host = notify_host(recipient);
    struct span line;

    if (rest.len == 0)
        return true;
    if (recipient->result->remote && host.len > 0) {
        if (!buf_append(out, SPAN("  The mail server ")) ||
            !notify_clean(out, host, NAME_SHOWN_MAX) || !buf_append(out, SPAN(" said:\r\n")))
            return false;
    } else if (!buf_append(out, SPAN("  In detail:\r\n"))) {
        return false;
    }
    while (span_cut(&rest, '\n', &line))
        if (!write_wrapped(out, "    ", line))
            return false;
    return true;
}

/* One server that was looked at, when a security policy stood in the way. */
static bool write_candidate(const Ipc__Candidate *candidate, struct buf *out)
{
    bool ok = buf_append(out, SPAN("    ")) &&
              notify_clean(out, span_of_bytes(candidate->mx), NAME_SHOWN_MAX) &&
              buf_append(out, SPAN(": ")) &&
              notify_clean(out, span_of_bytes(candidate->verdict), NAME_SHOWN_MAX) &&
              buf_append(out, SPAN("\r\n"));

    if (!ok || candidate->certificate.len == 0)
        return ok;
    return buf_append(out, SPAN("      its certificate: ")) &&
           notify_clean(out, span_of_bytes(candidate->certificate), NAME_SHOWN_MAX) &&
           buf_append(out, SPAN("\r\n"));
}

/* Mail that a policy held back to the end: which policy, which servers, who can mend it. */
static bool write_policy(const struct notify_recipient *recipient, struct buf *out)
{
    const Ipc__Decision *decision = recipient->decision;

    if (!decision || !span_equal(span_of_bytes(decision->policy), SPAN("sts enforce")))
        return true;
    bool ok = buf_append(out, SPAN("  The recipient's domain publishes a security policy (MTA-STS, "
                                   "mode enforce,\r\n  id ")) &&
              notify_clean(out, span_of_bytes(decision->policy_id), NAME_SHOWN_MAX) &&
              buf_append(out, SPAN(") that allows only the servers it names, with valid\r\n"
                                   "  certificates.  What was found:\r\n"));
    for (size_t i = 0; i < decision->n_candidates && ok; i++)
        ok = write_candidate(decision->candidates[i], out);
    return ok &&
           buf_append(out, SPAN("  If the servers do not satisfy that policy, the recipient's "
                                "administrator has\r\n  to mend servers or policy.\r\n"));
}

static bool write_address(const struct notify_recipient *recipient, struct buf *out)
{
    struct span address = span_of_bytes(recipient->record->recipient->forward_path->text);

    return buf_append(out, SPAN("<")) && notify_clean_utf8(out, address, NAME_SHOWN_MAX) &&
           buf_append(out, SPAN(">\r\n"));
}

/* RFC 3461 s.5.2.2: this is the last that the sender hears of it. */
static bool write_relayed(const struct notify_recipient *recipient, struct buf *out)
{
    return write_address(recipient, out) &&
           write_wrapped(out, "  ",
                         SPAN("The message was passed on to a mail server that sends no delivery "
                              "reports.  Nobody will tell you whether it arrives.")) &&
           write_reply(recipient, out) && buf_append(out, SPAN("\r\n"));
}

static bool write_failed(const struct notify_recipient *recipient, struct buf *out)
{
    const struct advice *advice = advice_of(recipient);

    if (!write_address(recipient, out))
        return false;
    if (recipient->expired &&
        !write_wrapped(
            out, "  ",
            SPAN("It was tried again and again until the time allowed for it was over.")))
        return false;
    return write_wrapped(out, "  ", span_of(advice->what)) &&
           write_wrapped(out, "  ", span_of(sides[advice->side])) &&
           write_wrapped(out, "  ", span_of(advice->todo)) && write_reply(recipient, out) &&
           write_policy(recipient, out) && buf_append(out, SPAN("\r\n"));
}

/* Those that failed, or those that were passed on. */
static bool write_group(const struct notify_facts *facts, bool relayed, struct buf *out)
{
    size_t failures = notify_failures(facts);
    size_t count = relayed ? facts->count - failures : failures;
    const char *plural = count == 1 ? "" : "s";
    bool ok = true;

    if (count == 0)
        return true;
    if (relayed)
        ok = buf_printf(out, "It has been passed on for the recipient%s below.\r\n\r\n", plural);
    else
        ok = buf_printf(out,
                        "It could not be delivered to the recipient%s below.  It will not be tried "
                        "again.\r\n\r\n",
                        plural);
    for (size_t i = 0; i < facts->count && ok; i++)
        if (facts->recipients[i].relayed == relayed)
            ok = relayed ? write_relayed(&facts->recipients[i], out)
                         : write_failed(&facts->recipients[i], out);
    return ok;
}

bool notify_write_words(const struct notify_facts *facts, struct buf *out)
{
    char date[CLOCK_TEXT_SIZE];
    char id[QID_TEXT_SIZE];
    const char *postmaster = facts->identity->postmaster;
    bool ok;

    clock_format_mail(facts->message->accepted_utc_ms, date);
    qid_format(facts->original_id, id);
    ok = buf_printf(out,
                    "This is the mail system at %s.\r\n\r\n"
                    "This is about your message of %s (queue id %s).\r\n",
                    facts->identity->hostname, date, id) &&
         write_group(facts, false, out) && write_group(facts, true, out);
    return ok &&
           buf_printf(out, "If you need help, write to %s%s and quote this whole notification.\r\n",
                      postmaster[0] ? "" : "postmaster@",
                      postmaster[0] ? postmaster : facts->identity->hostname);
}
