#include "supervisor/tlsrpt_read_text.h"

#include "supervisor/print.h"

#include <inttypes.h>
#include <string.h>

enum { LABEL_WIDTH = 12, LINE_WIDTH = 79, INDENT = 2 };

/* --- lines ----------------------------------------------------------------------------------- */

static int64_t number(const struct json *object, const char *key)
{
    return json_number(json_get(object, key));
}

static void tell_label(const char *label, FILE *out)
{
    fprintf(out, "%*s%-*s", INDENT, "", LABEL_WIDTH, label);
}

/* "  reason      X509_V_ERR_CERT_HAS_EXPIRED"; nothing when there is no such text. */
static void tell_line(const char *label, const struct json *object, const char *key, FILE *out)
{
    if (json_member_text(object, key).len == 0)
        return;
    tell_label(label, out);
    print_text("", object, key, "\n", out);
}

/* Sentences, in as many lines as they need. */
static void tell_wrapped(const char *label, struct span text, FILE *out)
{
    size_t column = INDENT + LABEL_WIDTH;
    struct span word;

    tell_label(label, out);
    while (span_cut(&text, ' ', &word)) {
        size_t width = print_safe(word, NULL);
        if (column > INDENT + LABEL_WIDTH && column + 1 + width > LINE_WIDTH) {
            fprintf(out, "\n%*s", INDENT + LABEL_WIDTH, "");
            column = INDENT + LABEL_WIDTH;
        } else if (column > INDENT + LABEL_WIDTH) {
            fputc(' ', out);
            column++;
        }
        column += print_safe(word, out);
    }
    fputc('\n', out);
}

static void tell_sentences(const char *label, const struct json *object, const char *key, FILE *out)
{
    if (json_member_text(object, key).len > 0)
        tell_wrapped(label, json_member_text(object, key), out);
}

static const char *plural(int64_t count)
{
    return count == 1 ? "" : "s";
}

/* --- who, about whom, when ------------------------------------------------------------------- */

/* Its day, when the text says no more: "2026-01-30" of "2026-01-30T00:00:00Z". */
static bool is_a_day(struct span begin, struct span end)
{
    const size_t day = 10;

    return span_equal(span_from(begin, day), SPAN("T00:00:00Z")) &&
           span_equal(span_from(end, day), SPAN("T23:59:59Z")) &&
           span_equal(span_first(begin, day), span_first(end, day));
}

static void tell_period(const struct json *report, FILE *out)
{
    const struct json *range = json_get(report, "date-range");
    struct span begin = json_member_text(range, "start-datetime");
    struct span end = json_member_text(range, "end-datetime");

    tell_label(is_a_day(begin, end) ? "day" : "period", out);
    print_safe(is_a_day(begin, end) ? span_first(begin, 10) : begin, out);
    if (is_a_day(begin, end)) {
        fputs(" (UTC)\n", out);
        return;
    }
    fputs(" to ", out);
    print_safe(end, out);
    fputc('\n', out);
}

static void tell_mail(const struct json *mail, FILE *out)
{
    if (!mail)
        return;
    tell_label("came in", out);
    fputs(json_bool(json_get(mail, "forwarded")) ? "a forwarded mail" : "a mail", out);
    print_text(" from ", mail, "from", "", out);
    print_text(", as ", mail, "file-name", "", out);
    fputc('\n', out);
}

/* The first policy that is the domain's: DANE's are of its MX hosts, if there are others. */
static const struct json *policy_of_subject(const struct json *policies)
{
    size_t at = 0;

    while (at < json_count(policies) && json_member_is(json_item(policies, at), "type", "tlsa"))
        at++;
    return json_item(policies, at < json_count(policies) ? at : 0);
}

static void tell_head(const struct json *told, FILE *out)
{
    const struct json *report = json_get(told, "report");

    fputs("TLS report", out);
    print_text(" about ", policy_of_subject(json_get(told, "policies")), "domain", "", out);
    print_text(", by ", report, "organization-name", "", out);
    fputc('\n', out);
    tell_period(report, out);
    tell_line("contact", report, "contact-info", out);
    tell_line("report id", report, "report-id", out);
    tell_mail(json_get(told, "mail"), out);
}

/* --- what the sessions came to --------------------------------------------------------------- */

static void tell_sums(const struct json *told, FILE *out)
{
    int64_t good = number(told, "succeeded");
    int64_t bad = number(told, "failed");

    fprintf(out, "\n%" PRId64 " session%s succeeded, %" PRId64 " failed.\n", good, plural(good),
            bad);
}

static const char *words_for_type(const struct json *policy)
{
    if (json_member_is(policy, "type", "sts"))
        return "MTA-STS policy";
    if (json_member_is(policy, "type", "tlsa"))
        return "TLSA records (DANE)";
    return json_member_is(policy, "type", "no-policy-found") ? "no policy" : "another policy";
}

static void tell_policy_name(const struct json *policy, FILE *out)
{
    fputs(words_for_type(policy), out);
    print_text(" of ", policy, "domain", "", out);
    print_text(", mode ", policy, "mode", "", out);
}

static void tell_policy(const struct json *policy, FILE *out)
{
    fputs("- ", out);
    tell_policy_name(policy, out);
    fprintf(out, ": %" PRId64 " succeeded, %" PRId64 " failed\n", number(policy, "succeeded"),
            number(policy, "failed"));
    tell_sentences("", policy, "hint", out);
}

static void tell_policies(const struct json *told, FILE *out)
{
    const struct json *policies = json_get(told, "policies");

    for (size_t i = 0; i < json_count(policies); i++)
        tell_policy(json_item(policies, i), out);
    if (number(told, "policies_left_out") > 0)
        fprintf(out, "- and %" PRId64 " more\n", number(told, "policies_left_out"));
}

/* --- what failed ----------------------------------------------------------------------------- */

static void tell_receiver(const char *label, const struct json *receiver, FILE *out)
{
    bool has_host = json_member_text(receiver, "host").len > 0;

    tell_label(label, out);
    print_text("", receiver, "host", "", out);
    print_text(has_host ? " [" : "[", receiver, "address", "]", out);
    print_text(", which calls itself ", receiver, "helo", "", out);
    print_text("; see ", receiver, "information", "", out);
    fputc('\n', out);
}

static void tell_places(const struct json *finding, FILE *out)
{
    const struct json *receivers = json_get(finding, "receivers");
    const struct json *senders = json_get(finding, "senders");

    for (size_t i = 0; i < json_count(receivers); i++)
        tell_receiver(i == 0 ? "at" : "", json_item(receivers, i), out);
    if (json_bool(json_get(finding, "more_receivers")))
        tell_wrapped("", SPAN("and others"), out);
    for (size_t i = 0; i < json_count(senders); i++) {
        tell_label(i == 0 ? "seen from" : "", out);
        print_safe(json_text(json_item(senders, i)), out);
        fputc('\n', out);
    }
    if (json_bool(json_get(finding, "more_senders")))
        tell_wrapped("", SPAN("and others"), out);
}

static void tell_finding(const struct json *told, size_t at, FILE *out)
{
    const struct json *finding = json_item(json_get(told, "findings"), at);
    bool is_named = json_member_text(finding, "result").len > 0;

    fprintf(out, "\n%zu. ", at + 1);
    print_text("", finding, "result", "", out);
    fprintf(out, "%s: %" PRId64 " session%s, ", is_named ? "" : "not said what",
            number(finding, "sessions"), plural(number(finding, "sessions")));
    tell_policy_name(finding, out);
    fputc('\n', out);
    tell_line("reason", finding, "reason", out);
    tell_places(finding, out);
    tell_sentences("cause", finding, "cause", out);
    tell_sentences("effect", finding, "effect", out);
    tell_sentences("whose turn", finding, "who", out);
    tell_sentences("to do", finding, "mend", out);
    tell_line("look", finding, "check", out);
}

static void tell_findings(const struct json *told, FILE *out)
{
    for (size_t i = 0; i < json_count(json_get(told, "findings")); i++)
        tell_finding(told, i, out);
    if (number(told, "findings_left_out") > 0)
        fprintf(out, "\nand %" PRId64 " more kinds of failures, with fewer sessions\n",
                number(told, "findings_left_out"));
}

/* --- its form -------------------------------------------------------------------------------- */

static void tell_notes(const struct json *notes, FILE *out)
{
    if (json_count(notes) > 0)
        fputs("\nWhere it differs from RFC 8460:\n", out);
    for (size_t i = 0; i < json_count(notes); i++) {
        const struct json *note = json_item(notes, i);
        print_text("- ", note, "note", "", out);
        if (number(note, "times") > 1)
            fprintf(out, " (%" PRId64 " times)", number(note, "times"));
        fputc('\n', out);
    }
}

void tlsrpt_read_tell(const struct json *told, FILE *out)
{
    tell_head(told, out);
    tell_sums(told, out);
    tell_policies(told, out);
    tell_findings(told, out);
    tell_notes(json_get(told, "notes"), out);
}
