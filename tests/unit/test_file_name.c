#include "tests/support/test.h"

#include "tlsrpt/file_name.h"

#include <string.h>

enum { DAY = 20521 }; /* 2026-03-09 */

static struct file_name parsed(const char *text)
{
    struct file_name name;
    assert_true(file_name_parse(span_of(text), &name));
    return name;
}

static void assert_no_name(const char *text)
{
    struct file_name name;
    assert_false(file_name_parse(span_of(text), &name));
}

static void a_day_s_report_has_its_whole_day_in_the_name(void **state)
{
    struct file_name name;
    char text[FILE_NAME_SIZE];
    (void)state;
    assert_true(file_name_of_day(SPAN("Relay.example"),
                                 SPAN("b\xc3\xbc"
                                      "cher.example"),
                                 DAY, true, &name));
    file_name_format(&name, text);
    assert_string_equal(text, "relay.example!xn--bcher-kva.example!1773014400!1773100799.json.gz");
    strcpy(name.unique, "0a1");
    name.packed = false;
    file_name_format(&name, text);
    assert_string_equal(text, "relay.example!xn--bcher-kva.example!1773014400!1773100799!0a1.json");
}

static void what_is_no_domain_gives_no_name(void **state)
{
    struct file_name name;
    (void)state;
    assert_false(file_name_of_day(SPAN("a/b"), SPAN("a.test"), DAY, true, &name));
    assert_false(file_name_of_day(SPAN("a.test"), SPAN("a\r\nb"), DAY, true, &name));
}

static void the_longest_name_fits(void **state)
{
    char text[FILE_NAME_SIZE];
    struct file_name name = { .begin_s = 1099511627776, .end_s = 1099511627776, .packed = true };
    (void)state;
    memset(name.sender, 'a', DOMAIN_MAX);
    memset(name.domain, 'b', DOMAIN_MAX);
    memset(name.unique, 'c', FILE_NAME_UNIQUE_MAX);
    file_name_format(&name, text);
    assert_string_equal(text + strlen(text) - 8, ".json.gz");
}

static void the_example_of_the_rfc_is_taken_apart(void **state)
{
    struct file_name name =
        parsed("mail.sndr.example.com!example.net!1470013207!1470186007!001.json.gz");
    (void)state;
    assert_string_equal(name.sender, "mail.sndr.example.com");
    assert_string_equal(name.domain, "example.net");
    assert_int_equal(name.begin_s, 1470013207);
    assert_int_equal(name.end_s, 1470186007);
    assert_string_equal(name.unique, "001");
    assert_true(name.packed);
    name = parsed("a.test!b.test!1!2.json");
    assert_string_equal(name.unique, "");
    assert_false(name.packed);
}

static void anything_else_is_no_such_name(void **state)
{
    (void)state;
    assert_no_name("");
    assert_no_name("report.xml");
    assert_no_name("a.test!b.test!1!2.json.bz2");
    assert_no_name(".json");
    assert_no_name("a..test!b.test!1!2.json");
    assert_no_name("a.test.json");
    assert_no_name("a.test!b/c!1!2.json");
    assert_no_name("a.test!b.test.json");
    assert_no_name("a.test!b.test!x!2.json");
    assert_no_name("a.test!b.test!1.json");
    assert_no_name("a.test!b.test!1!-2.json");
    assert_no_name("a.test!b.test!1!99999999999999.json");
    assert_no_name("a.test!b.test!1!2!.json");
    assert_no_name("a.test!b.test!1!2!a_b.json");
    assert_no_name("a.test!b.test!1!2!3!4.json");
    assert_no_name("a.test!b.test!1!2!"
                   "12345678901234567890123456789012345678901234567890123456789012345.json");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "file_name: a day's report has its whole day in the name, domains as A-labels "
          "(RFC 8460 s.5.1)",
          a_day_s_report_has_its_whole_day_in_the_name, 0, 0, 0 },
        { "file_name: what is no domain gives no name", what_is_no_domain_gives_no_name, 0, 0, 0 },
        { "file_name: the longest name fits", the_longest_name_fits, 0, 0, 0 },
        { "file_name: the example of the RFC is taken apart", the_example_of_the_rfc_is_taken_apart,
          0, 0, 0 },
        { "file_name: anything else is no such name", anything_else_is_no_such_name, 0, 0, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
