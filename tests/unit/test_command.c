#include "tests/support/test.h"

#include "lib/mail/command.h"

#include <stdio.h>
#include <string.h>

#include <string.h>

static enum command_verb verb_of(const char *line)
{
    struct command c;

    assert_int_equal(command_parse(span_of(line), &c), COMMAND_FINE);
    return c.verb;
}

static struct mail_command mail(const char *argument)
{
    struct mail_command m;

    assert_int_equal(command_parse_mail(span_of(argument), NULL, &m), COMMAND_FINE);
    return m;
}

static void check_mail(const char *argument, enum command_fault fault)
{
    struct mail_command m;

    assert_int_equal(command_parse_mail(span_of(argument), NULL, &m), fault);
}

static void check_rcpt(const char *argument, enum command_fault fault)
{
    struct rcpt_command r;

    assert_int_equal(command_parse_rcpt(span_of(argument), false, NULL, &r), fault);
}

static void verbs_are_known_in_any_case(void **state)
{
    (void)state;
    assert_int_equal(verb_of("EHLO a.test"), VERB_EHLO);
    assert_int_equal(verb_of("hElO a.test"), VERB_HELO);
    assert_int_equal(verb_of("mail FROM:<>"), VERB_MAIL);
    assert_int_equal(verb_of("StartTLS"), VERB_STARTTLS);
    assert_int_equal(verb_of("ETRN x"), VERB_OBSOLETE);
    assert_int_equal(verb_of("GET / HTTP/1.1"), VERB_HTTP);
    assert_int_equal(verb_of("QUITE"), VERB_UNKNOWN);
    assert_int_equal(verb_of("QUI"), VERB_UNKNOWN);
    assert_int_equal(verb_of(" QUIT"), VERB_UNKNOWN);
    assert_int_equal(verb_of("QUIT\tnow"), VERB_UNKNOWN);
    assert_int_equal(verb_of(""), VERB_UNKNOWN);
}

static void the_argument_stands_behind_one_blank(void **state)
{
    struct command c;
    (void)state;
    assert_int_equal(command_parse(SPAN("EHLO a.test \t "), &c), COMMAND_FINE);
    assert_true(span_equal(c.argument, SPAN("a.test")));
    assert_int_equal(command_parse(SPAN("EHLO  a.test"), &c), COMMAND_FINE);
    assert_true(span_equal(c.argument, SPAN(" a.test"))); /* refused later: strict */
    assert_int_equal(command_parse(SPAN("DATA   "), &c), COMMAND_FINE);
    assert_false(c.has_argument);
    assert_int_equal(command_parse(SPAN("DATA x"), &c), COMMAND_FINE);
    assert_true(c.has_argument);
}

static void a_line_with_a_bare_cr_lf_or_nul_is_refused(void **state)
{
    struct command c;
    (void)state;
    assert_int_equal(command_parse(SPAN("NOOP a\rb"), &c), COMMAND_BAD_BYTES);
    assert_int_equal(command_parse(SPAN("NOOP a\nb"), &c), COMMAND_BAD_BYTES);
    assert_int_equal(command_parse(SPAN("NOOP a\0b"), &c), COMMAND_BAD_BYTES);
    assert_int_equal(command_parse(SPAN("NOOP\r"), &c), COMMAND_BAD_BYTES);
    assert_int_equal(c.verb, VERB_UNKNOWN);
    assert_int_equal(command_refusal(COMMAND_BAD_BYTES)->code, 500);
}

static void mail_takes_a_path_and_parameters(void **state)
{
    struct mail_command m = mail("FROM:<Ada@Example.net> SIZE=1000 BODY=8BITMIME");
    (void)state;
    assert_string_equal(m.reverse_path.text, "Ada@Example.net");
    assert_true(m.size_given && m.body_given);
    assert_int_equal(m.size, 1000);
    assert_int_equal(m.body, BODY_8BITMIME);
    assert_int_equal(m.parameters, 2);
    m = mail("from:<>");
    assert_string_equal(m.reverse_path.text, "");
    assert_int_equal(m.parameters, 0);
    assert_false(m.size_given || m.body_given);
    m = mail("FROM:<>  body=7bit   size=0");
    assert_int_equal(m.body, BODY_7BIT);
    assert_true(m.size_given && m.size == 0);
}

static void a_size_too_great_to_count_is_the_greatest(void **state)
{
    (void)state;
    assert_true(mail("FROM:<> SIZE=18446744073709551615").size == UINT64_MAX);
    assert_true(mail("FROM:<> SIZE=99999999999999999999").size == UINT64_MAX);
    assert_int_equal(mail("FROM:<> SIZE=00000000000000000007").size, 7);
}

static void parameters_out_of_form_are_refused(void **state)
{
    static const char *const bad[] = {
        "SIZE",
        "SIZE=",
        "SIZE=-1",
        "SIZE=+1",
        "SIZE=1k",
        "SIZE=123456789012345678901",
        "BODY=",
        "BODY",
        "BODY=BINARYMIME",
        "BODY=8BIT",
        "=5",
        "-X=5",
        "X_Y=5",
        "SIZE=1 =",
        "X=\x01",
        "X=\xc3",
        "X=",
        "SIZE\t=1",
        "RET=FULL\xc3\xa4",
        "AUTH=\xc3\xa4",
        "SMTPUTF8=yes",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char line[100] = "FROM:<a@b.test> ";
        strcat(line, bad[i]);
        check_mail(line, COMMAND_PARAMETER_SYNTAX);
    }
    assert_int_equal(command_refusal(COMMAND_PARAMETER_SYNTAX)->code, 501);
}

static void parameters_given_twice_are_refused(void **state)
{
    (void)state;
    check_mail("FROM:<> SIZE=1 SIZE=1", COMMAND_PARAMETER_TWICE);
    check_mail("FROM:<> BODY=7BIT size=1 body=7BIT", COMMAND_PARAMETER_TWICE);
    assert_int_equal(command_refusal(COMMAND_PARAMETER_TWICE)->code, 501);
}

static void auth_is_accepted_and_told(void **state)
{
    (void)state;
    check_mail("FROM:<> AUTH=<>", COMMAND_FINE);
    check_mail("FROM:<> AUTH=ada+3Db@example.net", COMMAND_FINE);
    check_mail("FROM:<> AUTH=a=b", COMMAND_PARAMETER_SYNTAX);
    check_mail("FROM:<> AUTH=a+3", COMMAND_PARAMETER_SYNTAX);
    check_mail("FROM:<> AUTH=a+3x", COMMAND_PARAMETER_SYNTAX);
    check_mail("FROM:<> AUTH=a+3d", COMMAND_PARAMETER_SYNTAX); /* xtext is in upper case */
    check_mail("FROM:<> AUTH", COMMAND_PARAMETER_SYNTAX);
    check_mail("FROM:<> AUTH=<> AUTH=<>", COMMAND_PARAMETER_TWICE);
}

static void unknown_parameters_are_refused_as_such(void **state)
{
    (void)state;
    check_mail("FROM:<> FOO=bar", COMMAND_PARAMETER_UNKNOWN);
    check_mail("FROM:<> X=\xc3\xa4", COMMAND_PARAMETER_UNKNOWN);
    check_rcpt("TO:<a@b.test> SMTPUTF8", COMMAND_PARAMETER_UNKNOWN);
    check_rcpt("TO:<a@b.test> RET=FULL", COMMAND_PARAMETER_UNKNOWN);
    check_mail("FROM:<> NOTIFY=NEVER", COMMAND_PARAMETER_UNKNOWN);
    check_mail("FROM:<> AUTHOR=a=b", COMMAND_PARAMETER_UNKNOWN);
    check_rcpt("TO:<a@b.test> SIZE=5", COMMAND_PARAMETER_UNKNOWN);
    check_rcpt("TO:<a@b.test> =", COMMAND_PARAMETER_SYNTAX);
    assert_int_equal(command_refusal(COMMAND_PARAMETER_UNKNOWN)->code, 555);
}

static void the_form_is_strict(void **state)
{
    static const char *const bad[] = {
        "",
        "FROM",
        "FROM:",
        "FROM:a@b.test",
        "FROM: <a@b.test>",
        "FROM :<>",
        " FROM:<>",
        "FROM:<a@b.test",
        "TO:<a@b.test>",
        "FROM:<>SIZE=1",
        "FROM:<a@b.test>>",
        "FROM:<\"a>\\\"@b.test>",
        "FROM:<>\tSIZE=1",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        check_mail(bad[i], COMMAND_SYNTAX);
    check_rcpt("TO: <a@b.test>", COMMAND_SYNTAX);
    check_rcpt("FROM:<a@b.test>", COMMAND_SYNTAX);
    assert_int_equal(command_refusal(COMMAND_SYNTAX)->code, 501);
}

static void a_quoted_local_part_may_hold_an_angle_bracket(void **state)
{
    struct rcpt_command r;
    (void)state;
    assert_int_equal(command_parse_rcpt(SPAN("TO:<\"a> \\\" b\"@c.test>"), false, NULL, &r),
                     COMMAND_FINE);
    assert_string_equal(r.forward_path.text, "\"a> \\\" b\"@c.test");
    assert_string_equal(r.forward_path.domain, "c.test");
}

static void bad_paths_are_told_apart(void **state)
{
    (void)state;
    check_mail("FROM:<a>", COMMAND_BAD_REVERSE_PATH);
    check_mail("FROM:<a b@c.test>", COMMAND_BAD_REVERSE_PATH);
    check_mail("FROM:<\xc3\xa4@c.test>", COMMAND_NON_ASCII_REVERSE);
    check_mail("FROM:<a> =", COMMAND_BAD_REVERSE_PATH);
    check_rcpt("TO:<>", COMMAND_BAD_FORWARD_PATH);
    check_rcpt("TO:<\xc3\xa4@c.test>", COMMAND_NON_ASCII_FORWARD);
    assert_string_equal(command_refusal(COMMAND_BAD_REVERSE_PATH)->status, "5.1.7");
    assert_string_equal(command_refusal(COMMAND_BAD_FORWARD_PATH)->status, "5.1.3");
    assert_int_equal(command_refusal(COMMAND_NON_ASCII_REVERSE)->code, 550);
    assert_int_equal(command_refusal(COMMAND_NON_ASCII_FORWARD)->code, 553);
}

/* RFC 6710 s.3 */
static void a_priority_is_a_digit_perhaps_below_0(void **state)
{
    static const char *const bad[] = { "MT-PRIORITY",    "MT-PRIORITY=",   "MT-PRIORITY=10",
                                       "MT-PRIORITY=-0", "MT-PRIORITY=+1", "MT-PRIORITY=-10",
                                       "MT-PRIORITY=-",  "MT-PRIORITY=x",  "MT-PRIORITY=--1" };
    (void)state;
    assert_int_equal(mail("FROM:<> MT-PRIORITY=9").priority, 9);
    assert_int_equal(mail("FROM:<> mt-priority=-9").priority, -9);
    assert_true(mail("FROM:<> MT-PRIORITY=0").priority_given);
    assert_false(mail("FROM:<>").priority_given);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char line[100] = "FROM:<a@b.test> ";
        strcat(line, bad[i]);
        check_mail(line, COMMAND_PARAMETER_SYNTAX);
    }
    check_mail("FROM:<> MT-PRIORITY=1 MT-PRIORITY=1", COMMAND_PARAMETER_TWICE);
}

/* RFC 6531 s.3.2 to s.3.5: said once at MAIL, it opens paths and ORCPT to UTF-8. */
static void smtputf8_opens_paths_to_utf8(void **state)
{
    struct mail_command m;
    struct rcpt_command r;
    (void)state;
    assert_int_equal(command_parse_mail(SPAN("FROM:<\xc3\xa4@b\xc3\xbc"
                                             "cher.test> smtputf8 SIZE=1"),
                                        NULL, &m),
                     COMMAND_FINE);
    assert_true(m.smtputf8);
    assert_string_equal(m.reverse_path.domain, "xn--bcher-kva.test");
    assert_false(mail("FROM:<a@b.test>").smtputf8);
    check_mail("FROM:<> SMTPUTF8 SMTPUTF8", COMMAND_PARAMETER_TWICE);
    check_mail("FROM:<\xc3@b.test> SMTPUTF8", COMMAND_BAD_REVERSE_PATH);
    check_mail("FROM:<\xc3\xa4@b\xc3.test> SMTPUTF8", COMMAND_BAD_REVERSE_PATH);
    assert_int_equal(command_parse_rcpt(SPAN("TO:<\xc3\xa4@b.test> ORCPT=utf-8;\xc3\xa4@b.test"),
                                        true, NULL, &r),
                     COMMAND_FINE);
    assert_string_equal(r.forward_path.text, "\xc3\xa4@b.test");
    assert_string_equal(r.orcpt, "utf-8;\xc3\xa4@b.test");
    assert_int_equal(
        command_parse_rcpt(SPAN("TO:<a@b.test> ORCPT=rfc822;\xc3\xa4@b.test"), true, NULL, &r),
        COMMAND_PARAMETER_SYNTAX);
    check_rcpt("TO:<a@b.test> ORCPT=utf-8;\xc3\xa4@b.test", COMMAND_PARAMETER_SYNTAX);
    check_rcpt("TO:<a@b.test> ORCPT=utf-8;\\x{E4}@b.test", COMMAND_FINE);
}

static void rcpt_takes_source_routes_and_postmaster(void **state)
{
    struct rcpt_command r;
    (void)state;
    assert_int_equal(command_parse_rcpt(SPAN("TO:<@a.test,@b.test:u@c.test>"), false, NULL, &r),
                     COMMAND_FINE);
    assert_string_equal(r.forward_path.text, "u@c.test");
    assert_int_equal(command_parse_rcpt(SPAN("TO:<Postmaster>"), false, NULL, &r), COMMAND_FINE);
    assert_string_equal(r.forward_path.domain, "");
    assert_int_equal(r.parameters, 0);
}

static void every_fault_has_an_answer(void **state)
{
    (void)state;
    for (int f = COMMAND_FINE + 1; f < COMMAND_FAULT_COUNT; f++) {
        const struct command_refusal *refusal = command_refusal((enum command_fault)f);
        assert_true(refusal->code >= 500 && refusal->code < 560);
        assert_int_equal(refusal->status[0], '5');
        assert_true(strlen(refusal->text) > 0);
    }
}

static void a_hello_name_is_a_domain_or_a_literal(void **state)
{
    char name[DOMAIN_MAX + 1];
    (void)state;
    assert_int_equal(command_parse_hello(SPAN("Mail_1.Example.net"), name), COMMAND_FINE);
    assert_string_equal(name, "Mail_1.Example.net");
    assert_int_equal(command_parse_hello(SPAN("_x"), name), COMMAND_FINE);
    assert_int_equal(command_parse_hello(SPAN("[192.0.2.1]"), name), COMMAND_FINE);
    assert_int_equal(command_parse_hello(SPAN("[IPv6:2001:db8::1]"), name), COMMAND_FINE);
    static const char *const bad[] = { "",         "a b",  " a",  "a..b",          "[]",      "[x]",
                                       "[1.2.3.4", "a\tb", "a/b", "\xc3\xa4.test", "<a.test>" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(command_parse_hello(span_of(bad[i]), name), COMMAND_SYNTAX);
        assert_string_equal(name, "");
    }
    char large[DOMAIN_MAX + 1];
    memset(large, 'a', sizeof(large));
    for (size_t i = 50; i < sizeof(large); i += 50)
        large[i] = '.';
    assert_int_equal(command_parse_hello((struct span){ large, DOMAIN_MAX }, name), COMMAND_FINE);
    assert_int_equal(command_parse_hello((struct span){ large, DOMAIN_MAX + 1 }, name),
                     COMMAND_SYNTAX);
}

static void what_is_said_about_notifications_is_kept(void **state)
{
    struct mail_command mail;
    struct rcpt_command rcpt;
    (void)state;
    assert_int_equal(
        command_parse_mail(SPAN("FROM:<a@b.test> RET=hdrs ENVID=QQ+20314"), NULL, &mail),
        COMMAND_FINE);
    assert_true(mail.dsn.ret_headers && !mail.dsn.ret_full);
    assert_string_equal(mail.dsn.envid, "QQ+20314");
    assert_int_equal(command_parse_rcpt(SPAN("TO:<a@b.test> NOTIFY=SUCCESS,delay "
                                             "ORCPT=rfc822;A+2B@b.test"),
                                        false, NULL, &rcpt),
                     COMMAND_FINE);
    assert_int_equal(rcpt.notify, NOTIFY_SUCCESS | NOTIFY_DELAY);
    assert_string_equal(rcpt.orcpt, "rfc822;A+2B@b.test");
    assert_int_equal(rcpt.parameters, 2);
    check_mail("FROM:<> RET=FULL RET=FULL", COMMAND_PARAMETER_TWICE);
    check_mail("FROM:<> ENVID=a envid=a", COMMAND_PARAMETER_TWICE);
    check_mail("FROM:<> RET=ALL", COMMAND_PARAMETER_SYNTAX);
    check_mail("FROM:<> RET", COMMAND_PARAMETER_SYNTAX);
    check_mail("FROM:<> ENVID=", COMMAND_PARAMETER_SYNTAX);
    check_mail("FROM:<> ENVID=+0D+0A", COMMAND_PARAMETER_SYNTAX);
    check_rcpt("TO:<a@b.test> NOTIFY=NEVER NOTIFY=NEVER", COMMAND_PARAMETER_TWICE);
    check_rcpt("TO:<a@b.test> ORCPT=rfc822;a ORCPT=rfc822;a", COMMAND_PARAMETER_TWICE);
    check_rcpt("TO:<a@b.test> NOTIFY=NEVER,SUCCESS", COMMAND_PARAMETER_SYNTAX);
    check_rcpt("TO:<a@b.test> ORCPT=a@b.test", COMMAND_PARAMETER_SYNTAX);
    check_rcpt("TO:<a@b.test> ORCPT=rfc822;a+zz", COMMAND_PARAMETER_SYNTAX);
}

static void check_bdat(const char *argument, uint64_t octets, bool is_last)
{
    struct bdat_command bdat;

    assert_int_equal(command_parse_bdat(span_of(argument), &bdat), COMMAND_FINE);
    assert_true(bdat.octets == octets);
    assert_int_equal(bdat.is_last, is_last);
}

static void bdat_takes_a_size_and_perhaps_last(void **state)
{
    static const char *const bad[] = { "",
                                       "LAST",
                                       "-1",
                                       "+1",
                                       "1x",
                                       "0x10",
                                       "1 2",
                                       "1LAST",
                                       "1 LASTLY",
                                       "1 L",
                                       "1\tLAST",
                                       "1 LAST LAST",
                                       "18446744073709551616",
                                       "000000000000000000001" };
    struct bdat_command bdat;
    (void)state;
    check_bdat("0", 0, false);
    check_bdat("0 LAST", 0, true);
    check_bdat("86 last", 86, true);
    check_bdat("007  LAST", 7, true);
    check_bdat("18446744073709551615", UINT64_MAX, false);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(command_parse_bdat(span_of(bad[i]), &bdat), COMMAND_SYNTAX);
}

static void bare_names_get_an_origin_where_there_is_one(void **state)
{
    static const char *const bad[] = { "a@", "@b.test", "a b", "a@b@c.test", "", "a>b" };
    struct mail_command mail;
    struct rcpt_command rcpt;
    char line[100];

    (void)state;
    assert_int_equal(command_parse_mail(SPAN("FROM:<root>"), "x.test", &mail), COMMAND_FINE);
    assert_string_equal(mail.reverse_path.text, "root@x.test");
    assert_string_equal(mail.reverse_path.domain, "x.test");
    assert_int_equal(command_parse_mail(SPAN("FROM:<postmaster>"), "x.test", &mail), COMMAND_FINE);
    assert_string_equal(mail.reverse_path.text, "postmaster@x.test");
    assert_int_equal(command_parse_mail(SPAN("FROM:<>"), "x.test", &mail), COMMAND_FINE);
    assert_string_equal(mail.reverse_path.text, "");
    assert_int_equal(command_parse_mail(SPAN("FROM:<a@b.test>"), "x.test", &mail), COMMAND_FINE);
    assert_string_equal(mail.reverse_path.text, "a@b.test");
    assert_int_equal(command_parse_rcpt(SPAN("TO:<\"a b\">"), false, "x.test", &rcpt),
                     COMMAND_FINE);
    assert_string_equal(rcpt.forward_path.text, "\"a b\"@x.test");
    assert_int_equal(command_parse_rcpt(SPAN("TO:<postmaster>"), false, "x.test", &rcpt),
                     COMMAND_FINE);
    assert_string_equal(rcpt.forward_path.text, "postmaster"); /* ours, whatever the origin is */
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(line, sizeof(line), "TO:<%s>", bad[i]);
        assert_int_not_equal(command_parse_rcpt(span_of(line), false, "x.test", &rcpt),
                             COMMAND_FINE);
    }
    assert_int_equal(command_parse_rcpt(SPAN("TO:<root>"), false, NULL, &rcpt),
                     COMMAND_BAD_FORWARD_PATH);
}

static void a_name_without_end_is_not_completed(void **state)
{
    static char line[2 * SMTP_COMMAND_MAX];
    struct rcpt_command rcpt;

    (void)state;
    memset(line, 'x', sizeof(line) - 1);
    memcpy(line, "TO:<", 4);
    line[sizeof(line) - 2] = '>';
    assert_int_equal(command_parse_rcpt(span_of(line), false, "x.test", &rcpt),
                     COMMAND_BAD_FORWARD_PATH);
}

static void check_blanks(const char *argument, const char *expected)
{
    char room[SMTP_COMMAND_MAX];
    struct span got = command_without_blanks(span_of(argument), room);

    assert_true(span_equal(got, span_of(expected)));
}

static void blanks_behind_the_colon_can_be_forgiven(void **state)
{
    char long_one[SMTP_COMMAND_MAX + 10];
    char room[SMTP_COMMAND_MAX];
    (void)state;
    check_blanks("FROM: <a@b.test> SIZE=1", "FROM:<a@b.test> SIZE=1");
    check_blanks("TO:   <a@b.test>", "TO:<a@b.test>");
    check_blanks("FROM:<a@b.test>", "FROM:<a@b.test>");
    check_blanks("FROM: a@b.test", "FROM: a@b.test");
    check_blanks("FROM :<a@b.test>", "FROM :<a@b.test>");
    check_blanks("FROM", "FROM");
    check_blanks("FROM: ", "FROM: ");
    check_blanks("", "");
    memset(long_one, 'x', sizeof(long_one));
    memcpy(long_one, "FROM: <", 7);
    struct span whole = { long_one, sizeof(long_one) };
    assert_true(command_without_blanks(whole, room).data == long_one);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "command: verbs are known in any case", verbs_are_known_in_any_case, 0, 0, 0 },
        { "command: the argument stands behind one blank; blanks at the end are forgiven",
          the_argument_stands_behind_one_blank, 0, 0, 0 },
        { "command: a line with a bare CR, a bare LF or a NUL is refused (500)",
          a_line_with_a_bare_cr_lf_or_nul_is_refused, 0, 0, 0 },
        { "command: MAIL takes a path and parameters", mail_takes_a_path_and_parameters, 0, 0, 0 },
        { "command: a SIZE too great to count is the greatest (RFC 1870 s.3)",
          a_size_too_great_to_count_is_the_greatest, 0, 0, 0 },
        { "command: parameters out of form are refused (501)", parameters_out_of_form_are_refused,
          0, 0, 0 },
        { "command: parameters given twice are refused (501)", parameters_given_twice_are_refused,
          0, 0, 0 },
        { "AUTH= is accepted from anybody, as \"<>\" or xtext (RFC 4954 s.5)",
          auth_is_accepted_and_told, NULL, NULL, NULL },
        { "command: unknown parameters are refused as such (555)",
          unknown_parameters_are_refused_as_such, 0, 0, 0 },
        { "command: the form of MAIL and RCPT is strict (501)", the_form_is_strict, 0, 0, 0 },
        { "command: a quoted local-part may hold an angle bracket",
          a_quoted_local_part_may_hold_an_angle_bracket, 0, 0, 0 },
        { "command: bad paths are told apart", bad_paths_are_told_apart, 0, 0, 0 },
        { "command: RCPT takes source routes and <postmaster>",
          rcpt_takes_source_routes_and_postmaster, 0, 0, 0 },
        { "command: every fault has an answer", every_fault_has_an_answer, 0, 0, 0 },
        { "command: the name in EHLO is a domain or a literal",
          a_hello_name_is_a_domain_or_a_literal, 0, 0, 0 },
        { "command: what is said about notifications is kept, read strictly (RFC 3461 s.4)",
          what_is_said_about_notifications_is_kept, 0, 0, 0 },
        { "command: MT-PRIORITY is a digit, perhaps below 0 (RFC 6710 s.3)",
          a_priority_is_a_digit_perhaps_below_0, 0, 0, 0 },
        { "command: blanks behind the colon can be forgiven",
          blanks_behind_the_colon_can_be_forgiven, 0, 0, 0 },
        { "command: SMTPUTF8 opens paths and ORCPT to UTF-8 (RFC 6531 s.3.2)",
          smtputf8_opens_paths_to_utf8, 0, 0, 0 },
        { "command: bare names get an origin where there is one",
          bare_names_get_an_origin_where_there_is_one, 0, 0, 0 },
        { "command: a name without end is not completed", a_name_without_end_is_not_completed, 0, 0,
          0 },
        { "command: BDAT takes a size and perhaps LAST (RFC 3030 s.2)",
          bdat_takes_a_size_and_perhaps_last, 0, 0, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
