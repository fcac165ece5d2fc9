#include "policy/sts_policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/limits.h"

#define FLAWLESS "version: STSv1\nmode: enforce\nmx: mail.example.com\nmax_age: 604800\n"

static struct sts_policy *accepted(const char *body)
{
    struct sts_policy *policy = NULL;
    enum sts_policy_fault fault = sts_policy_parse(span_of(body), &policy);
    if (fault != STS_POLICY_FINE)
        fail_msg("%s: %s", body, sts_policy_fault_name(fault));
    return policy;
}

static void assert_refused(const char *body, enum sts_policy_fault expected)
{
    struct sts_policy *policy = NULL;
    enum sts_policy_fault fault = sts_policy_parse(span_of(body), &policy);
    assert_null(policy);
    if (fault != expected)
        fail_msg("%s: %s", body, sts_policy_fault_name(fault));
}

static void a_flawless_policy_is_read_and_its_text_kept(void **state)
{
    (void)state;
    struct sts_policy *policy = accepted(FLAWLESS);
    assert_int_equal(policy->mode, STS_ENFORCE);
    assert_int_equal(policy->max_age_s, 604800);
    assert_int_equal(policy->mx_count, 1);
    assert_string_equal(policy->mx[0], "mail.example.com");
    assert_int_equal(policy->text_len, strlen(FLAWLESS));
    assert_string_equal(policy->text, FLAWLESS);
    sts_policy_free(&policy);
    assert_null(policy);
    sts_policy_free(&policy);
}

static void line_ends_and_blanks_do_not_matter(void **state)
{
    static const char *const bodies[] = {
        "version: STSv1\r\nmode: enforce\nmx: mail.example.com\r\nmax_age: 604800",
        "max_age:604800\nmx:\t Mail.EXAMPLE.com \t\nmode:enforce \nversion:STSv1\n\r\n\n",
        "version: STSv1\nnote: caf\xc3\xa9 au lait\nmode: enforce\nmode: none\n"
        "mx: mail.example.com\nmax_age: 604800\nmax_age: x\nversion: STSv9\nVersion: 7\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct sts_policy *policy = accepted(bodies[i]);
        assert_int_equal(policy->mode, STS_ENFORCE);
        assert_int_equal(policy->max_age_s, 604800);
        assert_string_equal(policy->mx[0], "mail.example.com");
        sts_policy_free(&policy);
    }
}

static void all_patterns_are_kept_in_order(void **state)
{
    (void)state;
    struct sts_policy *policy =
        accepted("version: STSv1\nmode: testing\nmx: a.example\nmx: *.b.example\nmx: c\n"
                 "mx: d.example\nmx: e.example\nmax_age: 1\n");
    assert_int_equal(policy->mode, STS_TESTING);
    assert_int_equal(policy->mx_count, 5);
    assert_string_equal(policy->mx[1], "*.b.example");
    assert_string_equal(policy->mx[4], "e.example");
    sts_policy_free(&policy);
}

static void max_age_is_taken_for_a_year_at_most(void **state)
{
    (void)state;
    struct sts_policy *policy = accepted("version: STSv1\nmode: none\nmax_age: 9999999999\n");
    assert_int_equal(policy->max_age_s, STS_MAX_AGE_MAX);
    sts_policy_free(&policy);
    policy = accepted("version: STSv1\nmode: none\nmax_age: 0\n");
    assert_int_equal(policy->max_age_s, 0);
    assert_int_equal(policy->mx_count, 0);
    sts_policy_free(&policy);
}

static void what_is_missing_or_malformed_refuses_the_whole(void **state)
{
    static const struct {
        const char *body;
        enum sts_policy_fault fault;
    } cases[] = {
        { "", STS_POLICY_MISSING_VERSION },
        { "<html>\n", STS_POLICY_MISSING_VERSION },
        { "\xef\xbb\xbf" FLAWLESS, STS_POLICY_MISSING_VERSION },
        { "mode: none\nmax_age: 1\n", STS_POLICY_MISSING_VERSION },
        { "version: STSv10\nmode: none\nmax_age: 1\n", STS_POLICY_BAD_VERSION },
        { "version: STSv1\nmax_age: 1\n", STS_POLICY_MISSING_MODE },
        { "version: STSv1\nmode: Enforce\nmax_age: 1\n", STS_POLICY_BAD_MODE },
        { "version: STSv1\nmode: enforced\nmax_age: 1\n", STS_POLICY_BAD_MODE },
        { "version: STSv1\nmode: none\n", STS_POLICY_MISSING_MAX_AGE },
        { "version: STSv1\nmode: none\nmax_age: -1\n", STS_POLICY_BAD_MAX_AGE },
        { "version: STSv1\nmode: none\nmax_age:\n", STS_POLICY_BAD_MAX_AGE },
        { "version: STSv1\nmode: none\nmax_age: 00000604800\n", STS_POLICY_BAD_MAX_AGE },
        { "version: STSv1\nmode: enforce\nmax_age: 1\n", STS_POLICY_MISSING_MX },
        { FLAWLESS "mx: *\n", STS_POLICY_BAD_MX },
        { FLAWLESS "mx:\n", STS_POLICY_BAD_MX },
        { FLAWLESS "mx: *.*.example.com\n", STS_POLICY_BAD_MX },
        { FLAWLESS "mx: mx*.example.com\n", STS_POLICY_BAD_MX },
        { FLAWLESS "mx: .example.com\n", STS_POLICY_BAD_MX },
        { FLAWLESS "mx: mail.example.com.\n", STS_POLICY_BAD_MX },
        { FLAWLESS "mx: a.example.com, b.example.com\n", STS_POLICY_BAD_MX },
        { FLAWLESS "mx: [192.0.2.1]\n", STS_POLICY_BAD_MX },
        { FLAWLESS "mx: b\xc3\xbc"
                   "cher.example\n",
          STS_POLICY_BAD_MX },
        { FLAWLESS "just text\n", STS_POLICY_BAD_LINE },
        { FLAWLESS "note :x\n", STS_POLICY_BAD_LINE },
        { FLAWLESS "note:\n", STS_POLICY_BAD_LINE },
        { FLAWLESS "note: a\x01"
                   "b\n",
          STS_POLICY_BAD_LINE },
        { FLAWLESS "note: \xff\n", STS_POLICY_BAD_LINE },
        { FLAWLESS "a12345678901234567890123456789012: x\n", STS_POLICY_BAD_LINE },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_refused(cases[i].body, cases[i].fault);
}

static void a_body_may_have_64_kib_and_no_byte_more(void **state)
{
    static const char head[] = FLAWLESS "note: ";
    size_t size = STS_POLICY_BYTES_MAX + 1;
    char *body = malloc(size);
    struct sts_policy *policy = NULL;
    (void)state;
    memset(body, 'x', size);
    memcpy(body, head, sizeof(head) - 1);
    struct span whole = { body, size };
    assert_int_equal(sts_policy_parse(whole, &policy), STS_POLICY_TOO_LARGE);
    whole.len--;
    assert_int_equal(sts_policy_parse(whole, &policy), STS_POLICY_FINE);
    sts_policy_free(&policy);
    free(body);
}

static void only_200_and_text_plain_count(void **state)
{
    (void)state;
    assert_int_equal(sts_policy_check_http(200, SPAN("text/plain")), STS_POLICY_FINE);
    assert_int_equal(sts_policy_check_http(200, SPAN("TEXT/Plain ;charset=x")), STS_POLICY_FINE);
    assert_int_equal(sts_policy_check_http(204, SPAN("text/plain")), STS_POLICY_HTTP_STATUS);
    assert_int_equal(sts_policy_check_http(301, SPAN("text/plain")), STS_POLICY_HTTP_STATUS);
    assert_int_equal(sts_policy_check_http(200, SPAN("text/html")), STS_POLICY_CONTENT_TYPE);
    assert_int_equal(sts_policy_check_http(200, SPAN("text/plainer")), STS_POLICY_CONTENT_TYPE);
    assert_int_equal(sts_policy_check_http(200, SPAN("")), STS_POLICY_CONTENT_TYPE);
}

static void assert_weaker(const char *newer, const char *older, unsigned how)
{
    struct sts_policy *n = accepted(newer);
    struct sts_policy *o = accepted(older);
    assert_int_equal(sts_policy_weakening(n, o), how);
    assert_string_equal(sts_policy_added_mx(n, o), how & STS_WEAKER_MX ? "c" : "");
    sts_policy_free(&n);
    sts_policy_free(&o);
}

static void a_weaker_policy_is_noticed(void **state)
{
    static const char fewer[] = "version: STSv1\nmode: enforce\nmx: a\nmx: b\nmax_age: 9\n";
    (void)state;
    assert_weaker(fewer, fewer, 0);
    assert_weaker("version: STSv1\nmode: enforce\nmx: b\nmax_age: 10\n", fewer, 0);
    assert_weaker("version: STSv1\nmode: testing\nmx: a\nmax_age: 9\n", fewer, STS_WEAKER_MODE);
    assert_weaker("version: STSv1\nmode: none\nmx: c\nmax_age: 9\n", fewer, STS_WEAKER_MODE);
    assert_weaker("version: STSv1\nmode: enforce\nmx: a\nmax_age: 8\n", fewer, STS_WEAKER_MAX_AGE);
    assert_weaker("version: STSv1\nmode: testing\nmx: a\nmx: c\nmax_age: 8\n", fewer,
                  STS_WEAKER_MODE | STS_WEAKER_MAX_AGE | STS_WEAKER_MX);
}

/* As many as 64 KiB have room for, each another one. */
static struct sts_policy *policy_of_many_hosts(unsigned count)
{
    char *body = malloc(STS_POLICY_BYTES_MAX);
    size_t len = (size_t)sprintf(body, "version: STSv1\nmode: enforce\nmax_age: 9\n");
    for (unsigned i = 0; i < count; i++)
        len += (size_t)sprintf(body + len, "mx:%x\n", i);
    body[len] = '\0';
    struct sts_policy *policy = accepted(body);
    free(body);
    return policy;
}

static void of_ten_thousand_patterns_the_first_count_and_the_rest_are_counted(void **state)
{
    struct sts_policy *all = policy_of_many_hosts(STS_MX_MAX);
    struct sts_policy *many = policy_of_many_hosts(STS_MX_MAX + 1);
    (void)state;
    assert_int_equal(all->mx_count, STS_MX_MAX);
    assert_int_equal(all->mx_cut, 0);
    assert_int_equal(many->mx_count, STS_MX_MAX);
    assert_int_equal(many->mx_cut, 1);
    sts_policy_free(&many);
    many = policy_of_many_hosts(8000);
    assert_int_equal(many->mx_cut, 8000 - STS_MX_MAX);
    assert_int_equal(sts_policy_weakening(many, all), 0); /* 512 by 512 names at the most */
    sts_policy_free(&many);
    sts_policy_free(&all);
}

static void modes_have_names(void **state)
{
    enum sts_mode mode;
    (void)state;
    for (int i = STS_NONE; i <= STS_ENFORCE; i++) {
        assert_true(sts_mode_parse(span_of(sts_mode_name((enum sts_mode)i)), &mode));
        assert_int_equal(mode, i);
    }
    assert_false(sts_mode_parse(SPAN("doubt"), &mode));
}

#define STORY(title, function)                                                                     \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY("a flawless policy is read and its text kept",
              a_flawless_policy_is_read_and_its_text_kept),
        STORY("line ends, blanks, order and later duplicates do not matter (RFC 8461 s.3.2)",
              line_ends_and_blanks_do_not_matter),
        STORY("all mx patterns are kept in order", all_patterns_are_kept_in_order),
        STORY("max_age is taken for a year at most", max_age_is_taken_for_a_year_at_most),
        STORY("what is missing or malformed refuses the whole policy",
              what_is_missing_or_malformed_refuses_the_whole),
        STORY("a body may have 64 KiB and no byte more", a_body_may_have_64_kib_and_no_byte_more),
        STORY("only status 200 and text/plain count (RFC 8461 s.3.3)",
              only_200_and_text_plain_count),
        STORY("a weaker policy is noticed", a_weaker_policy_is_noticed),
        STORY("of ten thousand patterns the first count, and the rest are counted",
              of_ten_thousand_patterns_the_first_count_and_the_rest_are_counted),
        STORY("modes have names", modes_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
