#include "tests/support/test.h"

#include "lib/base/clock.h"
#include "lib/ipc/channel.h"
#include "queue/deliver/explain_json.h"
#include "queue/deliver/explain_words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- a plan for mx.example.net, and what is said of it */

static struct plan plan;
static Ipc__PolicyAnswer answer;
static Ipc__Policy policy;
static ProtobufCBinaryData patterns[8];
static char said[8192];

static ProtobufCBinaryData bytes(const char *text)
{
    return bytes_of_span(span_of(text));
}

static int begin(void **state)
{
    (void)state;
    memset(&plan, 0, sizeof(plan));
    strcpy(plan.target.name, "example.net");
    plan.target.kind = TARGET_DOMAIN;
    plan.route.verdict = ROUTE_FOUND;
    plan.route.count = 1;
    strcpy(plan.route.candidates[0].name, "mx.example.net");
    ipc__policy_answer__init(&answer);
    ipc__policy__init(&policy);
    policy.mx = patterns;
    plan.answer = &answer;
    return 0;
}

static void with_policy(Ipc__PolicyMode mode, const char *pattern)
{
    answer.state = IPC__POLICY_STATE__POLICY_FOUND;
    answer.policy = &policy;
    policy.mode = mode;
    policy.id = bytes("7");
    patterns[0] = bytes(pattern);
    policy.n_mx = 1;
}

/* "what -> who" lines. */
static void hear(void *ctx, const char *what, const char *who)
{
    size_t len = strlen(said);

    (void)ctx;
    snprintf(said + len, sizeof(said) - len, "%s -> %s\n", what, who);
}

static const char *hop_words(void)
{
    said[0] = '\0';
    explain_hop_problems(&plan, hear, NULL);
    return said;
}

static const char *host_words(const struct explain_facts *f)
{
    said[0] = '\0';
    explain_host_problems(f, hear, NULL);
    return said;
}

/* A host that was found, and decided about. */
static struct explain_facts found_host(void)
{
    struct explain_facts f = { .plan = &plan, .is_known = true, .level = "" };

    f.addresses.verdict = ADDRESSES_FOUND;
    f.facts = plan_facts(&plan, 0);
    f.decision = sts_decide_candidate(f.facts);
    return f;
}

static void decide(struct explain_facts *f)
{
    f->decision = sts_decide_candidate(f->facts);
}

/* A session with it. */
static struct explain_facts met_host(enum session_tls tls, enum cert_verdict cert)
{
    struct explain_facts f = found_host();

    f.contact = CONTACT_JUDGED;
    f.facts.tls = tls;
    f.facts.cert = cert;
    f.session.cert = cert;
    f.judged = sts_decide_session(f.facts);
    f.may_go = f.judged.deliver;
    return f;
}

/* --- patterns */

static const char *mismatch(const char *mx, const char *pattern)
{
    static char words[EXPLAIN_MISMATCH_SIZE];

    with_policy(IPC__POLICY_MODE__MODE_ENFORCE, pattern);
    explain_mismatch(&policy, mx, words);
    return words;
}

static void pattern_that_almost_fits_is_explained(void **state)
{
    (void)state;
    assert_string_equal(mismatch("a.b.mx.example", "*.mx.example"),
                        "the policy's pattern *.mx.example covers one label; a.b.mx.example has "
                        "2 in front of mx.example");
    assert_string_equal(mismatch("a.b.c.mx.example", "*.mx.example"),
                        "the policy's pattern *.mx.example covers one label; a.b.c.mx.example has "
                        "3 in front of mx.example");
    assert_string_equal(mismatch("mx.example", "*.mx.example"),
                        "the policy's pattern *.mx.example asks for one label in front of "
                        "mx.example; the host has none");
    assert_string_equal(mismatch("a.mx.example", "mx.example"),
                        "the policy's pattern mx.example names that host alone, not a.mx.example");
}

static void other_patterns_are_listed_up_to_five(void **state)
{
    char words[EXPLAIN_MISMATCH_SIZE];

    (void)state;
    assert_string_equal(mismatch("mx.example", "other.example"),
                        "the policy does not name mx.example, but other.example");
    assert_string_equal(mismatch("xmx.example", "mx.example"),
                        "the policy does not name xmx.example, but mx.example");
    for (size_t i = 0; i < 7; i++)
        patterns[i] = bytes(i % 2 ? "a.test" : "b.test");
    policy.n_mx = 7;
    explain_mismatch(&policy, "mx.example", words);
    assert_string_equal(words, "the policy does not name mx.example, but b.test, a.test, b.test, "
                               "a.test, b.test and 2 more");
}

/* --- the next hop */

static void next_hop_without_hosts_says_why_and_whose_matter_it_is(void **state)
{
    static const struct {
        enum route_verdict verdict;
        bool is_chosen;
        const char *who;
    } rows[] = {
        { ROUTE_NO_DOMAIN, false, "the postmaster of example.net" },
        { ROUTE_NULL_MX, false, "nobody: it is meant so (RFC 7505)" },
        { ROUTE_TEMPFAIL, false, "whoever runs its name servers" },
        { ROUTE_NO_HOST, true, "the administrator of this relay" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        plan.route.verdict = rows[i].verdict;
        plan.target.is_chosen = rows[i].is_chosen;
        strcpy(plan.route.reason, "because");
        assert_non_null(strstr(hop_words(), "no host takes mail for example.net: because -> "));
        assert_non_null(strstr(said, rows[i].who));
    }
}

static void policy_that_cannot_be_had_is_told_with_what_holds_instead(void **state)
{
    (void)state;
    assert_string_equal(hop_words(), "");
    answer.fetch_reason = bytes("404");
    assert_string_equal(hop_words(), "its MTA-STS policy cannot be had, so nothing binds: 404 -> "
                                     "the postmaster of example.net\n");
    answer.state = IPC__POLICY_STATE__POLICY_NOT_KNOWN;
    assert_non_null(strstr(hop_words(), "so new mail waits: 404"));
    with_policy(IPC__POLICY_MODE__MODE_ENFORCE, "mx.example.net");
    assert_non_null(strstr(hop_words(), "the cached one is in force: 404"));
    answer.state = IPC__POLICY_STATE__POLICY_NOT_ASKED;
    assert_string_equal(hop_words(), "the role policy does not answer, so mail waits -> the "
                                     "administrator of this relay\n");
    plan.answer = NULL;
    assert_string_equal(hop_words(), "");
}

/* --- a host that is not contacted */

static void host_that_dns_does_not_tell_of_is_not_judged(void **state)
{
    struct explain_facts f = found_host();

    (void)state;
    f.is_known = false;
    assert_non_null(strstr(host_words(&f), "DNS did not answer in time"));
    assert_false(explain_is_open(&f));
    f = found_host();
    assert_string_equal(host_words(&f), "");
    assert_true(explain_is_open(&f));
}

static void addresses_and_tlsa_records_that_are_not_had_are_told(void **state)
{
    struct explain_facts f = found_host();

    (void)state;
    f.addresses.verdict = ADDRESSES_NONE;
    assert_non_null(strstr(host_words(&f), "has no address -> the postmaster of example.net"));
    f.addresses.verdict = ADDRESSES_OWN;
    assert_non_null(strstr(host_words(&f), "-> the administrator of this relay, or whoever"));
    f = found_host();
    f.tlsa_failed = true;
    strcpy(f.tlsa_reason, "SERVFAIL");
    assert_non_null(strstr(
        host_words(&f), "SERVFAIL, so it counts as one that cannot be reached -> the administrator "
                        "of mx.example.net"));
    assert_false(explain_is_open(&f));
    f = found_host();
    f.worth = TLSA_UNUSABLE;
    assert_non_null(strstr(host_words(&f), "TLSA records, but none that SMTP can use"));
}

static void host_that_the_policy_does_not_name_is_told_under_any_mode_but_none(void **state)
{
    (void)state;
    with_policy(IPC__POLICY_MODE__MODE_ENFORCE, "*.example.org");
    struct explain_facts f = found_host();
    assert_non_null(strstr(host_words(&f), "does not name mx.example.net, but *.example.org -> the "
                                           "postmaster of example.net"));
    assert_false(explain_is_open(&f));
    policy.mode = IPC__POLICY_MODE__MODE_TESTING;
    f = found_host();
    assert_true(explain_is_open(&f));
    assert_non_null(strstr(host_words(&f), "does not name mx.example.net"));
    policy.mode = IPC__POLICY_MODE__MODE_NONE;
    f = found_host();
    assert_string_equal(host_words(&f), "");
    policy.mode = IPC__POLICY_MODE__MODE_ENFORCE;
    f = found_host();
    f.facts.tlsa = TLSA_USABLE; /* then MTA-STS has nothing to say (RFC 8461 s.2) */
    decide(&f);
    assert_string_equal(host_words(&f), "");
}

static void a_named_next_hop_that_is_ourselves_is_ours_to_mend(void **state)
{
    static struct route_settings route = { .name = "r" };

    (void)state;
    plan.target.is_chosen = true;
    plan.target.port = 2525;
    struct explain_facts f = found_host();
    f.addresses.verdict = ADDRESSES_OWN;
    assert_string_equal(host_words(&f),
                        "next hop mx.example.net, port 2525, is a listener of this relay itself: "
                        "mail for it would come back; the administrator of this relay must name "
                        "another host or port -> the administrator of this relay\n");
    plan.target.route = &route;
    assert_non_null(strstr(host_words(&f), "must name another host or port in route r -> "));
    assert_false(explain_is_open(&f));
}

static void route_that_asks_for_more_is_our_own_matter(void **state)
{
    static struct route_settings route = { .name = "r" };

    (void)state;
    plan.target.route = &route;
    plan.target.tls = ROUTE_TLS_DANE;
    struct explain_facts f = found_host();
    strcpy(f.tlsa_reason, "there are none");
    assert_non_null(strstr(host_words(&f), "route r asks for DANE"));
    assert_non_null(strstr(said, "(there are none)"));
    plan.target.tls = ROUTE_TLS_VERIFY;
    f = met_host(SESSION_TLS_ON, CERT_EXPIRED);
    assert_false(f.may_go);
    assert_non_null(strstr(host_words(&f), "route r asks for a certificate for the host's name"));
}

/* --- a session */

static void certificate_says_what_is_wrong_with_it(void **state)
{
    static const struct {
        enum cert_verdict cert;
        const char *words;
    } rows[] = {
        { CERT_EXPIRED, "the certificate of mx.example.net expired at 1970-01-01T00:00:01Z" },
        { CERT_HOST_MISMATCH, "the certificate of mx.example.net is for a.test b.test" },
        { CERT_NOT_TRUSTED, "vouches for the certificate of mx.example.net (X; issuer CN=CA)" },
        { CERT_OTHER, "the certificate of mx.example.net is not valid (X)" },
        { CERT_NONE, "the certificate of mx.example.net is not valid (it shows none)" },
    };

    (void)state;
    with_policy(IPC__POLICY_MODE__MODE_ENFORCE, "mx.example.net");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct explain_facts f = met_host(SESSION_TLS_ON, rows[i].cert);
        f.session.not_after_utc_ms = 1000;
        strcpy(f.session.names, "a.test b.test");
        strcpy(f.session.issuer, "CN=CA");
        strcpy(f.session.cert_reason, rows[i].cert == CERT_NONE ? "" : "X");
        assert_false(f.may_go);
        assert_non_null(strstr(host_words(&f), rows[i].words));
        assert_non_null(strstr(said, " -> the administrator of mx.example.net\n"));
    }
    struct explain_facts nameless = met_host(SESSION_TLS_ON, CERT_HOST_MISMATCH);
    assert_non_null(strstr(host_words(&nameless), "is for no DNS name at all"));
    struct explain_facts good = met_host(SESSION_TLS_ON, CERT_OK);
    assert_true(good.may_go);
    assert_string_equal(host_words(&good), "");
}

static void certificate_that_fits_no_tlsa_record_is_told_so(void **state)
{
    struct explain_facts f = found_host();

    (void)state;
    f.facts.tlsa = TLSA_USABLE;
    decide(&f);
    f.contact = CONTACT_JUDGED;
    f.facts.tls = SESSION_TLS_ON;
    f.facts.cert = f.session.cert = CERT_NOT_TRUSTED;
    f.judged = sts_decide_session(f.facts);
    strcpy(f.session.cert_reason, "X509_V_ERR_DANE_NO_MATCH");
    assert_non_null(strstr(host_words(&f), "fits none of its TLSA records"));
}

static void host_without_tls_says_how_far_it_came(void **state)
{
    (void)state;
    struct explain_facts f = met_host(SESSION_TLS_NOT_OFFERED, CERT_NONE);
    assert_non_null(strstr(host_words(&f), "mx.example.net has no STARTTLS (no STARTTLS offered)"));
    f = met_host(SESSION_TLS_REFUSED, CERT_NONE);
    strcpy(f.said, "454 no");
    assert_non_null(strstr(host_words(&f), "has no STARTTLS (STARTTLS refused): 454 no"));
    f = met_host(SESSION_TLS_FAILED, CERT_NONE);
    strcpy(f.said, "reset");
    assert_non_null(strstr(host_words(&f), "no TLS with mx.example.net: reset"));
    f.contact = CONTACT_FAILED;
    assert_non_null(strstr(host_words(&f), "no session with mx.example.net: reset"));
    plan.target.tls = ROUTE_TLS_NONE;
    f = met_host(SESSION_TLS_NOT_TRIED, CERT_NONE);
    assert_string_equal(host_words(&f), "");
}

static void host_that_the_administrator_chose_is_his_matter_too(void **state)
{
    (void)state;
    plan.target.is_chosen = true;
    struct explain_facts f = met_host(SESSION_TLS_ON, CERT_EXPIRED);
    assert_non_null(strstr(host_words(&f), "or of this relay, which names it"));
}

/* --- the verdict */

static enum explain_verdict verdict(const struct explain_facts *a, const struct explain_facts *b)
{
    const struct explain_facts *all[] = { a, b };

    return explain_verdict_of(all, b ? 2 : 1);
}

static void mail_is_secure_where_no_host_gets_it_unproved(void **state)
{
    (void)state;
    struct explain_facts open = met_host(SESSION_TLS_ON, CERT_OK);
    with_policy(IPC__POLICY_MODE__MODE_ENFORCE, "mx.example.net");
    struct explain_facts good = met_host(SESSION_TLS_ON, CERT_OK);
    struct explain_facts bad = met_host(SESSION_TLS_ON, CERT_EXPIRED);
    struct explain_facts dead = found_host();
    dead.contact = CONTACT_FAILED;
    struct explain_facts looked_at = found_host();
    struct explain_facts nowhere = found_host();
    nowhere.addresses.verdict = ADDRESSES_NONE;

    assert_int_equal(verdict(&good, NULL), EXPLAIN_SECURE);
    assert_int_equal(verdict(&good, &bad), EXPLAIN_SECURE);
    assert_int_equal(verdict(&good, &open), EXPLAIN_DELIVERABLE);
    assert_int_equal(verdict(&open, NULL), EXPLAIN_DELIVERABLE);
    assert_int_equal(verdict(&bad, &dead), EXPLAIN_NOWHERE);
    assert_int_equal(verdict(&looked_at, NULL), EXPLAIN_SECURE);
    assert_int_equal(verdict(&nowhere, NULL), EXPLAIN_NOWHERE);
    assert_int_equal(explain_verdict_of(NULL, 0), EXPLAIN_NOWHERE);
}

/* --- hosts behind this relay itself */

/* The `n`th host of the plan; mail would go to it. */
static struct explain_facts nth_host(unsigned n, uint16_t preference)
{
    struct explain_facts f = met_host(SESSION_TLS_ON, CERT_OK);

    plan.route.count = n + 1;
    snprintf(plan.route.candidates[n].name, sizeof(plan.route.candidates[n].name), "mx%u.test", n);
    plan.route.candidates[n].preference = preference;
    f.candidate = n;
    return f;
}

static struct explain_facts own_host(unsigned n, uint16_t preference)
{
    struct explain_facts f = nth_host(n, preference);

    f.contact = CONTACT_NONE;
    f.addresses.verdict = ADDRESSES_OWN;
    return f;
}

static void hosts_no_better_than_this_relay_itself_get_nothing(void **state)
{
    struct explain_facts better = nth_host(0, 5), own = own_host(1, 10), equal = nth_host(2, 10),
                         worse = nth_host(3, 20), own_too = own_host(4, 30);
    struct explain_facts *all[] = { &better, &equal, &own, &worse, &own_too };

    (void)state;
    explain_cut_own(all, 5);
    assert_null(better.behind_own);
    assert_null(own.behind_own);
    assert_null(own_too.behind_own);
    assert_true(explain_is_usable(&better));
    assert_false(explain_is_usable(&equal));
    assert_false(explain_is_usable(&worse));
    assert_int_equal(verdict(&better, &worse), EXPLAIN_DELIVERABLE);
    assert_int_equal(verdict(&equal, &worse), EXPLAIN_NOWHERE);
    assert_string_equal(host_words(&worse),
                        "not counted on: mx3.test is no better than mx1.test, which is this relay "
                        "itself (RFC 5321 section 5.1) -> the administrator of this relay, or "
                        "whoever publishes the MX\n");
    plan.target.is_chosen = true;
    assert_non_null(strstr(host_words(&equal), "mx2.test is no better than mx1.test"));
    assert_non_null(strstr(said, "5.1) -> the administrator of this relay\n"));
    assert_int_equal(worse.contact, CONTACT_NONE);
}

static void this_relay_cuts_nothing_where_mail_would_pass_it_over(void **state)
{
    struct plan other = { .target.port = 26 };
    struct explain_facts own = own_host(0, 10), worse = nth_host(1, 20), elsewhere = worse;
    struct explain_facts *all[] = { &own, &worse, &elsewhere };

    (void)state;
    other.route = plan.route;
    elsewhere.plan = &other;
    own.decision.deliver = false; /* the policy does not name it: it is not looked up */
    own.facts.source = POLICY_SOURCE_STS;
    own.facts.mode = STS_ENFORCE;
    explain_cut_own(all, 3);
    assert_null(worse.behind_own);
    own.facts.mx_is_sure = true; /* TLSA records could make it one to be used: it is */
    explain_cut_own(all, 3);
    assert_non_null(worse.behind_own);
    assert_null(elsewhere.behind_own); /* the next hop after this one */
    own.is_known = false;
    worse.behind_own = NULL;
    explain_cut_own(all, 3);
    assert_null(worse.behind_own);
}

/* --- as JSON */

static const char *text_at(const struct json *object, const char *key)
{
    static char text[256];

    assert_true(span_to_string(json_text(json_get(object, key)), text, sizeof(text)));
    return text;
}

static void json_has_what_was_found_out(void **state)
{
    struct json *hosts = json_new_array();
    struct json *hop = json_new_object();

    (void)state;
    with_policy(IPC__POLICY_MODE__MODE_ENFORCE, "mx.example.net");
    struct explain_facts f = met_host(SESSION_TLS_ON, CERT_EXPIRED);
    f.level = "encrypted";
    strcpy(f.session.cert_reason, "X509_V_ERR_CERT_HAS_EXPIRED");
    explain_json_host(hosts, &f);
    const struct json *host = json_item(hosts, 0);
    const struct json *session = json_get(host, "session");
    assert_string_equal(text_at(host, "mx"), "mx.example.net");
    assert_string_equal(text_at(host, "level_wanted"), "verified");
    assert_string_equal(text_at(session, "level"), "encrypted");
    assert_string_equal(text_at(json_get(session, "certificate"), "verify_result"),
                        "X509_V_ERR_CERT_HAS_EXPIRED");
    assert_string_equal(text_at(json_get(host, "report"), "result"), "certificate-expired");
    assert_false(json_bool(json_get(host, "usable")));
    assert_int_equal(json_count(json_get(host, "problems")), 1);
    explain_json_hop(hop, &plan);
    assert_string_equal(text_at(hop, "policy"), "sts enforce");
    assert_string_equal(text_at(hop, "policy_id"), "7");
    assert_string_equal(text_at(hop, "mx"), "found");
    json_free(&hop);
    json_free(&hosts);
}

static void hop_with_an_exception_shows_it_until_its_end(void **state)
{
    struct exception_settings exception = { .allow = EXCEPTION_UNVERIFIED, .reason = "why" };
    struct json *hop = json_new_object(), *later = json_new_object();

    (void)state;
    plan.target.exception = &exception;
    exception.last_day_utc_ms = clock_utc_ms() - 2 * DAY_MS;
    explain_json_hop(later, &plan);
    assert_null(json_get(later, "exception"));
    exception.last_day_utc_ms = clock_utc_ms() + DAY_MS;
    explain_json_hop(hop, &plan);
    assert_string_equal(text_at(json_get(hop, "exception"), "allow"), "unverified");
    assert_string_equal(text_at(json_get(hop, "exception"), "reason"), "why");
    json_free(&hop);
    json_free(&later);
}

static void host_whose_tlsa_records_are_not_known_is_reported_so(void **state)
{
    struct json *hosts = json_new_array();
    struct explain_facts f = found_host();

    (void)state;
    f.tlsa_failed = true;
    explain_json_host(hosts, &f);
    const struct json *report = json_get(json_item(hosts, 0), "report");
    assert_string_equal(text_at(report, "result"), "dnssec-invalid");
    assert_string_equal(text_at(report, "policy_domain"), "mx.example.net");
    assert_false(json_bool(json_get(json_item(hosts, 0), "usable")));
    f.facts.relief = RELIEF_FULL;
    assert_true(explain_is_open(&f));
    json_free(&hosts);
}

static void host_behind_this_relay_itself_shows_no_session(void **state)
{
    struct json *hosts = json_new_array();
    struct explain_facts own = own_host(0, 10), worse = nth_host(1, 20);
    struct explain_facts *all[] = { &own, &worse };

    (void)state;
    explain_cut_own(all, 2);
    explain_json_host(hosts, &worse);
    const struct json *host = json_item(hosts, 0);
    assert_string_equal(text_at(host, "contact"), "none");
    assert_null(json_get(host, "session"));
    assert_null(json_get(host, "report"));
    assert_false(json_bool(json_get(host, "tried")));
    assert_false(json_bool(json_get(host, "usable")));
    assert_int_equal(json_count(json_get(host, "problems")), 1);
    json_free(&hosts);
}

#define T(title, function)                                                                         \
    {                                                                                              \
        title, function, begin, NULL, NULL                                                         \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        T("a pattern that almost fits is explained", pattern_that_almost_fits_is_explained),
        T("other patterns are listed, up to five", other_patterns_are_listed_up_to_five),
        T("a next hop without hosts says why, and whose matter it is",
          next_hop_without_hosts_says_why_and_whose_matter_it_is),
        T("a policy that cannot be had is told, with what holds instead",
          policy_that_cannot_be_had_is_told_with_what_holds_instead),
        T("a host that DNS does not tell of is not judged",
          host_that_dns_does_not_tell_of_is_not_judged),
        T("addresses and TLSA records that are not had are told",
          addresses_and_tlsa_records_that_are_not_had_are_told),
        T("a host that the policy does not name is told, under any mode but none",
          host_that_the_policy_does_not_name_is_told_under_any_mode_but_none),
        T("a named next hop that is this relay itself is ours to mend",
          a_named_next_hop_that_is_ourselves_is_ours_to_mend),
        T("what a route asks for besides is our own matter",
          route_that_asks_for_more_is_our_own_matter),
        T("a certificate says what is wrong with it", certificate_says_what_is_wrong_with_it),
        T("a certificate that fits no TLSA record is told so",
          certificate_that_fits_no_tlsa_record_is_told_so),
        T("a host without TLS says how far it came", host_without_tls_says_how_far_it_came),
        T("a host that the administrator chose is his matter, too",
          host_that_the_administrator_chose_is_his_matter_too),
        T("mail is secure where no host gets it unproved",
          mail_is_secure_where_no_host_gets_it_unproved),
        T("hosts no better than this relay itself get nothing",
          hosts_no_better_than_this_relay_itself_get_nothing),
        T("this relay cuts nothing where mail would pass it over",
          this_relay_cuts_nothing_where_mail_would_pass_it_over),
        T("a host behind this relay itself shows no session",
          host_behind_this_relay_itself_shows_no_session),
        T("the JSON has what was found out", json_has_what_was_found_out),
        T("a next hop with an exception shows it, until its end",
          hop_with_an_exception_shows_it_until_its_end),
        T("a host whose TLSA records are not known is reported so",
          host_whose_tlsa_records_are_not_known_is_reported_so),
    };

    return cmocka_run_group_tests_name("explain_words", tests, NULL, NULL);
}
