/* What deliver would do with each host, by policy/decide. */
#include "tests/vectors/decisions.h"

#include "policy/decide.h"
#include "policy/mx_match.h"

#include <string.h>

struct attempt {
    const json_t *given;
    const char *domain;
    const struct found_policy *found;
    json_t *got;
    bool is_transient; /* something that may be otherwise later stood in the way */
    const char *status;
    const char *message;
};

static bool is_text(const json_t *object, const char *key, const char *text)
{
    return span_equal(text_of(json_object_get(object, key)), span_of(text));
}

static const json_t *message_of(const struct attempt *a)
{
    return json_object_get(a->given, "message");
}

static bool asks_for_tls(const struct attempt *a)
{
    return json_is_true(json_object_get(message_of(a), "requiretls"));
}

/* --- facts */

static bool is_listed(const struct sts_policy *policy, const json_t *mx)
{
    for (unsigned i = 0; policy && i < policy->mx_count; i++)
        if (mx_match(text_of(json_object_get(mx, "host")), span_of(policy->mx[i])))
            return true;
    return false;
}

/* RFC 8689 s.3; reports go through whatever the policy says (RFC 8460 s.3). */
static enum policy_relief relief_of(const struct attempt *a)
{
    struct span field = text_of(json_object_get(message_of(a), "tls_required_header"));
    bool is_report = json_is_true(json_object_get(message_of(a), "is_tls_report"));

    return is_report || span_equal_nocase(field, SPAN("No")) ? RELIEF_FULL : RELIEF_NONE;
}

/* Records are looked for where the MX records came with DNSSEC (rfc/dane-smtp.md DANE-22). */
static bool has_tlsa(const struct attempt *a, const json_t *mx, const char *worth)
{
    return is_text(a->given, "mx_dnssec", "secure") && is_text(mx, "tlsa", worth);
}

static enum tlsa_worth worth_of(const struct attempt *a, const json_t *mx)
{
    if (has_tlsa(a, mx, "match") || has_tlsa(a, mx, "mismatch"))
        return TLSA_USABLE;
    return has_tlsa(a, mx, "unusable") ? TLSA_UNUSABLE : TLSA_NOT_APPLICABLE;
}

static struct sts_facts facts_of(const struct attempt *a, const json_t *mx)
{
    const struct sts_policy *policy = a->found->policy;

    return (struct sts_facts){
        .source = policy ? POLICY_SOURCE_STS : POLICY_SOURCE_NONE,
        .mode = policy ? policy->mode : STS_NONE,
        .mx_listed = is_listed(policy, mx),
        .tlsa = worth_of(a, mx),
        .relief = relief_of(a),
        .mx_is_sure = is_text(a->given, "mx_dnssec", "secure"),
        .require_tls = asks_for_tls(a),
    };
}

/* Where the certificate's names are given, they are matched as for the area cert_match. */
static bool has_other_names(const json_t *mx)
{
    json_t *names = json_object_get(mx, "cert_names");

    if (json_array_size(names) == 0)
        return false;
    json_t *given =
        json_pack("{s:O, s:O}", "reference", json_object_get(mx, "host"), "san_dns", names);
    json_t *got = judge_certificate(given);
    bool match = json_is_true(json_object_get(got, "match"));
    json_decref(given);
    json_decref(got);
    return !match;
}

static enum cert_verdict cert_of(const struct attempt *a, const json_t *mx)
{
    if (worth_of(a, mx) == TLSA_USABLE)
        return has_tlsa(a, mx, "match") ? CERT_OK : CERT_NOT_TRUSTED;
    if (is_text(mx, "cert", "ok"))
        return has_other_names(mx) ? CERT_HOST_MISMATCH : CERT_OK;
    if (is_text(mx, "cert", "expired"))
        return CERT_EXPIRED;
    if (is_text(mx, "cert", "name_mismatch") || is_text(mx, "cert", "expired_and_name_mismatch"))
        return CERT_HOST_MISMATCH;
    return json_is_string(json_object_get(mx, "cert")) ? CERT_NOT_TRUSTED : CERT_NONE;
}

static enum session_tls tls_of(const json_t *mx)
{
    if (is_text(mx, "starttls", "ok"))
        return SESSION_TLS_ON;
    if (is_text(mx, "starttls", "refused_454"))
        return SESSION_TLS_REFUSED;
    return is_text(mx, "starttls", "handshake_fails") ? SESSION_TLS_FAILED
                                                      : SESSION_TLS_NOT_OFFERED;
}

/* --- what is counted (queue/deliver/report) */

static json_t *report_of(json_t *got, const char *policy_type, const char *policy_domain)
{
    json_t *reports = json_object_get(got, "report");
    json_t *report;
    size_t i;

    json_array_foreach(reports, i,
                       report) if (is_text(report, "policy_type", policy_type) &&
                                   is_text(report, "policy_domain", policy_domain)) return report;
    report = json_pack("{s:s, s:s, s:i, s:i, s:[]}", "policy_type", policy_type, "policy_domain",
                       policy_domain, "success", 0, "failure", 0, "result_types");
    json_array_append_new(reports, report);
    return report;
}

static void note_result(json_t *got, const char *policy_type, const char *policy_domain,
                        enum tls_result result)
{
    json_t *types = json_object_get(report_of(got, policy_type, policy_domain), "result_types");

    json_array_append_new(types, json_string(tls_result_name(result)));
}

void count_session(json_t *got, const char *policy_type, const char *policy_domain,
                   enum tls_result result)
{
    json_t *report = report_of(got, policy_type, policy_domain);
    const char *key = result == TLS_RESULT_SUCCESS ? "success" : "failure";

    json_object_set_new(report, key,
                        json_integer(json_integer_value(json_object_get(report, key)) + 1));
    if (result != TLS_RESULT_SUCCESS)
        note_result(got, policy_type, policy_domain, result);
}

static void count(struct attempt *a, const struct sts_decision *d, const json_t *mx)
{
    static const char *const types[] = { "no-policy-found", "sts", "tlsa" };
    const char *domain = d->counted_under == POLICY_SOURCE_DANE
                             ? text_of(json_object_get(mx, "host")).data
                             : a->domain;
    bool is_report = json_is_true(json_object_get(message_of(a), "is_tls_report"));

    if (!d->report || is_report)
        return;
    count_session(a->got, types[d->counted_under], domain, d->result);
}

/* --- a host */

static const char *action_of(const struct sts_facts *f)
{
    bool has_policy = f->source == POLICY_SOURCE_STS && f->mode != STS_NONE;

    if (f->tls != SESSION_TLS_ON)
        return "clear";
    if (f->tlsa == TLSA_USABLE)
        return f->cert == CERT_OK ? "tls_auth_dane" : "tls_unauth";
    return has_policy && f->mx_listed && f->cert == CERT_OK ? "tls_auth_sts" : "tls_unauth";
}

/* No connection, or no answer of DNS: no matter of policy. */
static const char *pass_over(struct attempt *a)
{
    a->is_transient = true;
    return "skip";
}

/* As many connections as the decisions allow; what was done with the host at last. */
static const char *connect_to(struct attempt *a, const json_t *mx, struct sts_facts f,
                              struct sts_decision d)
{
    bool use_tls = d.use_tls;

    f.floor = d.floor;
    for (;;) {
        f.tls = use_tls ? tls_of(mx) : SESSION_TLS_NOT_TRIED;
        f.cert = cert_of(a, mx);
        d = sts_decide_session(f);
        count(a, &d, mx);
        if (d.deliver && f.require_tls &&
            !json_is_true(json_object_get(mx, "requiretls_offered"))) {
            a->status = "5.7.30"; /* dialogue's part */
            return "skip";
        }
        if (d.deliver)
            return action_of(&f);
        f.failed_before = true;
        if (f.tls != SESSION_TLS_FAILED || !sts_decide_again(&d, &f.floor, &use_tls))
            return "skip";
    }
}

static const char *try_host(struct attempt *a, const json_t *mx)
{
    struct sts_facts f = facts_of(a, mx);
    struct sts_decision d = sts_decide_candidate(f);

    /* DNS that fails leaves nothing to decide, relief or not (RFC 7672 s.2.1.2, RFC 8689 s.3). */
    if (has_tlsa(a, mx, "lookup_error") && f.relief != RELIEF_FULL)
        return pass_over(a);
    a->status = f.require_tls ? "5.7.10" : "4.7.5";
    if (!d.deliver) {
        count(a, &d, mx);
        return "skip";
    }
    if (is_text(mx, "starttls", "unreachable"))
        return pass_over(a);
    return connect_to(a, mx, f, d);
}

/* --- all of them */

static void add_attempt(struct attempt *a, const json_t *mx, const char *action)
{
    json_array_append_new(
        json_object_get(a->got, "attempts"),
        json_pack("{s:O, s:s}", "host", json_object_get(mx, "host"), "action", action));
}

/* What the host then said of the mail is no matter of policy. */
static void take_reply(struct attempt *a, const json_t *mx)
{
    struct span reply = text_of(json_object_get(mx, "smtp_result"));

    a->status = "";
    a->message = "delivered";
    if (reply.len > 0 && reply.data[0] == '4')
        a->message = "deferred";
    else if (reply.len > 0 && reply.data[0] == '5')
        a->message = "bounced";
    if (asks_for_tls(a))
        json_object_set_new(a->got, "mail_from_parameter", json_string("REQUIRETLS"));
}

/* Behind our own name in the list nobody is tried (RFC 5321 s.5.1). */
static void try_hosts(struct attempt *a)
{
    bool is_mx_known = !is_text(a->given, "mx_dnssec", "bogus");
    bool is_over = false, is_behind_us = false;
    json_t *mx;
    size_t i;

    json_array_foreach(json_object_get(a->given, "mx"), i, mx)
    {
        const char *action = is_over ? "not_tried" : "skip";
        is_behind_us = is_behind_us || json_is_true(json_object_get(mx, "is_self"));
        if (!is_over && !is_mx_known)
            action = pass_over(a);
        else if (!is_over && !is_behind_us)
            action = try_host(a, mx);
        add_attempt(a, mx, action);
        if (is_over || strcmp(action, "skip") == 0)
            continue;
        is_over = true;
        take_reply(a, mx);
    }
}

void play_attempt(const json_t *given, const char *domain, const struct found_policy *found,
                  json_t *got)
{
    struct attempt a = { .given = given, .domain = domain, .found = found, .got = got };
    bool is_last = is_text(given, "event", "final_attempt");

    json_object_set_new(got, "attempts", json_array());
    try_hosts(&a);
    if (!a.message)
        a.message = is_last || (asks_for_tls(&a) && !a.is_transient) ? "bounced" : "deferred";
    json_object_set_new(got, "message", json_string(a.message));
    if (a.status)
        json_object_set_new(got, "enhanced_status", json_string(a.status));
    if (json_is_false(json_object_get(given, "tlsrpt_published")))
        json_array_clear(json_object_get(got, "report")); /* tlsrpt finds nobody to tell */
}
