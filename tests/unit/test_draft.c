#include "tests/support/settings_text.h"
#include "tests/support/test.h"

#include "tlsrpt/draft.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIGNS "dkim = ( { senders = \"relay.test\"; selector = \"s\"; key = \"/k\"; } );"
#define WHO "tlsrpt-contact = \"tls@relay.test\";"

static enum draft_verdict verdict_of(const char *settings_text, const char *record)
{
    struct settings *settings = settings_of(settings_text);
    struct subject subject = subject_of_domain(1, SPAN("b.test"));
    enum draft_verdict verdict;
    struct draft draft;

    draft_read(span_of(record), &draft);
    verdict = draft_judge(settings, &subject, &draft.to);
    free(settings);
    return verdict;
}

static void mail_goes_where_a_key_signs_for_the_sender(void **state)
{
    (void)state;
    assert_int_equal(verdict_of(WHO SIGNS, "v=TLSRPTv1; rua=mailto:a@b.test"), DRAFT_GOES);
    assert_int_equal(verdict_of(WHO, "v=TLSRPTv1; rua=mailto:a@b.test"), DRAFT_UNSIGNED);
    assert_int_equal(
        verdict_of("tlsrpt-contact = \"tls@other.test\";" SIGNS, "v=TLSRPTv1; rua=mailto:a@b.test"),
        DRAFT_UNSIGNED);
}

static void https_needs_no_key(void **state)
{
    (void)state;
    assert_int_equal(verdict_of(WHO, "v=TLSRPTv1; rua=https://b.test/"), DRAFT_GOES);
    assert_int_equal(verdict_of(WHO, "v=TLSRPTv1; rua=mailto:a@b.test,https://b.test/"),
                     DRAFT_GOES);
}

static void reports_can_be_turned_off_for_all_or_for_some(void **state)
{
    const char *record = "v=TLSRPTv1; rua=https://b.test/";

    (void)state;
    assert_int_equal(verdict_of("tlsrpt-reports = \"off\";" SIGNS, record), DRAFT_OFF);
    assert_int_equal(verdict_of("tlsrpt-exclude = [ \"b.test\" ];" SIGNS, record), DRAFT_EXCLUDED);
    assert_int_equal(verdict_of("tlsrpt-exclude = [ \".test\" ];" SIGNS, record), DRAFT_EXCLUDED);
    assert_int_equal(verdict_of("tlsrpt-exclude = [ \"a.test\" ];" SIGNS, record), DRAFT_GOES);
}

static void a_record_that_is_none_leads_nowhere(void **state)
{
    (void)state;
    assert_int_equal(verdict_of(WHO SIGNS, ""), DRAFT_NOWHERE);
    assert_int_equal(verdict_of(WHO SIGNS, "v=TLSRPTv1; rua=a@b.test"), DRAFT_NOWHERE);
    assert_int_equal(verdict_of(WHO SIGNS, "v=TLSRPTv1; rua=ftp://b.test/"), DRAFT_NOWHERE);
}

static void what_cannot_be_used_is_told_and_the_rest_is_used(void **state)
{
    struct draft draft;

    (void)state;
    draft_read(SPAN("v=TLSRPTv1; rua=https://[::1]/,mailto:a@b.test,mailto:A@b.test,"
                    "https://c.test/x"),
               &draft);
    assert_int_equal(draft.to.count >= 2, true);
    assert_string_equal(draft.to.items[0].text, "mailto:a@b.test");
    assert_int_equal(draft.fault_count >= 1, true);
    assert_true(span_equal(draft.faults[0].uri, SPAN("https://[::1]/")));
    assert_int_equal(draft.faults[0].fault, DESTINATION_HOST);
}

static void each_uri_that_is_passed_over_is_told(void **state)
{
    const struct draft_fault told[] = {
        { SPAN("a@b.test"), DESTINATION_SCHEME },
        { SPAN("http://b.test/"), DESTINATION_SCHEME },
        { SPAN("mailto:@"), DESTINATION_SYNTAX },
        { SPAN("MAILTO:a@b.test!10m"), DESTINATION_SYNTAX },
        { SPAN("https:///x"), DESTINATION_SYNTAX },
    };
    struct draft draft;

    (void)state;
    draft_read(SPAN("v=TLSRPTv1; rua=a@b.test,http://b.test/,mailto:@, MAILTO:a@b.test!10m,"
                    "https:///x,mailto:c@b.test"),
               &draft);
    assert_int_equal(draft.to.count, 1);
    assert_string_equal(draft.to.items[0].text, "mailto:c@b.test");
    assert_int_equal(draft.fault_count, sizeof(told) / sizeof(told[0]));
    for (unsigned i = 0; i < draft.fault_count; i++) {
        assert_true(span_equal(draft.faults[i].uri, told[i].uri));
        assert_int_equal(draft.faults[i].fault, told[i].fault);
    }
}

static void a_thousand_uris_are_ten_at_most_and_two_of_a_host(void **state)
{
    char record[20000] = "v=TLSRPTv1; rua=mailto:a@b.test";
    struct draft draft;

    (void)state;
    for (int i = 0; i < 1000; i++)
        sprintf(record + strlen(record), ",mailto:%d@b.test", i);
    for (int i = 0; i < 5; i++)
        sprintf(record + strlen(record), ",https://b%d.test/a,https://b%d.test/b,mailto:a@b%d.test",
                i, i, i);
    draft_read(span_of(record), &draft);
    assert_int_equal(draft.to.count, RUA_MAX); /* behind the crowd, too */
    assert_string_equal(draft.to.items[1].text, "mailto:0@b.test");
    assert_string_equal(draft.to.items[2].text, "https://b0.test/a");
    assert_string_equal(draft.to.items[9].text, "https://b3.test/b");
    assert_int_equal(draft.fault_count, RUA_MAX); /* the first ones are told */
    assert_int_equal(draft.faults[RUA_MAX - 1].fault, DESTINATION_CROWDED);
    strcpy(record, "v=TLSRPTv1; rua=mailto:a@b.test");
    for (int i = 0; i < 1000; i++)
        sprintf(record + strlen(record), ",mailto:a@b%d.test", i);
    draft_read(span_of(record), &draft);
    assert_int_equal(draft.to.count, RUA_MAX);
}

static void every_verdict_has_its_words(void **state)
{
    (void)state;
    for (int v = DRAFT_GOES; v <= DRAFT_UNSIGNED; v++)
        assert_true(strlen(draft_verdict_text((enum draft_verdict)v)) > 0);
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST("mail goes where a key signs for the sender",
             mail_goes_where_a_key_signs_for_the_sender),
        TEST("HTTPS needs no key", https_needs_no_key),
        TEST("reports can be turned off, for all or for some",
             reports_can_be_turned_off_for_all_or_for_some),
        TEST("a record that is none leads nowhere", a_record_that_is_none_leads_nowhere),
        TEST("what cannot be used is told, and the rest is used",
             what_cannot_be_used_is_told_and_the_rest_is_used),
        TEST("each URI that is passed over is told", each_uri_that_is_passed_over_is_told),
        TEST("of a thousand URIs ten are used, and two of a host",
             a_thousand_uris_are_ten_at_most_and_two_of_a_host),
        TEST("every verdict has its words", every_verdict_has_its_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
