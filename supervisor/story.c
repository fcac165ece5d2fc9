#include "supervisor/story.h"

#include "supervisor/print.h"

#include <inttypes.h>
#include <string.h>

/* --- words ----------------------------------------------------------------------------------- */

static bool has_text(const struct json *object, const char *key)
{
    return json_member_text(object, key).len > 0;
}

static void tell_time(const struct json *event, FILE *out)
{
    print_text("  ", event, "at", "  ", out);
}

/* A line below the one that begins with a time. */
static void begin_line(FILE *out)
{
    fputs("\n      ", out);
}

/* --- how it came ----------------------------------------------------------------------------- */

static void tell_client(const struct json *trace, FILE *out)
{
    print_text(" from [", trace, "client_address", "]", out);
    print_text(" (", trace, "client_name", ")", out);
    print_text(" on listener ", trace, "listener", "", out);
    print_text(", logged in as ", trace, "user", "", out);
    if (has_text(trace, "tls"))
        print_text(", over ", trace, "tls", "", out);
    else if (has_text(trace, "client_address"))
        fputs(", in clear", out);
}

/* It may outlive what is known of it: a record may be damaged, the history has an end. */
static void tell_sender(const struct json *trace, FILE *out)
{
    if (has_text(trace, "sender"))
        print_text(" from <", trace, "sender", ">", out);
    else if (json_get(trace, "sender"))
        fputs(" from <>", out);
    else
        fputs(": who sent it, when and by whom it came is no longer known", out);
    if (json_get(trace, "size"))
        fprintf(out, ", %" PRId64 " bytes", json_number(json_get(trace, "size")));
    fputc('\n', out);
}

static void tell_arrival(const struct json *trace, FILE *out)
{
    print_text("  ", trace, "accepted", "  ", out);
    if (json_bool(json_get(trace, "tls_report")))
        fputs("made here, a report of TLS sessions: no policy stops it", out);
    else
        fputs(json_bool(json_get(trace, "notification"))
                  ? "made here, to tell its recipient of another"
                  : "accepted",
              out);
    tell_client(trace, out);
    if (json_bool(json_get(trace, "requiretls")))
        fputs("; its sender asks for TLS all the way (REQUIRETLS)", out);
    else if (json_bool(json_get(trace, "tls_required_no")))
        fputs("; its sender rather has it go without TLS than not at all (TLS-Required: No)", out);
    fputc('\n', out);
}

static void tell_beginning(const struct json *trace, FILE *out)
{
    print_text("Message ", trace, "id", "", out);
    tell_sender(trace, out);
    if (json_get(trace, "sender"))
        tell_arrival(trace, out);
}

/* --- an attempt ------------------------------------------------------------------------------ */

/* Why the policy need not be met, and whether that made the difference. */
static void tell_relief(const struct json *decision, FILE *out)
{
    if (!has_text(decision, "relief"))
        return;
    begin_line(out);
    if (has_text(decision, "relief_domain")) {
        print_text("exception: what it asks need not be met (", decision, "relief", ")", out);
        print_text(": ", decision, "relief_reason", "", out);
    } else {
        print_text("what it asks need not be met: ", decision, "relief", "", out);
    }
    if (json_bool(json_get(decision, "relief_needed")))
        fputs("; without that it could not have gone this way", out);
}

static void tell_policy(const struct json *decision, FILE *out)
{
    if (!has_text(decision, "policy"))
        return;
    begin_line(out);
    if (json_member_is(decision, "policy", "relayhost") ||
        json_member_is(decision, "policy", "route"))
        fputs("policy: none, for the next hop is named", out);
    else
        print_text("policy: ", decision, "policy", "", out);
    print_text(", id ", decision, "policy_id", "", out);
    print_text(", until ", decision, "policy_expires", "", out);
    print_text("; ", decision, "policy_trouble", "", out);
    print_text("; route ", decision, "route", "", out);
    tell_relief(decision, out);
}

/* By whom it was signed as it left (DKIM), or why not. */
static void tell_signatures(const struct json *decision, FILE *out)
{
    if (!has_text(decision, "signed_by") && !has_text(decision, "unsigned_because"))
        return;
    begin_line(out);
    print_text("signed by ", decision, "signed_by", "", out);
    print_text("not signed: ", decision, "unsigned_because", "", out);
}

/* What the session was; and what was wanted of it, where that is something else. */
static void tell_level(const struct json *candidate, FILE *out)
{
    const char *is = has_text(candidate, "level") ? "level" : "tls";

    if (!has_text(candidate, is))
        return;
    print_text(" (", candidate, is, "", out);
    if (!span_equal(json_member_text(candidate, "level_wanted"), json_member_text(candidate, is)))
        print_text(", wanted: ", candidate, "level_wanted", "", out);
    fputc(')', out);
}

static void tell_tls(const struct json *candidate, FILE *out)
{
    print_text("; ", candidate, "tls_version", "", out);
    print_text(" ", candidate, "cipher", "", out);
    print_text(" ", candidate, "group", "", out);
    if (json_bool(json_get(candidate, "resumed")))
        fputs(", resumed", out);
    tell_level(candidate, out);
    print_text("; logged in by ", candidate, "auth", "", out);
    if (!has_text(candidate, "certificate"))
        return;
    begin_line(out);
    print_text("  certificate: ", candidate, "certificate", "", out);
    if (!has_text(candidate, "key_sha256"))
        return;
    begin_line(out);
    print_text("  its key: sha256 ", candidate, "key_sha256", "", out);
}

static void tell_tlsa(const struct json *candidate, FILE *out)
{
    if (!has_text(candidate, "tlsa_base"))
        return;
    begin_line(out);
    print_text("  TLSA records of ", candidate, "tlsa_base", ": ", out);
    print_text("", candidate, "tlsa", "", out);
    print_text("; the certificate fits ", candidate, "tlsa_record", "", out);
}

/* The lines of a reply stand below each other, behind `before`. */
static void tell_lines(const char *before, struct span reply, FILE *out)
{
    struct span line;

    begin_line(out);
    fputs(before, out);
    for (bool is_first = true; span_cut(&reply, '\n', &line); is_first = false) {
        if (!is_first) {
            begin_line(out);
            fprintf(out, "%*s", (int)strlen(before), "");
        }
        print_safe(line, out);
    }
}

/* A reply of a host begins with its code; else the words are ours. */
static bool is_from_host(struct span reply)
{
    bool has_code = reply.len > 3 && reply.data[3] == ' ';

    for (size_t i = 0; i < 3 && has_code; i++)
        has_code = ascii_is_digit(reply.data[i]);
    return has_code;
}

static size_t count_with_words(const struct json *candidates)
{
    size_t count = 0;

    for (size_t i = 0; i < json_count(candidates); i++)
        count += has_text(json_item(candidates, i), "reply");
    return count;
}

/*
 * What that host said, or what kept us from it.  What the event's reply, below, tells all the same
 * is left out: sentences of ours that name their host, and the words of the only one there was.
 */
static void tell_words(const struct json *candidate, bool is_only, struct span told_below,
                       FILE *out)
{
    struct span reply = json_member_text(candidate, "reply");
    bool is_theirs = is_from_host(reply);

    if (reply.len == 0 || (span_equal(reply, told_below) && (is_only || !is_theirs)))
        return;
    tell_lines(is_theirs ? "  it said: " : "  because: ", reply, out);
}

static void tell_candidates(const struct json *decision, struct span told_below, FILE *out)
{
    const struct json *candidates = json_get(decision, "candidates");
    bool is_only = count_with_words(candidates) == 1;

    for (size_t i = 0; i < json_count(candidates); i++) {
        const struct json *candidate = json_item(candidates, i);
        begin_line(out);
        print_text("", candidate, "mx", "", out);
        print_text(" [", candidate, "address", "]", out);
        print_text(": ", candidate, "verdict", "", out);
        tell_tls(candidate, out);
        tell_tlsa(candidate, out);
        tell_words(candidate, is_only, told_below, out);
    }
}

/* The words that its result stands on, and whose they are. */
static void tell_reply(const struct json *event, FILE *out)
{
    struct span reply = json_member_text(event, "reply");
    bool is_remote = json_bool(json_get(event, "remote"));

    if (reply.len > 0)
        tell_lines(is_remote ? "they said: " : "because: ", reply, out);
}

static void tell_why(const struct json *event, FILE *out)
{
    const struct json *decision = json_get(event, "decision");

    if (decision && json_kind_of(decision) == JSON_KIND_OBJECT) {
        tell_policy(decision, out);
        tell_signatures(decision, out);
        tell_candidates(decision, json_member_text(event, "reply"), out);
    }
    tell_reply(event, out);
}

static void tell_attempt(const struct json *event, FILE *out)
{
    int64_t attempt = json_number(json_get(event, "attempt"));

    if (attempt > 0)
        fprintf(out, "attempt %" PRId64, attempt);
    else
        fputs("no attempt yet", out);
    print_text(" at ", event, "next_hop", "", out);
    print_text(": ", event, "result", "", out);
    print_text(" (", event, "status", ")", out);
    tell_why(event, out);
    if (has_text(event, "next_try")) {
        begin_line(out);
        print_text("to be tried again at ", event, "next_try", "", out);
    }
}

/* --- what else happened ---------------------------------------------------------------------- */

static void tell_operator(const struct json *event, FILE *out)
{
    fprintf(out, "the operator with uid %" PRId64 " said: ", json_number(json_get(event, "by")));
    print_text("", event, "action", "", out);
    print_text(", ", event, "words", "", out);
    if (json_member_is(event, "action", "reroute") && !has_text(event, "words"))
        fputs(" back", out);
    print_text(", ", event, "reason", "", out);
}

static void tell_notification(const struct json *event, FILE *out)
{
    print_text("its sender was told (", event, "kind", ")", out);
    print_text(", by message ", event, "id", "", out);
}

static void tell_end(const struct json *event, FILE *out)
{
    print_text("", event, "state", "", out);
    if (has_text(event, "action"))
        fprintf(out, " by the operator with uid %" PRId64, json_number(json_get(event, "by")));
    else
        fprintf(out, " at attempt %" PRId64, json_number(json_get(event, "attempt")));
    print_text(", next hop ", event, "next_hop", "", out);
    print_text(" (", event, "status", ")", out);
    tell_why(event, out);
}

static void tell_event(const struct json *event, FILE *out)
{
    static const struct {
        const char *name;
        void (*tell)(const struct json *event, FILE *out);
    } events[] = {
        { "attempt", tell_attempt },
        { "operator", tell_operator },
        { "notification", tell_notification },
        { "end", tell_end },
    };

    tell_time(event, out);
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
        if (json_member_is(event, "event", events[i].name))
            events[i].tell(event, out);
    fputc('\n', out);
}

/* --- whose turn it is ------------------------------------------------------------------------ */

/* Did the other side speak last? */
static bool they_spoke_last(const struct json *recipient)
{
    const struct json *events = json_get(recipient, "events");

    for (size_t i = json_count(events); i > 0; i--)
        if (json_member_is(json_item(events, i - 1), "event", "attempt"))
            return json_bool(json_get(json_item(events, i - 1), "remote"));
    return false;
}

static void tell_suspended(const struct json *recipient, FILE *out)
{
    print_text("its next hop ", recipient, "next_hop", " is suspended", out);
    print_text(" until ", recipient, "suspended_until", "", out);
    print_text(": ", recipient, "suspended_reason", "", out);
    begin_line(out);
    print_text("to try it: waxseal queue resume ", recipient, "next_hop", "", out);
}

static void tell_held(const struct json *trace, FILE *out)
{
    const struct json *held = json_get(trace, "held");

    fputs("it is held, and stays so until somebody releases it", out);
    print_text(", since ", held, "since", "", out);
    print_text(": ", held, "reason", "", out);
    begin_line(out);
    print_text("to try it: waxseal queue release ", trace, "id", "", out);
}

/* Who cannot be named, or whose message cannot be read, can neither be tried nor given back. */
static void tell_damaged(const struct json *trace, const struct json *recipient, FILE *out)
{
    const struct json *held = json_get(trace, "held");

    fputs("it is damaged, and not tried", out);
    print_text(", since ", held, "since", "", out);
    print_text(": ", held, "reason", "", out);
    begin_line(out);
    if (has_text(recipient, "recipient") && json_number(json_get(trace, "waiting")) > 0) {
        print_text("to try it again: waxseal queue release ", trace, "id", "", out);
        begin_line(out);
        print_text("to give it back: waxseal queue bounce --id ", trace, "id",
                   " --state damaged --reason TEXT", out);
    } else {
        fputs("waxseal queue show tells what is left", out);
    }
    begin_line(out);
    print_text("to throw it away: waxseal queue remove --id ", trace, "id", " --state damaged",
               out);
}

static void tell_waiting(const struct json *trace, const struct json *recipient, FILE *out)
{
    if (json_member_is(trace, "delivery", "hold")) {
        fprintf(out, "it waits: %s", print_held_words);
        return;
    }
    if (json_member_is(recipient, "state", "waits for policy"))
        print_text("we do not know yet what policy ", recipient, "next_hop",
                   " has, and ask for it again", out);
    else if (json_member_is(recipient, "state", "waits for signature"))
        fputs("it is our turn: it cannot be signed now (DKIM), for the reason above; we try again",
              out);
    else if (json_member_is(recipient, "state", "queued"))
        fputs("it was not tried yet", out);
    else if (they_spoke_last(recipient))
        fputs("it is their turn: they did not take it, and we try again", out);
    else
        fputs("we could not hand it over, and try again", out);
    print_text(" at ", recipient, "next_try", "", out);
    if (json_member_is(recipient, "hop_state", "resting"))
        print_text("; no host of its next hop could be used, so all its mail rests until ",
                   recipient, "rests_until", "", out);
    begin_line(out);
    print_text("to try it now: waxseal queue retry ", trace, "id", "", out);
}

/* Nobody's words are in its end: no host took it, a route threw it away. */
static bool was_discarded(const struct json *recipient)
{
    const struct json *events = json_get(recipient, "events");

    for (size_t i = 0; i < json_count(events); i++) {
        const struct json *event = json_item(events, i);
        if (json_member_is(event, "event", "end"))
            return json_member_is(event, "state", "delivered") &&
                   !json_bool(json_get(event, "remote"));
    }
    return false;
}

static bool was_told_of_failure(const struct json *recipient)
{
    const struct json *events = json_get(recipient, "events");

    for (size_t i = 0; i < json_count(events); i++)
        if (json_member_is(json_item(events, i), "event", "notification") &&
            json_member_is(json_item(events, i), "kind", "failed"))
            return true;
    return false;
}

static void tell_failed(const struct json *trace, const struct json *recipient, FILE *out)
{
    fputs("it has ended; the reply above says whose side it was", out);
    if (was_told_of_failure(recipient))
        return;
    bool has_none = json_get(trace, "sender") && !has_text(trace, "sender");
    fputs(has_none ? "; its sender was not told, for it has none" : "; its sender was not told",
          out);
}

static void tell_turn(const struct json *trace, const struct json *recipient, FILE *out)
{
    fputs("  now  ", out);
    if (was_discarded(recipient))
        fputs("it is gone: it went to no host", out);
    else if (json_member_is(recipient, "state", "delivered"))
        fputs("it is with the receiving host, which answers for it from here on", out);
    else if (json_member_is(recipient, "state", "failed"))
        tell_failed(trace, recipient, out);
    else if (json_member_is(recipient, "state", "removed"))
        fputs("it has ended; nobody was told", out);
    else if (json_member_is(recipient, "state", "delivering"))
        fputs("it is being delivered", out);
    else if (json_member_is(recipient, "state", "held"))
        tell_held(trace, out);
    else if (json_member_is(recipient, "state", "suspended"))
        tell_suspended(recipient, out);
    else if (json_member_is(recipient, "state", "damaged"))
        tell_damaged(trace, recipient, out);
    else
        tell_waiting(trace, recipient, out);
    fputc('\n', out);
}

/* --- all of it ------------------------------------------------------------------------------- */

static void tell_recipient(const struct json *trace, const struct json *recipient, FILE *out)
{
    const struct json *events = json_get(recipient, "events");
    int64_t lost = json_number(json_get(recipient, "attempts_not_kept"));

    print_text("\nTo <", recipient, "recipient", ">\n", out);
    if (!has_text(recipient, "recipient"))
        fputs("\nTo a recipient that cannot be read\n", out);
    for (size_t i = 0; i < json_count(events); i++)
        tell_event(json_item(events, i), out);
    if (lost > 0)
        fprintf(out, "  (of %" PRId64 " more attempts nothing is kept)\n", lost);
    tell_turn(trace, recipient, out);
}

/* Who reads of some takes them for all. */
static void tell_not_shown(const struct json *trace, FILE *out)
{
    int64_t more = json_number(json_get(trace, "recipients_not_shown"));

    if (!has_text(trace, "to_see_them"))
        return;
    if (more > 0)
        fprintf(out, "\n%" PRId64 " more recipients are not shown: ", more);
    else
        fputs("\nNot all recipients are shown: ", out);
    print_text("", trace, "to_see_them", "\n", out);
}

void story_tell(const struct json *trace, FILE *out)
{
    const struct json *recipients = json_get(trace, "recipients");

    tell_beginning(trace, out);
    for (size_t i = 0; i < json_count(recipients); i++)
        tell_recipient(trace, json_item(recipients, i), out);
    tell_not_shown(trace, out);
}
