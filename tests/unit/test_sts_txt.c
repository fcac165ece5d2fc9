#include "policy/sts_txt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct sts_txt parsed(const char *first, const char *second)
{
    struct span records[2] = { span_of(first), span_of(second) };
    struct sts_txt txt;
    sts_txt_parse(records, (first != NULL) + (second != NULL), &txt);
    return txt;
}

static void assert_id(const char *record, const char *id)
{
    struct sts_txt txt = parsed(record, NULL);
    assert_int_equal(txt.verdict, STS_TXT_VALID);
    assert_string_equal(txt.id, id);
}

static void assert_verdict(const char *record, enum sts_txt_verdict verdict)
{
    struct sts_txt txt = parsed(record, NULL);
    if (txt.verdict != verdict)
        fail_msg("%s: %s", record, sts_txt_verdict_name(txt.verdict));
    assert_string_equal(txt.id, "");
}

static void the_id_is_found_whatever_the_blanks(void **state)
{
    (void)state;
    assert_id("v=STSv1; id=20260131T120000;", "20260131T120000");
    assert_id("v=STSv1;id=a1", "a1");
    assert_id("v=STSv1; \t id=a1  \t;", "a1");
    assert_id("v=STSv1; id=a1; \t", "a1");
    assert_id("v=STSv1 ; id=a1", "a1"); /* erratum 6285 */
    assert_id("v=STSv1; note=x; id=aBc; ref=2", "aBc");
    assert_id("v=STSv1; id=abcdefghijklmnopqrstuvwxyz012345", "abcdefghijklmnopqrstuvwxyz012345");
}

static void of_two_ids_the_first_counts(void **state)
{
    (void)state;
    assert_id("v=STSv1; id=a1; id=b2", "a1");
    assert_id("v=STSv1; id=a1; id=2024-01-31", "a1");
    assert_verdict("v=STSv1; id=2024-01-31; id=a1", STS_TXT_INVALID);
}

static void a_malformed_record_is_invalid(void **state)
{
    static const char *const records[] = {
        "v=STSv1;",
        "v=STSv1",
        "v=STSv1 id=a1",
        "v=STSv1; id=",
        "v=STSv1; id=a-1",
        "v=STSv1; id=policy_7;",
        "v=STSv1; id=abcdefghijklmnopqrstuvwxyz0123456",
        "v=STSv1; note=hello;",
        "v=STSv1; id=a1; note",
        "v=STSv1; id=a1; note=",
        "v=STSv1; id=a1; note=a b",
        "v=STSv1; id=a1; note=a=b",
        "v=STSv1; id=a1; note=\x7f",
        "v=STSv1; id=a1; -x=1",
        "v=STSv1; id=a1; x*=1",
        "v=STSv1; id=a1; =1",
        "v=STSv1; id=a1; a12345678901234567890123456789012=1",
        "v=STSv1; id=a1;;",
        "v=STSv1; id=a1 ",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++)
        assert_verdict(records[i], STS_TXT_INVALID);
}

static void records_of_other_kinds_do_not_count(void **state)
{
    (void)state;
    assert_verdict("v=spf1 -all", STS_TXT_NO_RECORD);
    assert_verdict("v=STSv10; id=a1;", STS_TXT_NO_RECORD);
    assert_verdict("v=stsv1; id=a1;", STS_TXT_NO_RECORD);
    assert_verdict("id=a1; v=STSv1;", STS_TXT_NO_RECORD);
    assert_verdict("", STS_TXT_NO_RECORD);
    assert_int_equal(parsed(NULL, NULL).verdict, STS_TXT_NO_RECORD);
    struct sts_txt txt = parsed("verification=abc", "v=STSv1; id=a1;");
    assert_int_equal(txt.verdict, STS_TXT_VALID);
    assert_string_equal(txt.id, "a1");
}

static void two_records_are_as_good_as_none(void **state)
{
    (void)state;
    struct sts_txt txt = parsed("v=STSv1; id=a1;", "v=STSv1; id=a1;");
    assert_int_equal(txt.verdict, STS_TXT_MULTIPLE);
    assert_string_equal(txt.id, "");
}

static void a_failing_lookup_is_never_no_record(void **state)
{
    char text[] = "v=STSv1; id=a1";
    struct dns_record record = { .data = text, .data_len = sizeof(text) - 1 };
    struct dns_answer answer = { .outcome = DNS_TEMPFAIL };
    struct sts_txt txt;
    (void)state;
    sts_txt_judge(&answer, &txt);
    assert_int_equal(txt.verdict, STS_TXT_DNS_ERROR);
    answer.outcome = DNS_NXDOMAIN;
    sts_txt_judge(&answer, &txt);
    assert_int_equal(txt.verdict, STS_TXT_NO_RECORD);
    answer = (struct dns_answer){ .outcome = DNS_ANSWER, .records = &record, .count = 1 };
    sts_txt_judge(&answer, &txt);
    assert_int_equal(txt.verdict, STS_TXT_VALID);
    assert_string_equal(sts_txt_verdict_name(txt.verdict), "valid");
}

#define STORY(title, function)                                                                     \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY("the id is found whatever the blanks (RFC 8461 s.3.1)",
              the_id_is_found_whatever_the_blanks),
        STORY("of two ids the first counts", of_two_ids_the_first_counts),
        STORY("a malformed record is invalid", a_malformed_record_is_invalid),
        STORY("records of other kinds do not count", records_of_other_kinds_do_not_count),
        STORY("two records are as good as none", two_records_are_as_good_as_none),
        STORY("a failing lookup is never \"no record\"", a_failing_lookup_is_never_no_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
