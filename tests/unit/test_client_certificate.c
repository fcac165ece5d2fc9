/* What settings say of certificates of clients, and which certificates that fits. */
#include "smtpd/client_certificate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/certificate_pattern.h"
#include "lib/base/memory.h"
#include "tests/support/settings_text.h"
#include "tests/support/test.h"

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER_DIGEST "ff23456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* --- patterns */

static const char *normal(const char *text)
{
    static char room[CERTIFICATE_PATTERN_SIZE];

    return certificate_pattern_normalize(span_of(text), room) ? room : "";
}

static void patterns_have_one_form(void **state)
{
    (void)state;
    assert_string_equal(normal("sha256:" DIGEST), "sha256:" DIGEST);
    assert_string_equal(normal("sha256:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:"
                               "01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF"),
                        "sha256:" DIGEST);
    assert_string_equal(normal("key-sha256:" DIGEST), "key-sha256:" DIGEST);
    assert_string_equal(normal("name:App1.Example.NET"), "name:app1.example.net");
    assert_string_equal(normal("mail:Ada@Example.NET"), "mail:ada@example.net");
    assert_string_equal(normal("trusted"), "trusted");
    assert_false(certificate_pattern_needs_trust(SPAN("sha256:" DIGEST)));
    assert_false(certificate_pattern_needs_trust(SPAN("key-sha256:" DIGEST)));
    assert_true(certificate_pattern_needs_trust(SPAN("name:x")));
    assert_true(certificate_pattern_needs_trust(SPAN("mail:x@y")));
    assert_true(certificate_pattern_needs_trust(SPAN("trusted")));
}

static void what_is_none_is_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "sha256:",
        "sha256:" DIGEST "0",
        "sha256::" DIGEST,
        "sha256:" DIGEST ":",
        "sha256:x123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "sha1:0123456789abcdef0123456789abcdef01234567",
        DIGEST,
        "name:",
        "name:a b",
        "name:*",
        "name:a\"b",
        "mail:",
        "mail:ada",
        "mail:@x",
        "mail:ada@",
        "mail:a b@x",
        "mail:\"a\"@x",
        "Trusted",
        "trusted ",
        "md5:x",
    };
    char long_name[300] = "name:";

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_string_equal(normal(wrong[i]), "");
    memset(long_name + 5, 'x', 253);
    assert_int_equal(strlen(normal(long_name)), 258);
    long_name[258] = 'x';
    assert_string_equal(normal(long_name), "");
}

/* --- settings */

#define ENTRY(members)                                                                             \
    "listeners = ( { address = \"127.0.0.1:25\"; tls-certificate = \"/c\"; tls-key = \"/k\";\n"    \
    "tls-client-certificates = \"request\"; " members " } );"

static void assert_says(const char *text, const char *what)
{
    struct settings *s = memory_new(sizeof(*s));
    struct settings_errors errors;

    settings_errors_init(&errors);
    assert_false(settings_parse(span_of(text), "conf", s, &errors));
    assert_true(buf_append(&errors.text, SPAN("\0")));
    if (!strstr(buf_span(&errors.text).data, what))
        fail_msg("%s", buf_span(&errors.text).data);
    settings_errors_clear(&errors);
    free(s);
}

static void lists_are_written_as_they_are_read(void **state)
{
    struct settings *s =
        settings_of(ENTRY("tls-client-ca = \"/ca\";"
                            "relay-certificates = [ \"sha256:" DIGEST "\", \"trusted\" ];"
                            "certificate-users = [ \"name:A.example   ada\" ];"));
    struct settings *again;
    struct span pattern, user;
    struct buf text;
    size_t at = 0;

    (void)state;
    buf_init(&text, SETTINGS_TEXT_MAX);
    settings_write(s, &text);
    assert_true(buf_append(&text, SPAN("\0")));
    again = settings_of(buf_span(&text).data);
    assert_memory_equal(&again->listeners[0].relay_certificates,
                        &s->listeners[0].relay_certificates, sizeof(struct certificate_list));
    assert_true(
        certificate_list_next(&again->listeners[0].certificate_users, &at, &pattern, &user));
    assert_true(span_equal(pattern, SPAN("name:a.example")));
    assert_true(span_equal(user, SPAN("ada")));
    assert_false(
        certificate_list_next(&again->listeners[0].certificate_users, &at, &pattern, &user));
    at = 0;
    for (unsigned i = 0; i < 2; i++) {
        assert_true(
            certificate_list_next(&again->listeners[0].relay_certificates, &at, &pattern, &user));
        assert_int_equal(user.len, 0);
    }
    assert_true(span_equal(pattern, SPAN("trusted")));
    buf_clear(&text);
    free(s);
    free(again);
}

static void what_could_never_fit_is_an_error(void **state)
{
    char *many = memory_new(32768);
    size_t len = 0;

    (void)state;
    assert_says(ENTRY("relay-certificates = [ \"name:x\" ];"), "no tls-client-ca");
    assert_says(ENTRY("certificate-users = [ \"trusted ada\" ];"), "no tls-client-ca");
    assert_says(
        "listeners = ( { address = \"127.0.0.1:25\"; relay-certificates = [ \"sha256:" DIGEST
        "\" ]; } );",
        "asks no client for a certificate");
    assert_says(ENTRY("relay-certificates = \"trusted\";"), "conf:2: relay-certificates");
    assert_says(ENTRY("relay-certificates = [ 1 ];"), "relay-certificates");
    assert_says(ENTRY("relay-certificates = [ \"sha256:" DIGEST " ada\" ];"), "relay-certificates");
    assert_says(ENTRY("certificate-users = [ \"sha256:" DIGEST "\" ];"), "certificate-users");
    assert_says(ENTRY("certificate-users = [ \"sha256:" DIGEST " a b\" ];"), "certificate-users");
    assert_says(ENTRY("certificate-users = [ \"sha256:" DIGEST " a:b\" ];"), "certificate-users");
    len += (size_t)snprintf(many, 32768, ENTRY("relay-certificates = [ \"sha256:" DIGEST "\""));
    len -= 5; /* " } );" */
    for (int i = 0; i < 114; i++)
        len += (size_t)snprintf(many + len, 32768 - len, ", \"sha256:" DIGEST "\"");
    snprintf(many + len, 32768 - len, "]; } );");
    assert_says(many, "8 KiB in all");
    free(many);
    free(settings_of(
        "listeners = ( { address = \"127.0.0.1:25\"; tls-certificate = \"/c\";"
        "tls-key = \"/k\"; tls-client-certificates = \"request\"; auth = \"required\";"
        "certificate-users = [ \"sha256:" DIGEST " ada\" ]; } );"));
}

/* --- what fits */

static struct tls_session shown(enum cert_verdict cert)
{
    struct tls_session tls = { .cert = cert, .names = "app.example.net *.wild.example" };

    snprintf(tls.certificate_sha256, sizeof(tls.certificate_sha256), DIGEST);
    snprintf(tls.key_sha256, sizeof(tls.key_sha256), OTHER_DIGEST);
    snprintf(tls.client.common_name, sizeof(tls.client.common_name), "printer");
    snprintf(tls.client.mailboxes, sizeof(tls.client.mailboxes), "ada@example.net b@example.net");
    return tls;
}

static bool may(const char *pattern, const struct tls_session *tls)
{
    static struct listener_settings l;

    memset(&l, 0, sizeof(l));
    snprintf(l.relay_certificates.text, sizeof(l.relay_certificates.text), "name:nobody");
    snprintf(l.relay_certificates.text + 12, sizeof(l.relay_certificates.text) - 12, "%s", pattern);
    l.relay_certificates.count = 2;
    return client_certificate_may_relay(&l, tls);
}

static void a_fingerprint_fits_whoever_signed(void **state)
{
    const struct tls_session tls = shown(CERT_NOT_TRUSTED), none = { .cert = CERT_NONE };

    (void)state;
    assert_true(may("sha256:" DIGEST, &tls));
    assert_false(may("sha256:" OTHER_DIGEST, &tls));
    assert_true(may("key-sha256:" OTHER_DIGEST, &tls));
    assert_false(may("key-sha256:" DIGEST, &tls));
    assert_false(may("sha256:" DIGEST, &none));
    assert_false(may("sha256:", &none));
    assert_false(may("trusted", &none));
}

static void a_name_fits_only_when_somebody_vouches(void **state)
{
    struct tls_session tls = shown(CERT_OK);

    (void)state;
    assert_true(may("name:app.example.net", &tls));
    assert_true(may("mail:b@example.net", &tls));
    assert_true(may("trusted", &tls));
    assert_false(may("name:example.net", &tls));
    assert_false(may("name:x.wild.example", &tls));
    assert_false(may("mail:c@example.net", &tls));
    assert_false(may("name:printer", &tls)); /* it has DNS names */
    tls.names[0] = '\0';
    assert_true(may("name:printer", &tls));
    assert_false(may("", &tls));
    tls = shown(CERT_EXPIRED);
    assert_false(may("name:app.example.net", &tls));
    assert_false(may("mail:b@example.net", &tls));
    assert_false(may("trusted", &tls));
    assert_true(may("sha256:" DIGEST, &tls));
}

static void the_first_entry_names_the_user(void **state)
{
    static const char text[] = "name:nobody zoe\0sha256:" DIGEST " ada\0trusted bob\0";
    static struct listener_settings l;
    const struct tls_session known = shown(CERT_OK), none = { .cert = CERT_NONE };
    struct tls_session other = shown(CERT_OK);

    (void)state;
    memcpy(l.certificate_users.text, text, sizeof(text));
    l.certificate_users.count = 3;
    assert_true(span_equal(client_certificate_user(&l, &known), SPAN("ada")));
    snprintf(other.certificate_sha256, sizeof(other.certificate_sha256),
             OTHER_DIGEST);
    assert_true(span_equal(client_certificate_user(&l, &other), SPAN("bob")));
    other.cert = CERT_NOT_TRUSTED;
    assert_int_equal(client_certificate_user(&l, &other).len, 0);
    assert_int_equal(client_certificate_user(&l, &none).len, 0);
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST("patterns have one form", patterns_have_one_form),
        TEST("what is no pattern is refused", what_is_none_is_refused),
        TEST("lists are written as they are read", lists_are_written_as_they_are_read),
        TEST("what could never fit is an error", what_could_never_fit_is_an_error),
        TEST("a fingerprint fits, whoever has signed", a_fingerprint_fits_whoever_signed),
        TEST("a name fits only when somebody vouches for it",
             a_name_fits_only_when_somebody_vouches),
        TEST("the first entry that fits names the user", the_first_entry_names_the_user),
    };

    return cmocka_run_group_tests_name("client_certificate", tests, NULL, NULL);
}
