#include "tests/support/test.h"

#include "policy/explain_policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct sts_entry cached;
static struct sts_txt txt;
static struct sts_fetched fetched;
static struct explain_policy_facts facts;

static struct sts_policy *policy_of(const char *mode)
{
    struct sts_policy *policy = NULL;
    char text[128];

    snprintf(text, sizeof(text), "version: STSv1\nmode: %s\nmx: mx.example.net\nmax_age: 86400\n",
             mode);
    assert_int_equal(sts_policy_parse(span_of(text), &policy), STS_POLICY_FINE);
    return policy;
}

/* Nothing cached, a record with the id 7, and nothing fetched. */
static int begin(void **state)
{
    (void)state;
    memset(&cached, 0, sizeof(cached));
    memset(&fetched, 0, sizeof(fetched));
    txt = (struct sts_txt){ .verdict = STS_TXT_VALID, .id = "7" };
    facts = (struct explain_policy_facts){
        .domain = "example.net", .cached = &cached, .txt = &txt, .txt_reason = ""
    };
    return 0;
}

static int end(void **state)
{
    (void)state;
    sts_entry_clear(&cached);
    sts_policy_free(&fetched.policy);
    return 0;
}

static void with_cached(const char *mode)
{
    cached.policy = policy_of(mode);
    strcpy(cached.id, "7");
    cached.fetched_utc_ms = 0;
}

static void assert_problem(const char *words)
{
    struct json *problems = json_new_array();

    explain_policy_problems(&facts, problems);
    if (!words) {
        assert_int_equal(json_count(problems), 0);
    } else {
        const struct json *problem = json_item(problems, 0);
        char what[512];
        assert_int_equal(json_count(problems), 1);
        assert_true(span_to_string(json_text(json_get(problem, "what")), what, sizeof(what)));
        if (!strstr(what, words))
            fail_msg("\"%s\" is not in: %s", words, what);
        assert_true(
            span_equal(json_text(json_get(problem, "who")), SPAN("the postmaster of example.net")));
    }
    json_free(&problems);
}

static void domain_that_never_had_a_policy_is_not_to_blame(void **state)
{
    (void)state;
    txt.verdict = STS_TXT_NO_RECORD;
    assert_problem(NULL);
}

static void record_that_does_not_count_is_told_with_what_holds(void **state)
{
    (void)state;
    txt.verdict = STS_TXT_MULTIPLE;
    assert_problem("at _mta-sts.example.net there are several policy records, which is as good");
    txt.verdict = STS_TXT_INVALID;
    assert_problem("there is a malformed policy record");
    txt.verdict = STS_TXT_DNS_ERROR;
    facts.txt_reason = "SERVFAIL";
    assert_problem("there may be a policy record: DNS does not say: SERVFAIL");
    facts.txt_reason = "";
    txt.verdict = STS_TXT_NO_RECORD;
    with_cached("enforce");
    assert_problem("there is no policy record any more; the cached policy holds until "
                   "1970-01-02T00:00:00Z");
}

static void file_that_cannot_be_had_is_told(void **state)
{
    (void)state;
    facts.fetched = &fetched;
    strcpy(fetched.reason, "HTTP status 404");
    assert_problem("its policy file cannot be had: HTTP status 404");
}

static void file_that_changed_under_its_id_is_told(void **state)
{
    (void)state;
    with_cached("enforce");
    assert_problem(NULL);
    facts.fetched = &fetched;
    fetched.policy = policy_of("enforce");
    assert_problem(NULL);
    sts_policy_free(&fetched.policy);
    fetched.policy = policy_of("testing");
    assert_problem("the policy file has changed under the same id");
    strcpy(txt.id, "8");
    assert_problem(NULL);
}

#define T(title, function)                                                                         \
    {                                                                                              \
        title, function, begin, end, NULL                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        T("a domain that never had a policy is not to blame",
          domain_that_never_had_a_policy_is_not_to_blame),
        T("a record that does not count is told, with what holds",
          record_that_does_not_count_is_told_with_what_holds),
        T("a file that cannot be had is told", file_that_cannot_be_had_is_told),
        T("a file that changed under its id is told", file_that_changed_under_its_id_is_told),
    };

    return cmocka_run_group_tests_name("explain_policy", tests, NULL, NULL);
}
