#include "supervisor/explain_text.h"

#include "supervisor/print.h"

#include <inttypes.h>

enum { STATUS_SECURE, STATUS_DELIVERABLE, STATUS_NOWHERE };

/* --- words ----------------------------------------------------------------------------------- */

static bool is_true(const struct json *object, const char *key)
{
    return json_bool(json_get(object, key));
}

static void tell_list(const char *before, const struct json *array, const char *between,
                      const char *after, FILE *out)
{
    if (json_count(array) == 0)
        return;
    fputs(before, out);
    for (size_t i = 0; i < json_count(array); i++) {
        fputs(i > 0 ? between : "", out);
        print_safe(json_text(json_item(array, i)), out);
    }
    fputs(after, out);
}

static void tell_problems(const char *indent, const struct json *of, FILE *out)
{
    const struct json *problems = json_get(of, "problems");

    for (size_t i = 0; i < json_count(problems); i++) {
        const struct json *problem = json_item(problems, i);
        fputs(indent, out);
        print_text("wrong: ", problem, "what", "\n", out);
        fputs(indent, out);
        print_text("       to be mended by ", problem, "who", "\n", out);
    }
}

/* --- where it goes --------------------------------------------------------------------------- */

static void tell_dnssec(const struct json *dnssec, FILE *out)
{
    if (json_member_is(dnssec, "state", "on"))
        return;
    fputs("DNSSEC cannot be judged, so that DANE is off", out);
    print_text(": ", dnssec, "reason", "", out);
    fputs("\n  to be mended by the administrator of this relay\n", out);
}

static void tell_beginning(const struct json *found, FILE *out)
{
    print_text("Mail for ", found, "address", "", out);
    print_text(", which becomes ", found, "rewritten", ",", out);
    print_text(" goes by route ", found, "route", "", out);
    if (json_member_is(found, "ends", "error")) {
        print_text(", which refuses it: ", found, "text", "\n", out);
        return;
    }
    if (json_member_is(found, "ends", "discard")) {
        fputs(", which throws it away\n", out);
        return;
    }
    print_text(json_member_text(found, "route").len > 0 ? ", to " : " goes to ", found, "next_hop",
               "\n", out);
    tell_dnssec(json_get(found, "dnssec"), out);
}

/* By which listener it comes in, or from whom, decides. */
static void tell_other_routes(const struct json *found, FILE *out)
{
    const struct json *others = json_get(found, "other_routes");

    for (size_t i = 0; i < json_count(others); i++) {
        const struct json *other = json_item(others, i);
        fputs(i == 0 ? "  but mail that came in" : "  else mail that came in", out);
        tell_list(" by listener ", json_get(other, "listeners"), " or ", "", out);
        tell_list(" from user ", json_get(other, "users"), " or ", "", out);
        print_text(" goes by route ", other, "route", "\n", out);
    }
}

/* What keeps mail waiting here.  A rest ends by itself before long, and changes no verdict. */
static void tell_queue(const struct json *found, FILE *out)
{
    const struct json *queue = json_get(found, "queue");

    print_text("  it is not known whether mail waits here: ", found, "queue_unknown", "\n", out);
    if (json_member_is(queue, "delivery", "hold"))
        fprintf(out, "  mail waits: %s\n", print_held_words);
    if (json_member_is(queue, "hop_state", "suspended")) {
        bool is_open = json_member_is(queue, "suspended_until", "resumed");
        fputs("  mail waits: an operator suspended this next hop", out);
        print_text(is_open ? " until it is " : " until ", queue, "suspended_until", "", out);
        print_text(": ", queue, "suspended_reason", "", out);
        print_text("\n    to let mail go: waxseal queue resume ", found, "next_hop", "\n", out);
    }
    if (json_member_is(queue, "hop_state", "resting"))
        print_text("  no host of it could be used at the last attempt: all its mail rests until ",
                   queue, "rests_until", "\n", out);
}

/* --- the policy ------------------------------------------------------------------------------ */

static void tell_published(const struct json *published, FILE *out)
{
    if (json_member_is(published, "txt", "no_record")) {
        fputs("  published now: no MTA-STS policy\n", out);
        return;
    }
    print_text("  published now: TXT record ", published, "txt", "", out);
    print_text(", id ", published, "id", "", out);
    print_text("; mode ", published, "mode", "", out);
    tell_list(", mx ", json_get(published, "mx"), " ", "", out);
    if (json_number(json_get(published, "mx_left_out")) > 0)
        fprintf(out, " and %" PRId64 " more", json_number(json_get(published, "mx_left_out")));
    if (json_get(published, "max_age"))
        fprintf(out, ", max_age %" PRId64, json_number(json_get(published, "max_age")));
    if (!json_member_is(published, "fetch", "success"))
        print_text("; ", published, "fetch", "", out);
    fputc('\n', out);
}

static void tell_alarm(const struct json *alarm, FILE *out)
{
    print_text("  alarm: ", alarm, "alarm", "", out);
    print_text(" since ", alarm, "since", "", out);
    if (json_get(alarm, "days_left"))
        fprintf(out, ", days left: %" PRId64, json_number(json_get(alarm, "days_left")));
    print_text(": ", alarm, "detail", "", out);
    fputc('\n', out);
}

/* In the greatest unit that there is one of. */
static void tell_age(int64_t seconds, FILE *out)
{
    static const struct {
        int64_t seconds;
        const char *name;
    } units[] = { { 86400, "days" }, { 3600, "hours" }, { 60, "minutes" }, { 1, "seconds" } };
    size_t i = 0;

    while (units[i].seconds > 1 && seconds < 2 * units[i].seconds)
        i++;
    fprintf(out, " (%" PRId64 " %s ago)", seconds / units[i].seconds, units[i].name);
}

static void tell_cached(const struct json *policy, FILE *out)
{
    const struct json *cached = json_get(policy, "cached");

    print_text("  cached: mode ", cached, "mode", "", out);
    print_text(", id ", cached, "id", "", out);
    print_text(", fetched ", cached, "fetched", "", out);
    tell_age(json_number(json_get(policy, "cached_age_s")), out);
    print_text(is_true(cached, "expired") ? ", lapsed " : ", until ", cached, "expires", "", out);
    print_text(", next refresh ", cached, "next_refresh", "\n", out);
    for (size_t i = 0; i < json_count(json_get(cached, "alarms")); i++)
        tell_alarm(json_item(json_get(cached, "alarms"), i), out);
}

/* What the role policy has to say of the hop's domain; NULL: nothing. */
static const struct json *policy_of(const struct json *found, const struct json *hop)
{
    const struct json *policies = json_get(found, "policies");

    for (size_t i = 0; i < json_count(policies); i++)
        if (span_equal(json_member_text(json_item(policies, i), "domain"),
                       json_member_text(hop, "name")))
            return json_item(policies, i);
    return NULL;
}

static void tell_exception(const struct json *exception, FILE *out)
{
    if (!exception)
        return;
    print_text("  exception: ", exception, "allow", "", out);
    print_text(" until ", exception, "until", "", out);
    fprintf(out, ", days left: %" PRId64, json_number(json_get(exception, "days_left")));
    print_text(": ", exception, "reason", "\n", out);
}

static void tell_policy(const struct json *found, const struct json *hop, FILE *out)
{
    const struct json *policy = policy_of(found, hop);

    print_text("  policy that binds: ", hop, "policy", "", out);
    print_text(", id ", hop, "policy_id", "", out);
    print_text(", until ", hop, "policy_expires", "", out);
    fputc('\n', out);
    tell_exception(json_get(hop, "exception"), out);
    if (!policy)
        return;
    if (json_kind_of(json_get(policy, "cached")) == JSON_KIND_OBJECT)
        tell_cached(policy, out);
    if (json_get(policy, "published"))
        tell_published(json_get(policy, "published"), out);
    tell_problems("  ", policy, out);
}

static void tell_reports(const struct json *hop, FILE *out)
{
    const struct json *records = json_get(hop, "report_records");

    print_text("  TLS reports: where they go is not known: ", hop, "report_records_unknown", "\n",
               out);
    if (!records)
        return;
    if (json_count(records) == 0)
        fputs("  TLS reports: nobody asks for any\n", out);
    else if (json_count(records) > 1)
        fputs("  TLS reports: several records, which is as good as none\n", out);
    else
        tell_list("  TLS reports: ", records, "", "\n", out);
}

/* --- a host ---------------------------------------------------------------------------------- */

static void tell_dns(const struct json *host, FILE *out)
{
    const struct json *tlsa = json_get(host, "tlsa");

    tell_list("    addresses: ", json_get(host, "addresses"), ", ",
              is_true(host, "addresses_dnssec") ? " (with DNSSEC)\n" : " (without DNSSEC)\n", out);
    print_text("    TLSA records: ", tlsa, "worth", "", out);
    print_text(" at ", tlsa, "base", "", out);
    print_text("; ", tlsa, "reason", "", out);
    tell_list(": ", json_get(tlsa, "records"), "; ", "", out);
    fputc('\n', out);
}

static void tell_certificate(const struct json *certificate, FILE *out)
{
    print_text("      certificate: subject ", certificate, "subject", "", out);
    print_text("; names ", certificate, "names", "", out);
    print_text("; issuer ", certificate, "issuer", "", out);
    print_text("; expires ", certificate, "expires", "", out);
    print_text("; ", certificate, "verify_result", "\n", out);
    print_text("      its key: sha256 ", certificate, "key_sha256", "\n", out);
    print_text("      it fits TLSA record ", certificate, "tlsa_record", "\n", out);
}

static void tell_session(const struct json *session, FILE *out)
{
    print_text("    session with [", session, "address", "]: ", out);
    if (json_member_is(session, "tls", "on")) {
        print_text("", session, "version", "", out);
        print_text(" ", session, "cipher", "", out);
        print_text(" ", session, "group", "", out);
    } else {
        print_text("TLS ", session, "tls", "", out);
    }
    print_text(" (", session, "level", ")", out);
    fputc('\n', out);
    if (json_get(session, "certificate"))
        tell_certificate(json_get(session, "certificate"), out);
}

static void tell_report(const struct json *report, FILE *out)
{
    if (!is_true(report, "counted")) {
        fputs("    in TLS reports: not counted\n", out);
        return;
    }
    print_text("    in TLS reports: ", report, "policy_type", "", out);
    print_text(" of ", report, "policy_domain", "", out);
    print_text(", ", report, "result", "\n", out);
}

static void tell_host(const struct json *host, FILE *out)
{
    print_text("\n  ", host, "mx", "", out);
    if (is_true(host, "implicit"))
        fputs(" (the domain itself, for it has no MX record)", out);
    else if (json_number(json_get(host, "preference")) > 0)
        fprintf(out, ", preference %" PRId64, json_number(json_get(host, "preference")));
    fputs(is_true(host, "usable") ? "\n" : ": mail cannot go there now\n", out);
    if (json_get(host, "tlsa"))
        tell_dns(host, out);
    print_text("    wanted: ", host, "level_wanted", "\n", out);
    if (json_get(host, "session"))
        tell_session(json_get(host, "session"), out);
    if (json_get(host, "report"))
        tell_report(json_get(host, "report"), out);
    tell_problems("    ", host, out);
}

static void tell_hop(const struct json *found, const struct json *hop, FILE *out)
{
    const struct json *hosts = json_get(hop, "hosts");

    print_text("\n", hop, "name", "", out);
    if (json_get(hop, "mx"))
        fputs(is_true(hop, "mx_dnssec") ? ", MX records with DNSSEC"
                                        : ", MX records without DNSSEC",
              out);
    if (json_number(json_get(hop, "mx_left_out")) > 0)
        fprintf(out, "; %" PRId64 " more hosts, which mail never goes to",
                json_number(json_get(hop, "mx_left_out")));
    fputc('\n', out);
    if (json_member_is(hop, "kind", "domain"))
        tell_policy(found, hop, out);
    tell_reports(hop, out);
    tell_problems("  ", hop, out);
    for (size_t i = 0; i < json_count(hosts); i++)
        tell_host(json_item(hosts, i), out);
}

/* --- all of it ------------------------------------------------------------------------------- */

int explain_status(const struct json *found)
{
    if (json_member_is(found, "deliverable", "securely"))
        return STATUS_SECURE;
    return json_member_is(found, "deliverable", "yes") ? STATUS_DELIVERABLE : STATUS_NOWHERE;
}

static const char *verdict_words(const struct json *deliverable)
{
    if (span_equal(json_text(deliverable), SPAN("securely")))
        return "deliverable securely: nothing goes but to a host that has proved itself";
    if (span_equal(json_text(deliverable), SPAN("yes")))
        return "deliverable, but whoever stands in between may read it: nobody says that the host "
               "has to prove itself";
    return "not deliverable now";
}

static void tell_verdict(const struct json *found, FILE *out)
{
    const struct json *then = json_get(found, "deliverable_then");

    fprintf(out, "\n%s", verdict_words(json_get(found, "deliverable")));
    if (then && !span_equal(json_text(then), SPAN("no")))
        fprintf(out, ", for mail waits as said above; but for that %s", verdict_words(then));
    fputs(is_true(found, "offline") ? " (no host was contacted)\n" : "\n", out);
}

void explain_tell(const struct json *found, FILE *out)
{
    const struct json *hops = json_get(found, "hops");

    tell_beginning(found, out);
    tell_other_routes(found, out);
    tell_queue(found, out);
    for (size_t i = 0; i < json_count(hops); i++)
        tell_hop(found, json_item(hops, i), out);
    if (is_true(found, "cut"))
        fputs("\nThere are more hosts, which nobody looked at.\n", out);
    if (is_true(found, "late"))
        fputs("\nNot all that was asked was answered in time.\n", out);
    tell_verdict(found, out);
}
