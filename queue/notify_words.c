#include "queue/notify_words.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/ipc/channel.h"
#include "lib/mail/header_fields.h"
#include "queue/candidate_words.h"
#include "queue/notify_advice.h"
#include "queue/notify_original.h"

enum {
    REPLY_SHOWN_MAX = 1000,
    NAME_SHOWN_MAX = 300,
    RECIPIENTS_SHOWN_MAX = 100,
    CANDIDATES_SHOWN_MAX = 20,
    SUBJECT_SHOWN_MAX = 200,
    WRAP_AT = 72
};

struct words {
    const struct notify_facts *facts;
    struct buf *out;
    size_t shown;
};

/* ---- lines ---------------------------------------------------------------------------------- */

typedef bool clean_fn(struct buf *out, struct span text, size_t most);

/* Words in lines of at most WRAP_AT, indented. */
static bool write_wrapped_by(clean_fn *clean, struct buf *out, const char *indent, struct span text)
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
        ok = ok && clean(out, word, WRAP_AT * 10);
        column += word.len + (column > 0 ? 1 : strlen(indent));
        rest = span_trim(span_from(rest, word.len));
    }
    return ok && buf_append(out, SPAN("\r\n"));
}

static bool write_wrapped(struct buf *out, const char *indent, struct span text)
{
    return write_wrapped_by(notify_clean, out, indent, text);
}

/* A sentence of ours, with a date at its end. */
static bool write_dated(struct buf *out, const char *indent, const char *sentence, int64_t utc_ms)
{
    char date[CLOCK_TEXT_SIZE];
    struct buf text;

    clock_format_mail(utc_ms, date);
    buf_init(&text, NAME_SHOWN_MAX);
    bool ok =
        buf_printf(&text, "%s %s.", sentence, date) && write_wrapped(out, indent, buf_span(&text));
    buf_clear(&text);
    return ok;
}

static bool write_address(struct buf *out, struct span address)
{
    return buf_append(out, SPAN("<")) && notify_clean_utf8(out, address, NAME_SHOWN_MAX) &&
           buf_append(out, SPAN(">"));
}

/* ---- why ------------------------------------------------------------------------------------ */

static bool write_speaker(const struct notify_recipient *recipient, struct buf *out)
{
    const Ipc__Result *result = recipient->result;
    struct span host = notify_host(recipient);

    if (result->cause == IPC__CAUSE__OPERATOR)
        return buf_append(out, SPAN("  The reason that was given:\r\n"));
    if (!result->remote || host.len == 0)
        return buf_append(out, SPAN("  In detail:\r\n"));
    return buf_append(out, SPAN("  The mail server ")) && notify_clean(out, host, NAME_SHOWN_MAX) &&
           buf_append(out, SPAN(" said:\r\n"));
}

static struct span shown_reply(const struct notify_recipient *recipient)
{
    return span_first(span_of_bytes(recipient->result->reply), REPLY_SHOWN_MAX);
}

static bool write_reply(const struct notify_recipient *recipient, struct buf *out)
{
    bool is_operator = recipient->result->cause == IPC__CAUSE__OPERATOR;
    clean_fn *clean = is_operator ? notify_clean_utf8 : notify_clean; /* hosts say it in ASCII */
    struct span rest = shown_reply(recipient);
    struct span line;
    bool ok = true;

    if (rest.len == 0)
        return true;
    ok = write_speaker(recipient, out);
    while (ok && span_cut(&rest, '\n', &line))
        ok = write_wrapped_by(clean, out, "    ", line);
    return ok;
}

/* One server that was looked at, when a security policy stood in the way. */
static bool write_candidate(const Ipc__Candidate *candidate, struct buf *out)
{
    bool ok = buf_append(out, SPAN("    ")) &&
              notify_clean(out, span_of_bytes(candidate->mx), NAME_SHOWN_MAX) &&
              buf_append(out, SPAN(": ")) &&
              notify_clean(out, span_of_bytes(candidate->verdict), NAME_SHOWN_MAX) &&
              buf_append(out, SPAN("\r\n"));

    char room[CANDIDATE_WORDS_SIZE];
    struct span certificate = candidate_certificate(candidate, room);
    if (!ok || certificate.len == 0)
        return ok;
    return buf_append(out, SPAN("      its certificate: ")) &&
           notify_clean(out, certificate, NAME_SHOWN_MAX) && buf_append(out, SPAN("\r\n"));
}

static bool write_candidates(const Ipc__Decision *decision, struct buf *out)
{
    bool ok = true;

    for (size_t i = 0; i < decision->n_candidates && i < CANDIDATES_SHOWN_MAX && ok; i++)
        ok = write_candidate(decision->candidates[i], out);
    return ok;
}

static bool write_sts(const Ipc__Decision *decision, struct buf *out)
{
    return buf_append(out, SPAN("  The recipient's domain publishes a security policy (MTA-STS, "
                                "mode enforce,\r\n  id ")) &&
           notify_clean(out, span_of_bytes(decision->policy_id), NAME_SHOWN_MAX) &&
           buf_append(out, SPAN(") that allows only the servers it names, with valid\r\n"
                                "  certificates.  What was found:\r\n")) &&
           write_candidates(decision, out) &&
           buf_append(out, SPAN("  If the servers do not satisfy that policy, the recipient's "
                                "administrator has\r\n  to mend servers or policy.\r\n"));
}

static bool write_dane(const Ipc__Decision *decision, struct buf *out)
{
    return buf_append(out, SPAN("  DNS says, signed, how the recipient's servers are to be known "
                                "(TLSA records,\r\n  DANE).  What was found:\r\n")) &&
           write_candidates(decision, out) &&
           buf_append(out, SPAN("  If the servers do not fit these records, their administrator "
                                "has to mend servers\r\n  or records.\r\n"));
}

/* Where records can be used MTA-STS has no say (RFC 8461 s.2); else it has, where it is enforced.
 */
static bool binds_by_tlsa(const Ipc__Decision *decision)
{
    bool is_enforced = span_equal(span_of_bytes(decision->policy), SPAN("sts enforce"));

    for (size_t i = 0; i < decision->n_candidates; i++) {
        const Ipc__Candidate *candidate = decision->candidates[i];
        if (candidate->tlsa_base.len > 0 &&
            (!is_enforced || span_equal(span_of_bytes(candidate->tlsa), SPAN("usable"))))
            return true;
    }
    return false;
}

/* Mail that a policy held back: which policy, which servers, who can mend it. */
static bool write_policy(const struct notify_recipient *recipient, struct buf *out)
{
    const Ipc__Decision *decision = recipient->decision;

    if (recipient->result->remote || !decision)
        return true;
    if (binds_by_tlsa(decision))
        return write_dane(decision, out);
    if (span_equal(span_of_bytes(decision->policy), SPAN("sts enforce")))
        return write_sts(decision, out);
    return true;
}

/* ---- one story, of one recipient or of several ---------------------------------------------- */

static bool write_failed(const struct notify_recipient *recipient, struct buf *out)
{
    const struct advice *advice = advice_of(recipient);

    if (recipient->expired &&
        !write_wrapped(
            out, "  ",
            SPAN("It was tried again and again until the time allowed for it was over.")))
        return false;
    return write_wrapped(out, "  ", span_of(advice->what)) &&
           write_wrapped(out, "  ", span_of(advice->side)) &&
           write_wrapped(out, "  ", span_of(advice->todo)) && write_reply(recipient, out) &&
           write_policy(recipient, out);
}

static bool write_delayed(const struct notify_recipient *recipient, struct buf *out)
{
    const struct advice *advice = advice_of(recipient);

    return write_dated(out, "  ", "It will be tried again until", recipient->until_ms) &&
           write_wrapped(out, "  ", span_of(advice->what)) &&
           write_wrapped(out, "  ", span_of(advice->side)) &&
           write_wrapped(out, "  ", SPAN("If it is urgent, tell the recipient by other means.")) &&
           write_reply(recipient, out) && write_policy(recipient, out);
}

/* RFC 3461 s.5.2.2: this is the last that the sender hears of it. */
static bool write_relayed(const struct notify_recipient *recipient, struct buf *out)
{
    return write_wrapped(out, "  ",
                         SPAN("The message was passed on to a mail server that sends no delivery "
                              "reports.  Nobody will tell you whether it arrives.")) &&
           write_reply(recipient, out);
}

/* By a route that says "discard": neither more than is true, nor less. */
static bool write_delivered(const struct notify_recipient *recipient, struct buf *out)
{
    return write_wrapped(out, "  ",
                         SPAN("The message was taken for this address.  Its way ends at this mail "
                              "system, which is set up not to pass on what is sent there.")) &&
           write_reply(recipient, out);
}

static bool write_expanded(const struct notify_recipient *recipient, struct buf *out)
{
    return write_wrapped(out, "  ",
                         SPAN("The address stands for several others, to which the message goes.  "
                              "You will be told nothing more of those whom it reaches.")) &&
           write_reply(recipient, out);
}

/* In the order of enum notify_action. */
static const struct group {
    const char *one, *several; /* what is said of the recipients below */
    bool (*write)(const struct notify_recipient *recipient, struct buf *out);
} groups[] = {
    [ACTION_FAILED] = { "It could not be delivered to the recipient below.  It will not be tried "
                        "again.",
                        "It could not be delivered to the recipients below.  It will not be tried "
                        "again.",
                        write_failed },
    [ACTION_DELAYED] = { "It has not been delivered to the recipient below yet.  This is a warning "
                         "only: you need not send it again.",
                         "It has not been delivered to the recipients below yet.  This is a "
                         "warning only: you need not send it again.",
                         write_delayed },
    [ACTION_RELAYED] = { "It has been passed on for the recipient below.",
                         "It has been passed on for the recipients below.", write_relayed },
    [ACTION_DELIVERED] = { "It has been taken for the recipient below.",
                           "It has been taken for the recipients below.", write_delivered },
    [ACTION_EXPANDED] = { "It has been taken for the recipient below.",
                          "It has been taken for the recipients below.", write_expanded },
};

static bool is_same_story(const struct notify_recipient *a, const struct notify_recipient *b)
{
    return a->action == b->action && a->expired == b->expired && a->until_ms == b->until_ms &&
           a->decision == b->decision && a->result->cause == b->result->cause &&
           span_equal(span_of_bytes(a->result->status), span_of_bytes(b->result->status)) &&
           span_equal(shown_reply(a), shown_reply(b));
}

static bool was_told(const struct notify_facts *facts, size_t nth)
{
    for (size_t i = 0; i < nth; i++)
        if (is_same_story(&facts->recipients[i], &facts->recipients[nth]))
            return true;
    return false;
}

/* All of whom the same is to be said, one a line. */
static bool write_addresses(struct words *w, size_t first)
{
    const struct notify_recipient *all = w->facts->recipients;
    bool ok = true;

    for (size_t i = first; i < w->facts->count && ok && w->shown < RECIPIENTS_SHOWN_MAX; i++) {
        if (!is_same_story(&all[first], &all[i]))
            continue;
        ok = write_address(w->out, span_of_bytes(all[i].record->recipient->forward_path->text)) &&
             buf_append(w->out, SPAN("\r\n"));
        w->shown++;
    }
    return ok;
}

static bool write_group(struct words *w, enum notify_action action)
{
    size_t count = notify_count(w->facts, action);
    const struct group *group = &groups[action];
    bool ok = true;

    if (count == 0)
        return true;
    ok = write_wrapped(w->out, "", span_of(count == 1 ? group->one : group->several)) &&
         buf_append(w->out, SPAN("\r\n"));
    for (size_t i = 0; i < w->facts->count && ok && w->shown < RECIPIENTS_SHOWN_MAX; i++)
        if (w->facts->recipients[i].action == action && !was_told(w->facts, i))
            ok = write_addresses(w, i) && group->write(&w->facts->recipients[i], w->out) &&
                 buf_append(w->out, SPAN("\r\n"));
    return ok;
}

static bool write_groups(struct words *w)
{
    bool ok = true;

    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]) && ok; i++)
        ok = write_group(w, (enum notify_action)i);
    if (!ok || w->shown == w->facts->count)
        return ok;
    return buf_printf(w->out,
                      "There are %zu more recipients, which the delivery report behind this text "
                      "lists.\r\n\r\n",
                      w->facts->count - w->shown);
}

/* ---- what stands around them ---------------------------------------------------------------- */

/* Only one that people can read as it is. */
static bool write_subject(const struct notify_facts *facts, struct buf *out)
{
    struct header_fields fields;
    struct header_field field;

    header_fields_init(&fields, notify_headers(facts->original));
    while (header_fields_next(&fields, &field)) {
        struct span text = span_trim(field.body);
        if (!span_equal_nocase(field.name, SPAN("Subject")))
            continue;
        if (text.len == 0 || memmem(text.data, text.len, "=?", 2) || !span_is_ascii(text))
            return true;
        return buf_append(out, SPAN("Its subject is: ")) &&
               notify_clean(out, text, SUBJECT_SHOWN_MAX) && buf_append(out, SPAN("\r\n"));
    }
    return true;
}

static bool write_for_postmaster(const struct notify_facts *facts, struct buf *out)
{
    struct span sender = span_of_bytes(facts->message->envelope->reverse_path->text);

    if (!facts->for_postmaster)
        return true;
    if (!facts->is_copy)
        return buf_append(out, SPAN("There is nobody else to tell of this: the message has no "
                                    "sender.\r\n\r\n"));
    return buf_append(out, SPAN("This is a copy for the postmaster of what was told to ")) &&
           write_address(out, sender) && buf_append(out, SPAN(".\r\n\r\n"));
}

static bool write_beginning(const struct notify_facts *facts, struct buf *out)
{
    char date[CLOCK_TEXT_SIZE];
    char id[QID_TEXT_SIZE];

    clock_format_mail(facts->message->accepted_utc_ms, date);
    qid_format(facts->original_id, id);
    return buf_printf(out, "This is the mail system at %s.\r\n\r\n", facts->settings->hostname) &&
           write_for_postmaster(facts, out) &&
           buf_printf(out, "This is about %s message of %s (queue id %s).\r\n",
                      facts->for_postmaster ? "a" : "your", date, id) &&
           write_subject(facts, out) && buf_append(out, SPAN("\r\n"));
}

static bool write_end(const struct notify_facts *facts, struct buf *out)
{
    const char *postmaster = facts->settings->postmaster;

    if (facts->silent_until != 0 &&
        (!write_dated(out, "",
                      "So many notifications like this one have been sent to you within an hour "
                      "that you will be told nothing more until",
                      facts->silent_until) ||
         !write_wrapped(out, "",
                        SPAN("The administrator named below can say what became of your messages "
                             "meanwhile.")) ||
         !buf_append(out, SPAN("\r\n"))))
        return false;
    return buf_printf(out, "If you need help, write to %s%s and quote this whole notification.\r\n",
                      postmaster[0] ? "" : "postmaster@",
                      postmaster[0] ? postmaster : facts->settings->hostname);
}

bool notify_write_words(const struct notify_facts *facts, struct buf *out)
{
    struct words words = { facts, out, 0 };

    return write_beginning(facts, out) && write_groups(&words) && write_end(facts, out);
}
