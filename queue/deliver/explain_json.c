#include "queue/deliver/explain_json.h"

#include "lib/base/clock.h"
#include "lib/ipc/channel.h"
#include "queue/deliver/explain_words.h"
#include "queue/deliver/level.h"
#include "queue/deliver/relief.h"

static void add_time(struct json *object, const char *key, int64_t utc_ms)
{
    char text[CLOCK_TEXT_SIZE];

    clock_format_rfc3339(utc_ms, text);
    json_add_string(object, key, text);
}

static void add_problem(void *ctx, const char *what, const char *who)
{
    struct json *problem = json_append_object(ctx);

    json_add_string(problem, "what", what);
    json_add_string(problem, "who", who);
}

/* --- routes ---------------------------------------------------------------------------------- */

static void add_names(struct json *object, const char *key, const struct name_list *list)
{
    struct json *array = json_add_array(object, key);

    for (unsigned i = 0; i < list->count; i++)
        json_append_text(array, span_of(name_list_item(list, i)));
}

void explain_json_other(struct json *array, const struct route_settings *route)
{
    struct json *object = json_append_object(array);

    json_add_string(object, "route", route->name);
    add_names(object, "listeners", &route->listeners);
    add_names(object, "users", &route->users);
}

/* --- the next hop ---------------------------------------------------------------------------- */

static const char *const kinds[] = {
    [TARGET_DOMAIN] = "domain",
    [TARGET_HOST] = "host",
    [TARGET_ADDRESS] = "address",
};

static const char *const routes[] = {
    [ROUTE_FOUND] = "found", [ROUTE_NO_DOMAIN] = "no such domain", [ROUTE_NULL_MX] = "null MX",
    [ROUTE_LOOP] = "loop",   [ROUTE_NO_HOST] = "no usable name",   [ROUTE_TEMPFAIL] = "unknown",
};

static void add_exception(struct json *object, const struct target *target)
{
    int64_t now_ms = clock_utc_ms();
    const struct exception_settings *exception = relief_of_target(target, now_ms).exception;

    if (!exception)
        return;
    struct json *shown = json_add_object(object, "exception");
    json_add_string(shown, "allow", exception_allow_name(exception->allow));
    json_add_string(shown, "reason", exception->reason);
    add_time(shown, "until", exception_end_ms(exception));
    json_add_number(shown, "days_left", exception_days_left(exception, now_ms));
}

static void add_policy(struct json *object, const struct plan *plan)
{
    const Ipc__Policy *policy = plan_policy(plan);

    json_add_string(object, "policy", plan_policy_words(plan));
    if (!policy)
        return;
    json_add_text(object, "policy_id", span_of_bytes(policy->id));
    add_time(object, "policy_expires", policy->expires_utc_ms);
}

void explain_json_hop(struct json *object, const struct plan *plan)
{
    json_add_string(object, "name", plan->target.name);
    json_add_string(object, "kind", kinds[plan->target.kind]);
    json_add_number(object, "port", plan->target.port);
    if (plan->target.kind == TARGET_DOMAIN) {
        json_add_string(object, "mx", routes[plan->route.verdict]);
        json_add_bool(object, "mx_dnssec", plan->route.secure);
        json_add_number(object, "mx_left_out", plan->route.left_out);
    }
    add_policy(object, plan);
    add_exception(object, &plan->target);
    explain_hop_problems(plan, add_problem, json_add_array(object, "problems"));
}

/* --- a candidate ----------------------------------------------------------------------------- */

static void add_addresses(struct json *object, const struct addresses *addresses)
{
    struct json *array = json_add_array(object, "addresses");
    char text[NETWORK_TEXT_SIZE];

    for (unsigned i = 0; i < addresses->count; i++) {
        ip_address_format(&addresses->list[i], text);
        json_append_text(array, span_of(text));
    }
    json_add_bool(object, "addresses_dnssec", addresses->security.secure);
}

static void add_tlsa(struct json *object, const struct explain_facts *f)
{
    static const char *const worths[] = {
        [TLSA_NOT_APPLICABLE] = "none",
        [TLSA_UNUSABLE] = "unusable",
        [TLSA_USABLE] = "usable",
    };
    struct json *tlsa = json_add_object(object, "tlsa");
    char text[TLSA_TEXT_SIZE];

    json_add_string(tlsa, "worth", f->tlsa_failed ? "unknown" : worths[f->worth]);
    if (f->tlsa_reason[0] != '\0')
        json_add_string(tlsa, "reason", f->tlsa_reason);
    if (!f->tlsa)
        return;
    json_add_string(tlsa, "base", f->tlsa->base);
    struct json *records = json_add_array(tlsa, "records");
    for (unsigned i = 0; i < f->tlsa->count; i++) {
        tlsa_text(f->tlsa->records[i], text, sizeof(text));
        json_append_text(records, span_of(text));
    }
}

/* Whose policy it is: the base domain of TLSA records, else the recipient's (RFC 8460 s.4.4). */
static const char *policy_domain(const struct explain_facts *f, const struct sts_decision *decision)
{
    if (decision->counted_under != POLICY_SOURCE_DANE)
        return f->plan->target.name;
    return f->tlsa ? f->tlsa->base : explain_mx(f);
}

static void add_report(struct json *object, const struct explain_facts *f,
                       const struct sts_decision *decision)
{
    static const char *const types[] = {
        [POLICY_SOURCE_NONE] = "no-policy-found",
        [POLICY_SOURCE_STS] = "sts",
        [POLICY_SOURCE_DANE] = "tlsa",
    };
    struct json *report = json_add_object(object, "report");

    json_add_bool(report, "counted", decision->report);
    json_add_string(report, "policy_type", types[decision->counted_under]);
    json_add_string(report, "policy_domain", policy_domain(f, decision));
    json_add_string(report, "result", tls_result_name(decision->result));
    json_add_string(report, "reason", decision->reason);
}

static void add_certificate(struct json *object, const struct tls_session *s)
{
    struct json *certificate = json_add_object(object, "certificate");

    json_add_string(certificate, "subject", s->subject);
    json_add_string(certificate, "names", s->names);
    json_add_string(certificate, "issuer", s->issuer);
    add_time(certificate, "expires", s->not_after_utc_ms);
    json_add_string(certificate, "key_sha256", s->key_sha256);
    json_add_string(certificate, "verify_result", level_verify_word(s));
    if (s->tlsa[0] != '\0')
        json_add_string(certificate, "tlsa_record", s->tlsa);
}

static const char *tls_words(enum session_tls tls)
{
    static const char *const words[] = {
        [SESSION_TLS_NOT_OFFERED] = "not offered",
        [SESSION_TLS_REFUSED] = "refused",
        [SESSION_TLS_FAILED] = "failed",
        [SESSION_TLS_NOT_TRIED] = "not tried",
        [SESSION_TLS_ON] = "on",
    };
    return words[tls];
}

static void add_session(struct json *object, const struct explain_facts *f)
{
    struct json *session = json_add_object(object, "session");

    json_add_string(session, "address", f->address);
    json_add_string(session, "tls", tls_words(f->facts.tls));
    if (f->facts.tls == SESSION_TLS_ON) {
        json_add_string(session, "version", f->session.version);
        json_add_string(session, "cipher", f->session.cipher);
        json_add_string(session, "group", f->session.group);
    }
    if (f->facts.tls == SESSION_TLS_ON && f->session.cert != CERT_NONE)
        add_certificate(session, &f->session);
    json_add_string(session, "level", f->level);
}

static void add_contact(struct json *object, const struct explain_facts *f)
{
    static const char *const contacts[] = {
        [CONTACT_NONE] = "none",
        [CONTACT_FAILED] = "failed",
        [CONTACT_JUDGED] = "session",
    };
    const struct sts_decision tlsa_failed = { .report = true,
                                              .counted_under = POLICY_SOURCE_DANE,
                                              .result = TLS_RESULT_DNSSEC_INVALID,
                                              .reason = "TLSA records not known" };

    json_add_string(object, "contact", contacts[f->contact]);
    if (f->behind_own)
        return;
    if (f->said[0] != '\0')
        json_add_string(object, "said", f->said);
    if (f->contact == CONTACT_JUDGED)
        add_session(object, f);
    if (f->tlsa_failed)
        add_report(object, f, &tlsa_failed);
    else if (f->contact == CONTACT_JUDGED)
        add_report(object, f, &f->judged);
    else if (!f->decision.deliver && f->decision.report)
        add_report(object, f, &f->decision);
}

void explain_json_host(struct json *array, const struct explain_facts *f)
{
    const struct mx_candidate *candidate = &f->plan->route.candidates[f->candidate];
    struct json *object = json_append_object(array);

    json_add_string(object, "mx", candidate->name);
    json_add_number(object, "preference", candidate->preference);
    json_add_bool(object, "implicit", candidate->implicit);
    if (f->is_known) {
        add_addresses(object, &f->addresses);
        add_tlsa(object, f);
        if (plan_policy(f->plan))
            json_add_bool(object, "listed", f->facts.mx_listed);
        json_add_string(object, "level_wanted", level_wanted(&f->decision));
        json_add_bool(object, "tried", explain_is_open(f));
        add_contact(object, f);
    }
    json_add_bool(object, "usable", explain_is_usable(f));
    explain_host_problems(f, add_problem, json_add_array(object, "problems"));
}

const char *explain_verdict_name(enum explain_verdict verdict)
{
    static const char *const names[] = {
        [EXPLAIN_SECURE] = "securely",
        [EXPLAIN_DELIVERABLE] = "yes",
        [EXPLAIN_NOWHERE] = "no",
    };
    return names[verdict];
}
