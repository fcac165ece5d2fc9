/* What a failure means, whose turn it is, and what mends it. */
#include "lib/mail/tls_result.h"
#include "tests/support/test.h"
#include "tlsrpt/reader_words.h"

#include <string.h>

static struct reader_failure failure;
static struct json *words;

static int begin(void **state)
{
    (void)state;
    failure = (struct reader_failure){
        .policy_type = SPAN("sts"),
        .mode = SPAN("enforce"),
        .domain = SPAN("example.com"),
        .host = SPAN("mx1.example.com"),
        .result = SPAN("certificate-expired"),
        .reason = SPAN(""),
    };
    return 0;
}

static int end(void **state)
{
    (void)state;
    json_free(&words);
    return 0;
}

static void explain(void)
{
    json_free(&words);
    words = json_new_object();
    reader_words_add(&failure, words);
}

static void assert_says(const char *key, const char *part)
{
    char text[4096];

    assert_true(span_to_string(json_member_text(words, key), text, sizeof(text)));
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in %s: %s", part, key, text);
}

static void assert_never_says(const char *part)
{
    void *cursor = NULL;
    const struct json *value;
    const char *key;

    while ((value = json_next(words, &cursor, &key))) {
        char text[4096];
        assert_true(span_to_string(json_text(value), text, sizeof(text)));
        if (strstr(text, part))
            fail_msg("\"%s\" is in %s: %s", part, key, text);
    }
}

static void every_result_has_words_of_its_own_for_every_policy(void **state)
{
    static const char *const types[] = { "sts", "tlsa", "no-policy-found", "" };

    (void)state;
    for (int i = TLS_RESULT_SUCCESS + 1; i < TLS_RESULT_COUNT; i++)
        for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++) {
            failure.result = span_of(tls_result_name((enum tls_result)i));
            failure.policy_type = span_of(types[t]);
            explain();
            assert_int_equal(json_member_text(words, "cause").len > 30, true);
            assert_int_equal(json_member_text(words, "mend").len > 10, true);
            assert_int_equal(json_member_text(words, "effect").len > 30, true);
            assert_int_equal(json_member_text(words, "who").len > 10, true);
            assert_int_equal(json_member_text(words, "check").len > 10, true);
            assert_never_says("RFC 8460 does not know");
            assert_never_says("{");
        }
}

static void names_of_the_report_stand_in_the_command(void **state)
{
    (void)state;
    explain();
    assert_says("cause", "mx1.example.com showed had expired");
    assert_says("check", "-connect mx1.example.com:25 -servername mx1.example.com");
    failure.result = SPAN("sts-policy-fetch-error");
    explain();
    assert_says("check", "curl -v https://mta-sts.example.com/.well-known/mta-sts.txt");
    assert_says("who", "whoever runs mta-sts.example.com");
}

static void what_is_no_host_name_never_stands_in_a_command(void **state)
{
    static const char *const names[] = { "mx; rm -rf ~", "$(reboot)", "-x", "a\nb",
                                         "`x`",          "mx|sh",     "" };

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        failure.host = span_of(names[i]);
        failure.domain = span_of(names[i]);
        failure.result = SPAN("certificate-expired");
        explain();
        assert_says("check", "-connect YOUR-MX-HOST:25");
        failure.result = SPAN("sts-policy-invalid");
        explain();
        assert_says("check", "https://mta-sts.YOUR-DOMAIN/");
    }
}

static void a_dot_behind_a_name_does_not_matter(void **state)
{
    (void)state;
    failure.host = SPAN("mx1.example.com.");
    failure.domain = SPAN("example.com.");
    explain();
    assert_says("check", "-connect mx1.example.com:25");
    failure.result = SPAN("sts-policy-invalid");
    explain();
    assert_says("check", "https://mta-sts.example.com/");
}

static void dane_names_the_host_though_no_detail_does(void **state)
{
    (void)state;
    failure.policy_type = SPAN("tlsa");
    failure.result = SPAN("tlsa-invalid");
    failure.domain = SPAN("mx9.example.com");
    failure.host = SPAN("");
    explain();
    assert_says("mend", "_25._tcp.mx9.example.com. IN TLSA 3 1 1");
    failure.policy_type = SPAN("sts");
    explain();
    assert_says("mend", "_25._tcp.YOUR-MX-HOST. IN TLSA 3 1 1");
}

static void reasons_narrow_the_cause_down(void **state)
{
    static const struct {
        const char *type, *result, *reason, *cause;
    } rows[] = {
        { "sts", "certificate-not-trusted", "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT",
          "signed itself" },
        { "sts", "certificate-not-trusted", "self-signed certificate", "signed itself" },
        { "sts", "certificate-not-trusted", "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
          "does not send the certificates between" },
        { "sts", "certificate-not-trusted", "unable to verify the first certificate",
          "does not send the certificates between" },
        { "sts", "certificate-not-trusted", "X509_V_ERR_CERT_REVOKED", "has revoked" },
        { "sts", "certificate-not-trusted", "?", "chain is incomplete, or the authority" },
        { "tlsa", "certificate-not-trusted", "?", "TLSA records name" },
        { "tlsa", "certificate-host-mismatch", "", "usage 0, 1 or 2" },
        { "sts", "certificate-expired", "X509_V_ERR_CERT_NOT_YET_VALID", "not valid yet" },
        { "sts", "validation-failure", "not in policy", "no mx line of the domain's policy" },
        { "tlsa", "validation-failure", "not in policy", "does not satisfy its TLSA records" },
        { "sts", "validation-failure", "X509_V_ERR_EE_KEY_TOO_SMALL", "too small" },
        { "sts", "validation-failure", "unsupported protocol version", "no version of TLS" },
        { "sts", "validation-failure", "no shared cipher", "no version of TLS" },
        { "sts", "validation-failure", "SSL alert number 40", "no common ground" },
        { "sts", "validation-failure", "handshake timed out", "no common ground" },
        { "sts", "validation-failure", "read timeout", "fell silent" },
        { "sts", "validation-failure", "", "no name of its own" },
        { "tlsa", "tlsa-invalid", "no usable TLSA records", "usages 2 and 3 only" },
        { "sts", "sts-policy-fetch-error", "HTTPS: status 404", "has no file" },
        { "sts", "sts-policy-fetch-error", "HTTPS: status 301", "redirects" },
        { "sts", "sts-policy-fetch-error", "mta-sts.example.com: has no address",
          "has no address" },
        { "sts", "sts-policy-fetch-error", "addresses: SERVFAIL", "has no address" },
        { "sts", "sts-policy-fetch-error", "Could not resolve host", "has no address" },
        { "sts", "sts-policy-fetch-error", "no connection to address 192.0.2.1: refused",
          "could not be fetched" },
        { "sts", "sts-policy-fetch-error", "HTTP redirect", "redirects" },
        { "sts", "sts-policy-fetch-error", "HTTPS: timed out", "within a minute" },
        { "tlsa", "dnssec-invalid", "TLSA records not known: SERVFAIL", "do not answer" },
        { "sts", "sts-policy-fetch-error", "HTTPS: status 500", "could not be fetched" },
        { "sts", "sts-webpki-invalid", "X509_V_ERR_CERT_HAS_EXPIRED", "has expired" },
        { "sts", "sts-webpki-invalid", "X509_V_ERR_HOSTNAME_MISMATCH", "does not bear that name" },
        { "sts", "starttls-not-supported", "STARTTLS refused: 454 no", "and then refuses it" },
        { "sts", "starttls-not-supported", "no STARTTLS offered", "did not offer STARTTLS" },
        { "sts", "validation-failure", "SSL_R_WRONG_VERSION_NUMBER", "something that is no TLS" },
        { "sts", "validation-failure", "SSL_R_TLSV1_ALERT_PROTOCOL_VERSION", "no version of TLS" },
        { "sts", "validation-failure", "MX host not in policy: mx.a fits none of mx.b",
          "no mx line of the domain's policy" },
        { "sts", "sts-policy-invalid", "policy file: content_type", "another media type" },
        { "sts", "sts-policy-invalid", "policy file: missing_version", "The first line" },
        { "sts", "sts-policy-invalid", "policy file: bad_max_age", "has no \"max_age:\" line" },
        { "sts", "sts-policy-invalid", "policy file: missing_mode", "has no \"mode:\" line" },
        { "sts", "sts-policy-invalid", "policy file: bad_mx", "has no \"mx:\" line" },
        { "sts", "sts-policy-invalid", "policy file: bad_line", "is not valid" },
        { "sts", "", "", "does not say what failed" },
        { "sts", "made-up", "", "RFC 8460 does not know" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        failure.policy_type = span_of(rows[i].type);
        failure.result = span_of(rows[i].result);
        failure.reason = span_of(rows[i].reason);
        explain();
        assert_says("cause", rows[i].cause);
    }
}

static void what_became_of_the_mail_depends_on_the_policy(void **state)
{
    (void)state;
    explain();
    assert_says("effect", "No mail went");
    failure.mode = SPAN("testing");
    explain();
    assert_says("effect", "Mail went all the same, for the policy is not enforced");
    failure.mode = SPAN("");
    explain();
    assert_says("effect", "If the policy is enforced");
    failure.policy_type = SPAN("no-policy-found");
    explain();
    assert_says("effect", "perhaps in clear");
    failure.policy_type = SPAN("tlsa");
    explain();
    assert_says("effect", "No mail went");
    failure.result = SPAN("tlsa-invalid");
    explain();
    assert_says("effect", "No mail went");
    failure.reason = SPAN("no usable TLSA records"); /* docs/policy.md P10 */
    explain();
    assert_says("effect", "Mail went all the same, encrypted");
    failure.result = SPAN("dane-required"); /* X4 */
    explain();
    assert_says("effect", "No mail went");
    failure.policy_type = SPAN("no-policy-found");
    explain();
    assert_says("effect", "No mail went");
    failure.result = SPAN("sts-policy-invalid");
    explain();
    assert_says("effect", "no older policy");
}

static void hints_are_for_who_could_do_more(void **state)
{
    (void)state;
    assert_non_null(reader_words_hint(SPAN("no-policy-found"), SPAN(""), true));
    assert_non_null(reader_words_hint(SPAN("sts"), SPAN("Testing"), false));
    assert_null(reader_words_hint(SPAN("sts"), SPAN("testing"), true));
    assert_null(reader_words_hint(SPAN("sts"), SPAN("enforce"), false));
    assert_null(reader_words_hint(SPAN("tlsa"), SPAN(""), false));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "reader: every result type has words for every policy",
          every_result_has_words_of_its_own_for_every_policy, begin, end, 0 },
        { "reader: names of the report stand in the command that shows what is wrong",
          names_of_the_report_stand_in_the_command, begin, end, 0 },
        { "reader: what is no host name never stands in a command",
          what_is_no_host_name_never_stands_in_a_command, begin, end, 0 },
        { "reader: a dot behind a name does not matter", a_dot_behind_a_name_does_not_matter, begin,
          end, 0 },
        { "reader: DANE's policy domain is the host", dane_names_the_host_though_no_detail_does,
          begin, end, 0 },
        { "reader: reasons narrow the cause down", reasons_narrow_the_cause_down, begin, end, 0 },
        { "reader: what became of the mail depends on the policy",
          what_became_of_the_mail_depends_on_the_policy, begin, end, 0 },
        { "reader: hints are for who could do more", hints_are_for_who_could_do_more, begin, end,
          0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
