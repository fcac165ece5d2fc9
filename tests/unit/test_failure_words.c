#include "queue/deliver/failure_words.h"

#include <stdio.h>
#include <string.h>

#include "lib/ipc/channel.h"
#include "tests/support/test.h"

/* A session over TLS with a certificate, whatever is wrong with it. */
static struct dialogue_facts session_of(enum cert_verdict cert, const char *reason)
{
    struct dialogue_facts facts = { .tls = SESSION_TLS_ON,
                                    .tls_reason = "",
                                    .session = { .version = "TLSv1.3",
                                                 .cipher = "TLS_AES_256_GCM_SHA384",
                                                 .cert = cert,
                                                 .subject = "CN=mx.example.net",
                                                 .issuer = "CN=Some CA",
                                                 .names = "a.example.net b.example.net",
                                                 .key_sha256 = "ab12",
                                                 .not_after_utc_ms = 1769731200000 } };

    snprintf(facts.session.cert_reason, sizeof(facts.session.cert_reason), "%s", reason);
    return facts;
}

static char words[FAILURE_WORDS_SIZE];

/* The words for a session, or for none, that came to `result`. */
static const char *words_of(enum tls_result result, const char *reason,
                            const struct dialogue_facts *facts)
{
    struct sts_decision decision = { .result = result, .reason = reason };
    struct failure failure = {
        .mx = "mx1.example.net", .decision = &decision, .facts = facts, .trouble = "trouble"
    };

    failure_words(&failure, words);
    return words;
}

static void a_certificate_is_described_by_what_is_wrong_with_it(void **state)
{
    struct dialogue_facts facts = session_of(CERT_EXPIRED, "X509_V_ERR_CERT_HAS_EXPIRED");
    (void)state;
    assert_string_equal(words_of(TLS_RESULT_CERTIFICATE_EXPIRED, "certificate expired", &facts),
                        "X509_V_ERR_CERT_HAS_EXPIRED: certificate CN=mx.example.net, valid until "
                        "2026-01-30T00:00:00Z");
    facts = session_of(CERT_HOST_MISMATCH, "X509_V_ERR_HOSTNAME_MISMATCH");
    assert_string_equal(words_of(TLS_RESULT_CERTIFICATE_HOST_MISMATCH, "", &facts),
                        "X509_V_ERR_HOSTNAME_MISMATCH: certificate for a.example.net "
                        "b.example.net, not for mx1.example.net");
    facts.session.names[0] = '\0';
    assert_string_equal(words_of(TLS_RESULT_CERTIFICATE_HOST_MISMATCH, "", &facts),
                        "X509_V_ERR_HOSTNAME_MISMATCH: certificate for CN=mx.example.net, not for "
                        "mx1.example.net");
    facts = session_of(CERT_NOT_TRUSTED, "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT");
    assert_string_equal(words_of(TLS_RESULT_CERTIFICATE_NOT_TRUSTED, "", &facts),
                        "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT: certificate CN=mx.example.net, "
                        "issued by CN=Some CA");
    facts.session.subject[0] = '\0';
    assert_string_equal(words_of(TLS_RESULT_CERTIFICATE_NOT_TRUSTED, "", &facts),
                        "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT: certificate without a name, "
                        "issued by CN=Some CA");
    facts = session_of(CERT_NOT_OF_TLSA, "X509_V_ERR_DANE_NO_MATCH");
    assert_string_equal(words_of(TLS_RESULT_TLSA_INVALID, "", &facts),
                        "X509_V_ERR_DANE_NO_MATCH: the key is 3 1 1 ab12, of the certificate "
                        "CN=mx.example.net");
}

static void without_a_certificate_to_blame_the_session_says_why(void **state)
{
    struct dialogue_facts facts = session_of(CERT_NONE, "");
    (void)state;
    assert_string_equal(words_of(TLS_RESULT_VALIDATION_FAILURE, "TLS too weak", &facts),
                        "TLS too weak: TLSv1.3 TLS_AES_256_GCM_SHA384");
    facts = (struct dialogue_facts){ .tls = SESSION_TLS_FAILED, .tls_reason = "no cipher" };
    assert_string_equal(words_of(TLS_RESULT_VALIDATION_FAILURE, "TLS handshake failed", &facts),
                        "no cipher");
    facts.tls_reason = "";
    assert_string_equal(words_of(TLS_RESULT_VALIDATION_FAILURE, "TLS handshake failed", &facts),
                        "TLS handshake failed: trouble");
    facts.tls = SESSION_TLS_REFUSED;
    assert_string_equal(words_of(TLS_RESULT_STARTTLS_NOT_SUPPORTED, "STARTTLS refused", &facts),
                        "STARTTLS refused: trouble");
}

static void a_certificate_that_nobody_asked_for_is_not_to_blame(void **state)
{
    struct dialogue_facts facts = session_of(CERT_NOT_TRUSTED, "X509_V_ERR_CERT_UNTRUSTED");
    (void)state;
    assert_string_equal(words_of(TLS_RESULT_TLSA_INVALID, "no usable TLSA records", &facts),
                        "no usable TLSA records: trouble");
}

static void what_dns_could_not_say_is_told(void **state)
{
    (void)state;
    assert_string_equal(words_of(TLS_RESULT_DNSSEC_INVALID, "TLSA records not known", NULL),
                        "trouble"); /* it is a sentence of its own, whose end matters most */
    assert_string_equal(words_of(TLS_RESULT_DANE_REQUIRED, "no usable TLSA records", NULL),
                        "no usable TLSA records: trouble");
}

/* --- a host that the policy does not name */

static const char *unlisted_words(const char *const *patterns, size_t count)
{
    struct sts_decision decision = { .result = TLS_RESULT_CERTIFICATE_EXPIRED,
                                     .reason = "not in policy" };
    struct dialogue_facts facts = session_of(CERT_EXPIRED, "X509_V_ERR_CERT_HAS_EXPIRED");
    Ipc__Policy policy = IPC__POLICY__INIT;
    ProtobufCBinaryData mx[100];
    struct failure failure = { .mx = "mx1.example.net",
                               .decision = &decision,
                               .facts = &facts,
                               .policy = &policy,
                               .trouble = "" };

    for (size_t i = 0; i < count; i++)
        mx[i] = bytes_of_span(span_of(patterns[i]));
    policy.mx = mx;
    policy.n_mx = count;
    failure_words(&failure, words);
    return words;
}

static void a_host_that_is_not_listed_is_told_what_is(void **state)
{
    static const char *const two[] = { "mx.example.net", "*.example.com" };
    static const char *const fits[] = { "mx.example.net", "*.example.net" };
    (void)state;
    assert_string_equal(unlisted_words(two, 2), "MX host not in policy: mx1.example.net fits none "
                                                "of mx.example.net, *.example.com");
    assert_true(span_starts_with(span_of(unlisted_words(fits, 2)), SPAN("X509_V_ERR_CERT")));
}

static void many_patterns_are_cut_between_two(void **state)
{
    const char *many[100];
    static char longest[254];
    size_t len;
    (void)state;
    for (size_t i = 0; i < 100; i++)
        many[i] = "mail-exchanger.example.com";
    len = strlen(unlisted_words(many, 100));
    assert_true(len < FAILURE_WORDS_SIZE - 1);
    assert_string_equal(words + len - 31, "mail-exchanger.example.com, ...");
    memset(longest, 'x', sizeof(longest) - 1);
    many[0] = longest;
    assert_string_equal(unlisted_words(many, 1),
                        "MX host not in policy: mx1.example.net fits none of ...");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "failure_words: a certificate is described by what is wrong with it",
          a_certificate_is_described_by_what_is_wrong_with_it, 0, 0, 0 },
        { "failure_words: without a certificate to blame the session says why",
          without_a_certificate_to_blame_the_session_says_why, 0, 0, 0 },
        { "failure_words: a certificate that nobody asked for is not to blame",
          a_certificate_that_nobody_asked_for_is_not_to_blame, 0, 0, 0 },
        { "failure_words: what DNS could not say is told", what_dns_could_not_say_is_told, 0, 0,
          0 },
        { "failure_words: a host that is not listed is told what is (RPT-31)",
          a_host_that_is_not_listed_is_told_what_is, 0, 0, 0 },
        { "failure_words: many patterns are cut between two", many_patterns_are_cut_between_two, 0,
          0, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
