#include "tests/support/test.h"

#include "lib/mail/ehlo.h"

#include <string.h>

static struct ehlo offered_by(const char *const *lines)
{
    struct ehlo e;

    ehlo_clear(&e);
    for (unsigned i = 0; lines[i]; i++)
        ehlo_line(&e, i, span_of(lines[i]));
    return e;
}

static void all_that_is_offered_is_noted(void **state)
{
    static const char *const lines[] = {
        "mx.example.net at your service",
        "STARTTLS",
        "pipelining",
        "SIZE 1000",
        "8BitMime",
        "SMTPUTF8",
        "CHUNKING",
        "DSN",
        "REQUIRETLS",
        "MT-PRIORITY MIXER",
        "ENHANCEDSTATUSCODES",
        "X-UNKNOWN a b",
        NULL,
    };
    struct ehlo e = offered_by(lines);
    (void)state;
    assert_string_equal(e.name, "mx.example.net");
    assert_true(e.starttls && e.pipelining && e.size && e.eightbitmime && e.smtputf8);
    assert_true(e.chunking && e.dsn && e.requiretls && e.enhanced_status && e.mt_priority);
    assert_int_equal(e.size_max, 1000);
    assert_int_equal(e.keywords, 11);
}

static void the_greeting_line_offers_nothing(void **state)
{
    static const char *const lines[] = { "STARTTLS", NULL };
    struct ehlo e = offered_by(lines);
    (void)state;
    assert_false(e.starttls);
    assert_string_equal(e.name, "STARTTLS");
}

static void size_may_have_no_number_or_a_bad_one(void **state)
{
    static const char *const none[] = { "mx", "SIZE", NULL };
    static const char *const zero[] = { "mx", "SIZE 0", NULL };
    static const char *const bad[] = { "mx", "SIZE -5", NULL };
    static const char *const last[] = { "mx", "SIZE 5", "SIZE 7", "SIZE x", NULL };
    (void)state;
    assert_true(offered_by(none).size);
    assert_int_equal(offered_by(none).size_max, 0);
    assert_true(offered_by(zero).size);
    assert_false(offered_by(bad).size);
    assert_int_equal(offered_by(last).size_max, 7);
}

static void a_keyword_is_matched_whole(void **state)
{
    static const char *const lines[] = { "mx", "STARTTLSX", "XSTARTTLS", "START TLS", "", NULL };
    (void)state;
    assert_false(offered_by(lines).starttls);
}

static void the_name_is_made_harmless_and_cut(void **state)
{
    char long_name[600];
    struct ehlo e;
    (void)state;
    ehlo_clear(&e);
    ehlo_line(&e, 0, SPAN("mx\r\x01\xff.test hello"));
    assert_string_equal(e.name, "mx???.test");
    memset(long_name, 'a', sizeof(long_name));
    ehlo_line(&e, 0, (struct span){ long_name, sizeof(long_name) });
    assert_int_equal(strlen(e.name), DOMAIN_MAX);
    ehlo_line(&e, 0, SPAN(""));
    assert_string_equal(e.name, "");
}

static void keywords_beyond_the_limit_are_ignored(void **state)
{
    struct ehlo e;
    (void)state;
    ehlo_clear(&e);
    for (unsigned i = 1; i < EHLO_KEYWORDS_MAX; i++)
        ehlo_line(&e, i, SPAN("X"));
    ehlo_line(&e, EHLO_KEYWORDS_MAX, SPAN("DSN"));
    ehlo_line(&e, EHLO_KEYWORDS_MAX + 1, SPAN("STARTTLS"));
    assert_true(e.dsn);
    assert_false(e.starttls);
    assert_int_equal(e.keywords, EHLO_KEYWORDS_MAX);
}

static void clearing_forgets_everything(void **state)
{
    static const char *const lines[] = { "mx", "STARTTLS", "SIZE 7", NULL };
    static const struct ehlo nothing;
    struct ehlo e = offered_by(lines);
    (void)state;
    ehlo_clear(&e);
    assert_int_equal(e.keywords, nothing.keywords);
    assert_false(e.starttls || e.size);
    assert_int_equal(e.size_max, 0);
    assert_string_equal(e.name, "");
}

static void limits_are_read_and_bad_ones_ignored(void **state)
{
    static const char *const lines[] = { "mx", "limits RCPTMAX=20 mailmax=5 RCPTDOMAINMAX=1 X=2",
                                         NULL };
    static const char *const bad[] = {
        "mx", "LIMITS RCPTMAX=0 MAILMAX=05 RCPTDOMAINMAX=1000000 RCPTMAX MAILMAX= =5 RCPTMAX=-1",
        NULL
    };
    struct ehlo e = offered_by(lines);
    (void)state;
    assert_int_equal(e.recipients_max, 20);
    assert_int_equal(e.messages_max, 5);
    assert_int_equal(e.domains_max, 1);
    e = offered_by(bad);
    assert_int_equal(e.recipients_max, 0);
    assert_int_equal(e.messages_max, 0);
    assert_int_equal(e.domains_max, 0);
}

static void mechanisms_of_auth_are_noted(void **state)
{
    static const char *const both[] = { "mx", "AUTH=LOGIN", "AUTH plain SCRAM-SHA-256 X-OTHER",
                                        NULL };
    static const char *const old[] = { "mx", "AUTH=PLAIN LOGIN", NULL };
    static const char *const plus[] = { "mx", "AUTH SCRAM-SHA-256-PLUS", "AUTH LOGIN", NULL };
    static const char *const empty[] = { "mx", "AUTH", NULL };
    struct ehlo e = offered_by(both);
    (void)state;
    assert_true(e.auth);
    assert_int_equal(ehlo_mechanisms(&e), EHLO_AUTH_PLAIN | EHLO_AUTH_SCRAM);
    e = offered_by(old);
    assert_false(e.auth);
    assert_int_equal(ehlo_mechanisms(&e), EHLO_AUTH_PLAIN | EHLO_AUTH_LOGIN);
    e = offered_by(plus);
    assert_int_equal(ehlo_mechanisms(&e), EHLO_AUTH_SCRAM_PLUS | EHLO_AUTH_LOGIN);
    e = offered_by(empty);
    assert_true(e.auth);
    assert_int_equal(ehlo_mechanisms(&e), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "ehlo: all that is offered is noted, in any case", all_that_is_offered_is_noted, 0, 0,
          0 },
        { "ehlo: the greeting line offers nothing", the_greeting_line_offers_nothing, 0, 0, 0 },
        { "ehlo: SIZE may have no number; a bad one is ignored",
          size_may_have_no_number_or_a_bad_one, 0, 0, 0 },
        { "ehlo: a keyword is matched whole", a_keyword_is_matched_whole, 0, 0, 0 },
        { "ehlo: the server's name is made harmless and cut", the_name_is_made_harmless_and_cut, 0,
          0, 0 },
        { "ehlo: keywords beyond the limit are ignored", keywords_beyond_the_limit_are_ignored, 0,
          0, 0 },
        { "ehlo: limits are read, and bad ones ignored (RFC 9422)",
          limits_are_read_and_bad_ones_ignored, 0, 0, 0 },
        { "ehlo: mechanisms of AUTH are noted, in the old spelling only where the right one is "
          "missing",
          mechanisms_of_auth_are_noted, 0, 0, 0 },
        { "ehlo: clearing forgets everything (RFC 3207 s.4.2)", clearing_forgets_everything, 0, 0,
          0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
