#include "tests/support/test.h"

#include "tlsrpt/rua.h"

#include <stdio.h>
#include <string.h>

static struct rua judge(const char *record)
{
    struct span records[] = { span_of(record) };
    struct rua r;

    rua_parse(records, 1, &r);
    return r;
}

static void check_uris(const char *record, const char *first, const char *second)
{
    struct rua r = judge(record);

    assert_int_equal(r.verdict, RUA_VALID);
    assert_int_equal(r.count, second ? 2 : 1);
    assert_true(span_equal(r.uris[0], span_of(first)));
    if (second)
        assert_true(span_equal(r.uris[1], span_of(second)));
}

static void check_verdict(const char *record, enum rua_verdict verdict)
{
    struct rua r = judge(record);

    assert_int_equal(r.verdict, verdict);
    assert_int_equal(r.count, 0);
}

static void uris_come_as_they_are_written(void **state)
{
    (void)state;
    check_uris("v=TLSRPTv1;rua=mailto:a@b.test", "mailto:a@b.test", NULL);
    check_uris("v=TLSRPTv1 \t; rua=mailto:a@b.test , \t https://c.test/x ; ", "mailto:a@b.test",
               "https://c.test/x");
    check_uris("v=TLSRPTv1; rua=MailTo:a@b.test?subject=x=y", "MailTo:a@b.test?subject=x=y", NULL);
    check_uris("v=TLSRPTv1; x=y; rua=https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443",
               NULL);
}

static void unusable_uris_are_passed_over(void **state)
{
    (void)state;
    check_uris("v=TLSRPTv1; rua=http://c.test,mailto:a@b.test,tel:5", "mailto:a@b.test", NULL);
    check_uris("v=TLSRPTv1; rua=mailto:a@b.test!10m,https://c.test", "https://c.test", NULL);
    check_uris("v=TLSRPTv1; rua=mailto:,mailto:@b,mailto:a@,mailto:?x=a@b,mailto:a@b.test",
               "mailto:a@b.test", NULL);
    check_uris("v=TLSRPTv1; rua=https:,https://,https:///x,https://:5,https://?,https://#,"
               "mailto:a@b.test",
               "mailto:a@b.test", NULL);
    check_uris("v=TLSRPTv1; rua=a@b.test,mailto:a@b.test,1x:y", "mailto:a@b.test", NULL);
    check_verdict("v=TLSRPTv1; rua=http://c.test", RUA_INVALID);
}

static void broken_forms_are_invalid(void **state)
{
    static const char *const bad[] = {
        "v=TLSRPTv1;",
        "v=TLSRPTv1; ;",
        "v=TLSRPTv1;; rua=mailto:a@b.test",
        "v=TLSRPTv1; rua=",
        "v=TLSRPTv1; rua=,",
        "v=TLSRPTv1; rua=mailto:a@b.test,",
        "v=TLSRPTv1; rua=a@b.test",
        "v=TLSRPTv1; rua=1x:a@b.test",
        "v=TLSRPTv1; rua=m/x:a@b.test",
        "v=TLSRPTv1; rua=mailto:a@b.test other",
        "v=TLSRPTv1; rua=mailto:a\x01@b.test",
        "v=TLSRPTv1; RUA=mailto:a@b.test",
        "v=TLSRPTv1; rua =mailto:a@b.test",
        "v=TLSRPTv1; rua=mailto:a@b.test; x",
        "v=TLSRPTv1; rua=mailto:a@b.test; x=",
        "v=TLSRPTv1; rua=mailto:a@b.test; x=a=b",
        "v=TLSRPTv1; rua=mailto:a@b.test; x=a b",
        "v=TLSRPTv1; rua=mailto:a@b.test; -x=a",
        "v=TLSRPTv1; rua=mailto:a@b.test; x/y=a",
        "v=TLSRPTv1; rua=mailto:a@b.test; a12345678901234567890123456789012=1",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        check_verdict(bad[i], RUA_INVALID);
}

static void the_first_rua_counts(void **state)
{
    (void)state;
    check_uris("v=TLSRPTv1; rua=mailto:a@b.test; rua=mailto:c@d.test", "mailto:a@b.test", NULL);
}

static void other_records_do_not_count(void **state)
{
    struct span records[] = { SPAN("hello"), SPAN("v=TLSRPTv1; rua=mailto:a@b.test"),
                              SPAN("v=TLSRPTv1") };
    struct span two[] = { SPAN("v=TLSRPTv1;"), SPAN("v=TLSRPTv1; rua=mailto:a@b.test") };
    struct rua r;
    (void)state;
    check_verdict("v=TLSRPTv1", RUA_NO_RECORD);
    check_verdict("v=TLSRPTv10; rua=mailto:a@b.test", RUA_NO_RECORD);
    check_verdict("v=tlsrptv1; rua=mailto:a@b.test", RUA_NO_RECORD);
    check_verdict("v=TLSRPTv1 rua=mailto:a@b.test", RUA_NO_RECORD);
    check_verdict("", RUA_NO_RECORD);
    rua_parse(records, 3, &r);
    assert_int_equal(r.verdict, RUA_VALID);
    rua_parse(two, 2, &r);
    assert_int_equal(r.verdict, RUA_MULTIPLE);
    rua_parse(NULL, 0, &r);
    assert_int_equal(r.verdict, RUA_NO_RECORD);
}

static void ten_uris_are_used_at_most(void **state)
{
    char record[500] = "v=TLSRPTv1; rua=mailto:a0@b.test";
    struct rua r;
    (void)state;
    for (int i = 1; i < RUA_MAX + 3; i++)
        snprintf(record + strlen(record), 40, ",mailto:a%d@b.test", i);
    r = judge(record);
    assert_int_equal(r.count, RUA_MAX);
    assert_true(span_equal(r.uris[RUA_MAX - 1], SPAN("mailto:a9@b.test")));
}

static void all_uris_that_can_be_used_can_be_had(void **state)
{
    struct rua r = judge("v=TLSRPTv1; rua=ftp://a.test, mailto:a@b.test ,http://b.test/,"
                         "https://c.test/; rua=mailto:second@b.test");
    struct span uri;
    (void)state;
    assert_true(rua_next(&r.list, &uri));
    assert_true(span_equal(uri, SPAN("mailto:a@b.test")));
    assert_true(rua_next(&r.list, &uri));
    assert_true(span_equal(uri, SPAN("https://c.test/")));
    assert_false(rua_next(&r.list, &uri));
    r = judge("v=TLSRPTv1; rua=mailto:a@b.test,no thing");
    assert_false(rua_next(&r.list, &uri));
}

static void a_failed_lookup_is_no_proof_of_absence(void **state)
{
    char text[] = "v=TLSRPTv1; rua=mailto:a@b.test";
    struct dns_record record = { .data = text, .data_len = sizeof(text) - 1 };
    struct dns_answer answer;
    struct rua r;
    (void)state;
    dns_answer_none(&answer, DNS_TEMPFAIL, "timed out");
    rua_judge(&answer, &r);
    assert_int_equal(r.verdict, RUA_DNS_ERROR);
    dns_answer_none(&answer, DNS_NXDOMAIN, "");
    rua_judge(&answer, &r);
    assert_int_equal(r.verdict, RUA_NO_RECORD);
    answer = (struct dns_answer){ .outcome = DNS_ANSWER, .records = &record, .count = 1 };
    rua_judge(&answer, &r);
    assert_int_equal(r.verdict, RUA_VALID);
    assert_string_equal(rua_verdict_name(r.verdict), "valid");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "rua: URIs come as they are written, blanks around them taken away",
          uris_come_as_they_are_written, 0, 0, 0 },
        { "rua: URIs that cannot be used are passed over", unusable_uris_are_passed_over, 0, 0, 0 },
        { "rua: a broken form makes the record invalid (RFC 8460 s.3)", broken_forms_are_invalid, 0,
          0, 0 },
        { "rua: of several rua the first counts", the_first_rua_counts, 0, 0, 0 },
        { "rua: other records do not count; two that do are none", other_records_do_not_count, 0, 0,
          0 },
        { "rua: ten URIs are used at most", ten_uris_are_used_at_most, 0, 0, 0 },
        { "rua: those behind the first ten can be had, too", all_uris_that_can_be_used_can_be_had,
          0, 0, 0 },
        { "rua: a failed lookup is no proof of absence", a_failed_lookup_is_no_proof_of_absence, 0,
          0, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
