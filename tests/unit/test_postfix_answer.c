#include "policy/postfix_answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/memory.h"
#include "lib/mail/netstring.h"
#include "tests/support/test.h"

/* ---- the request -------------------------------------------------------------------------- */

static struct postfix_question question;

static enum postfix_asked parse(const char *request)
{
    memset(&question, 0, sizeof(question));
    return postfix_question_parse(span_of(request), &question);
}

static void a_request_is_a_map_and_a_key(void **state)
{
    (void)state;
    assert_int_equal(parse("QUERY example.com"), POSTFIX_ASKS_POLICY);
    assert_int_equal(question.map, POSTFIX_MAP_QUERY);
    assert_string_equal(question.domain, "example.com");
    assert_int_equal(question.port, 25);
    assert_int_equal(parse("QUERYwithTLSRPT example.com"), POSTFIX_ASKS_POLICY);
    assert_int_equal(question.map, POSTFIX_MAP_TLSRPT);
    assert_int_equal(parse("sts example.com"), POSTFIX_ASKS_POLICY);
    assert_int_equal(question.map, POSTFIX_MAP_STS);
}

static void the_names_of_maps_are_compared_without_case(void **state)
{
    (void)state;
    assert_int_equal(parse("query example.com"), POSTFIX_ASKS_POLICY);
    assert_int_equal(parse("QueryWithTlsRpt example.com"), POSTFIX_ASKS_POLICY);
    assert_int_equal(question.map, POSTFIX_MAP_TLSRPT);
    assert_int_equal(parse("STS example.com"), POSTFIX_ASKS_POLICY);
}

static void other_maps_are_refused(void **state)
{
    static const char *const amiss[] = { "",
                                         "QUERY",
                                         "QUERYexample.com",
                                         "other example.com",
                                         " ",
                                         " QUERY example.com",
                                         "QUERYwith example.com" };
    (void)state;
    for (size_t i = 0; i < sizeof(amiss) / sizeof(amiss[0]); i++)
        assert_int_equal(parse(amiss[i]), POSTFIX_ASKS_AMISS);
    assert_true(span_starts_with(postfix_answer_at_once(POSTFIX_ASKS_AMISS), SPAN("PERM ")));
}

static void a_key_is_brought_into_our_form(void **state)
{
    (void)state;
    assert_int_equal(parse("QUERY EXAMPLE.com."), POSTFIX_ASKS_POLICY);
    assert_string_equal(question.domain, "example.com");
    assert_int_equal(parse("QUERY b\xc3\xbc"
                           "cher.example"),
                     POSTFIX_ASKS_POLICY);
    assert_string_equal(question.domain, "xn--bcher-kva.example");
}

static void a_port_behind_a_domain_is_that_of_its_hosts(void **state)
{
    (void)state;
    assert_int_equal(parse("QUERY example.com:2525"), POSTFIX_ASKS_POLICY);
    assert_string_equal(question.domain, "example.com");
    assert_int_equal(question.port, 2525);
    assert_int_equal(parse("QUERY example.com:65535"), POSTFIX_ASKS_POLICY);
    assert_int_equal(parse("QUERY example.com:smtp"), POSTFIX_ASKS_POLICY);
    assert_string_equal(question.domain, "example.com");
    assert_int_equal(question.port, 25);
    assert_int_equal(parse("QUERY example.com:submission"), POSTFIX_ASKS_POLICY);
    assert_int_equal(question.port, 587);
    assert_int_equal(parse("QUERY example.com:submissions"), POSTFIX_ASKS_POLICY);
    assert_int_equal(question.port, 465);
    assert_int_equal(parse("QUERY example.com:urd"), POSTFIX_ASKS_POLICY);
    assert_string_equal(question.domain, "example.com");
    assert_int_equal(question.port, 0); /* the asker's machine knows it: the policy holds */
    assert_int_equal(parse("QUERY a.example:x"), POSTFIX_ASKS_POLICY);
    assert_int_equal(parse("QUERY example.com:a-name-of-16-chr"), POSTFIX_ASKS_NOTHING);
}

static void no_policy_is_for_what_is_no_mail_domain(void **state)
{
    static const char *const keys[] = {
        "",
        ".example.com",
        ".com",
        ".",
        "[192.0.2.1]",
        "[relay.example]",
        "192.0.2.1",
        "[relay.example]:587",
        "[2001:db8::1]",
        "2001:db8::1",
        "/run/lmtp",
        "unix:/run/lmtp",
        "example.com:",
        "example.com:0",
        "a.example:x/y",
        "a.example:-",
        "example.com:65536",
        "example..com",
        "-a.example",
        "a b.example",
        "example.com ",
        " example.com",
        "inet:mx.example:24",
        "a_b.example",
        "ex\xff"
        "ample.com",
        "you@example.com",
        "{example.com}",
        "*.example.com",
        "example.com,other.example",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        char request[100];
        snprintf(request, sizeof(request), "QUERY %s", keys[i]);
        assert_int_equal(parse(request), POSTFIX_ASKS_NOTHING);
    }
    assert_int_equal(postfix_question_parse((struct span){ "QUERY a\0b.example", 17 }, &question),
                     POSTFIX_ASKS_NOTHING);
    assert_true(span_equal(postfix_answer_at_once(POSTFIX_ASKS_NOTHING), SPAN("NOTFOUND ")));
}

static void a_key_that_is_too_long_for_a_name_is_none(void **state)
{
    char request[10000];
    (void)state;
    memset(request, 'a', sizeof(request));
    memcpy(request, "QUERY ", 6);
    assert_int_equal(postfix_question_parse((struct span){ request, sizeof(request) }, &question),
                     POSTFIX_ASKS_NOTHING);
}

/* ---- the answer --------------------------------------------------------------------------- */

/* The policy of rfc/socketmap-and-policy-maps.md, with CRLF as RFC 8461 s.3.2 has it. */
#define EXAMPLE(mode)                                                                              \
    "version: STSv1\r\nmode: " mode "\r\nmx: mx1.example.com\r\n"                                  \
    "mx: *.backup.example.net\r\nmax_age: 1209600\r\n"

static struct buf said;
static struct sts_policy *policy;

static int begin(void **state)
{
    (void)state;
    buf_init(&said, SOCKETMAP_REPLY_MAX);
    return 0;
}

static int end(void **state)
{
    (void)state;
    buf_clear(&said);
    sts_policy_free(&policy);
    return 0;
}

static struct postfix_facts facts_with(const char *text)
{
    sts_policy_free(&policy);
    if (text)
        assert_int_equal(sts_policy_parse(span_of(text), &policy), STS_POLICY_FINE);
    return (struct postfix_facts){ .sts_is_known = true, .policy = policy };
}

static enum postfix_answer_kind answer(const char *map, struct postfix_facts facts)
{
    char request[100];
    snprintf(request, sizeof(request), "%s example.com", map);
    assert_int_equal(parse(request), POSTFIX_ASKS_POLICY);
    buf_reset(&said);
    return postfix_answer(&question, &facts, &said);
}

static void assert_says(const char *map, struct postfix_facts facts, const char *expected)
{
    enum postfix_answer_kind kind = answer(map, facts);
    char text[2000];
    assert_true(span_to_string(buf_span(&said), text, sizeof(text)));
    assert_string_equal(text, expected);
    assert_int_equal(kind, strncmp(expected, "OK ", 3) == 0     ? POSTFIX_ANSWER_FOUND
                           : strncmp(expected, "TEMP ", 5) == 0 ? POSTFIX_ANSWER_LATER
                                                                : POSTFIX_ANSWER_NOT_FOUND);
}

#define SECURE "OK secure match=mx1.example.com:.backup.example.net servername=hostname"

static void an_enforced_policy_is_secure_with_its_patterns(void **state)
{
    (void)state;
    assert_says("QUERY", facts_with(EXAMPLE("enforce")), SECURE);
}

static void for_reports_the_whole_policy_comes_along(void **state)
{
    (void)state;
    assert_says("QUERYwithTLSRPT", facts_with(EXAMPLE("enforce")),
                "OK secure match=mx1.example.com:.backup.example.net servername=hostname "
                "policy_type=sts policy_domain=example.com mx_host_pattern=mx1.example.com "
                "mx_host_pattern=*.backup.example.net { policy_string = version: STSv1 } "
                "{ policy_string = mode: enforce } { policy_string = mx: mx1.example.com } "
                "{ policy_string = mx: *.backup.example.net } "
                "{ policy_string = max_age: 1209600 }");
}

static void the_examples_of_the_rules_are_what_is_sent(void **state)
{
    struct buf out;
    (void)state;
    buf_init(&out, 1000);
    answer("QUERY",
           facts_with("version: STSv1\nmode: enforce\nmx: mx1.example.com\nmax_age: 86400\n"));
    assert_true(netstring_write(buf_span(&said), &out));
    assert_true(netstring_write(postfix_answer_at_once(POSTFIX_ASKS_NOTHING), &out));
    assert_true(
        span_equal(buf_span(&out),
                   SPAN("51:OK secure match=mx1.example.com servername=hostname,9:NOTFOUND ,")));
    buf_clear(&out);
}

static void what_does_not_hold_mail_is_not_found(void **state)
{
    static const char *const maps[] = { "QUERY", "QUERYwithTLSRPT", "sts" };
    (void)state;
    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
        assert_says(maps[i], facts_with(NULL), "NOTFOUND ");
        assert_says(maps[i], facts_with(EXAMPLE("testing")), "NOTFOUND ");
        assert_says(maps[i], facts_with("version: STSv1\nmode: none\nmax_age: 86400\n"),
                    "NOTFOUND ");
    }
}

static void an_unknown_policy_is_a_trouble_that_passes(void **state)
{
    struct postfix_facts facts = facts_with(NULL);
    (void)state;
    facts.sts_is_known = false;
    assert_says("QUERY", facts, "TEMP the policy cannot be found out");
    assert_says("QUERYwithTLSRPT", facts, "TEMP the policy cannot be found out");
    assert_says("sts", facts, "TEMP the policy cannot be found out");
}

static void dane_of_all_hosts_comes_first(void **state)
{
    struct postfix_facts facts = facts_with(NULL);
    (void)state;
    facts.dane = POSTFIX_DANE_ALL;
    assert_says("QUERY", facts, "OK dane");
    assert_says("QUERYwithTLSRPT", facts, "OK dane");
    facts = facts_with(EXAMPLE("testing"));
    facts.dane = POSTFIX_DANE_ALL;
    assert_says("QUERY", facts, "OK dane");
}

static void where_a_policy_is_enforced_dane_may_not_let_itself_down(void **state)
{
    struct postfix_facts facts = facts_with(EXAMPLE("enforce"));
    (void)state;
    facts.dane = POSTFIX_DANE_ALL;
    assert_says("QUERY", facts, "OK dane-only");
    assert_says("QUERYwithTLSRPT", facts, "OK dane-only");
    facts = facts_with(NULL);
    facts.dane = POSTFIX_DANE_ALL;
    facts.sts_is_known = false;
    assert_says("QUERY", facts, "OK dane-only");
}

static void an_administrator_may_ask_for_dane_only_or_for_none(void **state)
{
    struct postfix_facts facts = facts_with(NULL);
    (void)state;
    facts.dane = POSTFIX_DANE_ALL;
    facts.level = SOCKETMAP_DANE_ONLY;
    assert_says("QUERY", facts, "OK dane-only");
    facts.level = SOCKETMAP_DANE_OFF;
    assert_says("QUERY", facts, "NOTFOUND ");
    facts.dane = POSTFIX_DANE_UNREACHABLE;
    assert_says("QUERY", facts, "NOTFOUND ");
    facts = facts_with(EXAMPLE("enforce"));
    facts.dane = POSTFIX_DANE_ALL;
    facts.level = SOCKETMAP_DANE_OFF;
    assert_says("QUERY", facts, SECURE);
}

static void sendmail_is_told_of_mta_sts_alone(void **state)
{
    struct postfix_facts facts = facts_with(EXAMPLE("enforce"));
    (void)state;
    assert_says("sts", facts, SECURE);
    facts.dane = POSTFIX_DANE_ALL;
    assert_says("sts", facts, SECURE);
    facts.dane = POSTFIX_DANE_UNREACHABLE;
    assert_says("sts", facts, SECURE);
    facts = facts_with(NULL);
    facts.dane = POSTFIX_DANE_ALL;
    assert_says("sts", facts, "NOTFOUND ");
}

static void hosts_of_which_no_tlsa_lookup_ends_get_nothing(void **state)
{
    struct postfix_facts facts = facts_with(EXAMPLE("enforce"));
    (void)state;
    facts.dane = POSTFIX_DANE_UNREACHABLE;
    assert_says("QUERY", facts, "TEMP no TLSA records can be looked up");
    facts = facts_with(NULL);
    facts.dane = POSTFIX_DANE_UNREACHABLE;
    assert_says("QUERY", facts, "TEMP no TLSA records can be looked up");
}

static void without_mx_records_an_enforced_policy_still_holds(void **state)
{
    struct postfix_facts facts = facts_with(EXAMPLE("enforce"));
    (void)state;
    facts.dane = POSTFIX_DANE_UNKNOWN;
    assert_says("QUERY", facts, SECURE);
    facts = facts_with(EXAMPLE("testing"));
    facts.dane = POSTFIX_DANE_UNKNOWN;
    assert_says("QUERY", facts, "TEMP the MX records cannot be looked up");
}

static void an_exception_takes_the_power_to_hold_mail(void **state)
{
    struct exception_settings exception = { .allow = EXCEPTION_UNVERIFIED };
    struct postfix_facts facts = facts_with(EXAMPLE("enforce"));
    (void)state;
    facts.exception = &exception;
    assert_says("QUERY", facts, "OK encrypt");
    assert_says("QUERYwithTLSRPT", facts, "OK encrypt");
    assert_says("sts", facts, SECURE);
    facts = facts_with(EXAMPLE("testing"));
    facts.exception = &exception;
    assert_says("QUERY", facts, "NOTFOUND ");
    facts.dane = POSTFIX_DANE_ALL;
    assert_says("QUERY", facts, "OK encrypt");
    facts.dane = POSTFIX_DANE_NONE;
    facts.sts_is_known = false;
    assert_says("QUERY", facts, "TEMP the policy cannot be found out");
}

static void one_that_allows_clear_text_leaves_it_to_the_asker(void **state)
{
    struct exception_settings exception = { .allow = EXCEPTION_CLEAR };
    struct postfix_facts facts = facts_with(EXAMPLE("enforce"));
    (void)state;
    facts.exception = &exception;
    assert_says("QUERY", facts, "NOTFOUND ");
    assert_says("sts", facts, "NOTFOUND ");
    facts.dane = POSTFIX_DANE_UNREACHABLE;
    facts.sts_is_known = false;
    assert_says("QUERY", facts, "NOTFOUND ");
}

/* Whatever came to be in the cache: the reading of policies is not what this stands on. */
static struct postfix_facts facts_with_text(const char *text)
{
    struct postfix_facts facts =
        facts_with("version: STSv1\nmode: enforce\nmx: mx.example.com\nmax_age: 86400\n");
    free(policy->text);
    policy->text = memory_copy_text(text);
    policy->text_len = strlen(text);
    return facts;
}

static void no_line_of_a_policy_can_end_its_attribute(void **state)
{
    (void)state;
    assert_says("QUERYwithTLSRPT",
                facts_with_text("version: STSv1\nnote: } match=evil.example { policy_string = x\n"
                                "other: {\n\r\n \nbell: \x01\ntab: a\tb\ndel: \x7f\n"
                                "latin: \xfc\nutf8: \xc3\xbc\r\nlast: without an end"),
                "OK secure match=mx.example.com servername=hostname policy_type=sts "
                "policy_domain=example.com mx_host_pattern=mx.example.com "
                "{ policy_string = version: STSv1 } { policy_string = utf8: \xc3\xbc } "
                "{ policy_string = last: without an end }");
}

static void a_line_over_512_bytes_is_left_out(void **state)
{
    char text[2000] = "version: STSv1\nmode: enforce\nmx: mx.example.com\nmax_age: 86400\n";
    size_t len = strlen(text);
    (void)state;
    len += (size_t)snprintf(text + len, sizeof(text) - len, "a: %0509d\n", 0);
    snprintf(text + len, sizeof(text) - len, "b: %0510d\n", 0);
    answer("QUERYwithTLSRPT", facts_with_text(text));
    char room[2000];
    assert_true(span_to_string(buf_span(&said), room, sizeof(room)));
    assert_non_null(strstr(room, "{ policy_string = a: 000"));
    assert_null(strstr(room, "{ policy_string = b: 000"));
}

/* A policy with so many patterns of that length, and with other lines in its text. */
static struct postfix_facts large_policy(unsigned pattern_len, unsigned patterns, unsigned fillers)
{
    struct buf text;
    sts_policy_free(&policy);
    policy = memory_new(sizeof(*policy));
    policy->mode = STS_ENFORCE;
    policy->mx_count = patterns;
    policy->mx = memory_new_array(patterns, sizeof(policy->mx[0]));
    buf_init(&text, 1024 * 1024);
    for (unsigned i = 0; i < patterns; i++) {
        policy->mx[i] = memory_new(pattern_len + 1);
        snprintf(policy->mx[i], pattern_len + 1, "%0*u.a", (int)pattern_len - 2, i);
        assert_true(buf_printf(&text, "mx: %s\n", policy->mx[i]));
    }
    for (unsigned i = 0; i < fillers; i++)
        assert_true(buf_printf(&text, "filler: %0400u\n", i));
    policy->text = memory_copy_span(buf_span(&text));
    policy->text_len = buf_len(&text);
    buf_clear(&text);
    return (struct postfix_facts){ .sts_is_known = true, .policy = policy };
}

static bool says(const char *text)
{
    struct span rest = buf_span(&said), word = span_of(text);
    for (; rest.len >= word.len; rest = span_from(rest, 1))
        if (span_starts_with(rest, word))
            return true;
    return false;
}

static void fifty_patterns_are_all_told(void **state)
{
    (void)state;
    assert_int_equal(answer("QUERYwithTLSRPT", large_policy(40, 50, 0)), POSTFIX_ANSWER_FOUND);
    assert_true(says(":00000000000000000000000000000000000049.a "));
    assert_true(says("{ policy_string = mx: 00000000000000000000000000000000000049.a }"));
}

static void what_is_too_long_loses_the_policy_text_first(void **state)
{
    (void)state;
    assert_int_equal(answer("QUERYwithTLSRPT", large_policy(40, 500, 300)), POSTFIX_ANSWER_FOUND);
    assert_true(says("mx_host_pattern=00000000000000000000000000000000000499.a"));
    assert_false(says("policy_string"));
    assert_in_range(buf_len(&said), 1, SOCKETMAP_REPLY_MAX);
}

static void and_then_all_that_is_for_reports(void **state)
{
    (void)state;
    assert_int_equal(answer("QUERYwithTLSRPT", large_policy(8, 4000, 0)), POSTFIX_ANSWER_FOUND);
    assert_false(says("policy_type"));
    assert_true(says(":003999.a servername=hostname"));
    assert_int_equal(answer("QUERY", large_policy(8, 4000, 0)), POSTFIX_ANSWER_FOUND);
}

static void patterns_that_no_answer_holds_are_a_trouble(void **state)
{
    (void)state;
    struct postfix_facts facts = large_policy(60, 1600, 0);
    assert_int_equal(answer("QUERY", facts), POSTFIX_ANSWER_FOUND);
    facts = large_policy(60, 1700, 0);
    assert_int_equal(answer("QUERY", facts), POSTFIX_ANSWER_LATER);
    assert_true(says("TEMP "));
}

#define TEST(sentence, function)                                                                   \
    {                                                                                              \
        "socketmap: " sentence, function, begin, end, NULL                                         \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("a request is a map and a key (MAP-11)", a_request_is_a_map_and_a_key),
        TEST("the names of maps are compared without case (MAP-19)",
             the_names_of_maps_are_compared_without_case),
        TEST("other maps are refused for good (MAP-19)", other_maps_are_refused),
        TEST("a key is brought into our form: case, final dot, IDNA (MAP-33)",
             a_key_is_brought_into_our_form),
        TEST("a port behind a domain is that of its hosts (MAP-30)",
             a_port_behind_a_domain_is_that_of_its_hosts),
        TEST("no policy is for a parent, a host in brackets, an address or a path (MAP-31, MAP-32)",
             no_policy_is_for_what_is_no_mail_domain),
        TEST("a key that is too long for a name is none (MAP-90)",
             a_key_that_is_too_long_for_a_name_is_none),
        TEST("an enforced policy is `secure` with its patterns (MAP-50)",
             an_enforced_policy_is_secure_with_its_patterns),
        TEST("for reports the whole policy comes along, as in MAP-66",
             for_reports_the_whole_policy_comes_along),
        TEST("the examples of MAP-13 are what is sent", the_examples_of_the_rules_are_what_is_sent),
        TEST("what does not hold mail is not found (MAP-53)", what_does_not_hold_mail_is_not_found),
        TEST("an unknown policy is a trouble that passes (MAP-15)",
             an_unknown_policy_is_a_trouble_that_passes),
        TEST("DANE of all hosts comes first (MAP-54)", dane_of_all_hosts_comes_first),
        TEST("where a policy is enforced DANE may not let itself down (MAP-44)",
             where_a_policy_is_enforced_dane_may_not_let_itself_down),
        TEST("an administrator may ask for `dane-only` or for no DANE (MAP-54)",
             an_administrator_may_ask_for_dane_only_or_for_none),
        TEST("sendmail is told of MTA-STS alone", sendmail_is_told_of_mta_sts_alone),
        TEST("hosts of which no TLSA lookup ends get nothing (RFC 7672 s.2.1.2)",
             hosts_of_which_no_tlsa_lookup_ends_get_nothing),
        TEST("without MX records an enforced policy still holds",
             without_mx_records_an_enforced_policy_still_holds),
        TEST("an exception takes from a policy its power to hold mail",
             an_exception_takes_the_power_to_hold_mail),
        TEST("one that allows clear text leaves it to the asker",
             one_that_allows_clear_text_leaves_it_to_the_asker),
        TEST("no line of a policy can end its attribute (MAP-67)",
             no_line_of_a_policy_can_end_its_attribute),
        TEST("a line over 512 bytes is left out (MAP-67)", a_line_over_512_bytes_is_left_out),
        TEST("fifty patterns are all told (MAP-90)", fifty_patterns_are_all_told),
        TEST("what is too long loses the policy's text first (MAP-68)",
             what_is_too_long_loses_the_policy_text_first),
        TEST("and then all that is for reports", and_then_all_that_is_for_reports),
        TEST("patterns that no answer holds are a trouble that passes (MAP-14)",
             patterns_that_no_answer_holds_are_a_trouble),
    };
    return cmocka_run_group_tests_name("postfix_answer", tests, NULL, NULL);
}
