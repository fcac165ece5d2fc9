#include "supervisor/print.h"

#include "lib/base/memory.h"
#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

typedef void print_fn(const struct json *answer, FILE *out);

static void as_rows(const struct json *answer, FILE *out)
{
    print_rows(answer, true, out);
}

static void as_later_rows(const struct json *answer, FILE *out)
{
    print_rows(answer, false, out);
}

static void assert_printed(print_fn *print, const char *answer, const char *want)
{
    struct json *value = NULL;
    struct error *err = json_parse(span_of(answer), &value);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert_null(err);
    print(value, out);
    fclose(out);
    assert_string_equal(text, want);
    free(text);
    json_free(&value);
}

static void rows_stand_in_columns(void **state)
{
    (void)state;
    assert_printed(as_rows,
                   "[{\"id\":\"3f\",\"next_hop\":\"example.net\",\"attempts\":12},"
                   "{\"id\":\"3f9c21\",\"next_hop\":\"a.b\",\"attempts\":0}]",
                   "id      next hop     attempts\n"
                   "3f      example.net  12\n"
                   "3f9c21  a.b          0\n");
}

static void an_age_has_a_unit(void **state)
{
    (void)state;
    assert_printed(as_rows,
                   "[{\"age\":0},{\"age\":59},{\"age\":60},{\"age\":7199},{\"age\":86399},"
                   "{\"age\":432000}]",
                   "age\n0s\n59s\n1m\n1h\n23h\n5d\n");
}

static void a_damaged_row_hides_no_column(void **state)
{
    (void)state;
    assert_printed(as_rows,
                   "[{\"id\":\"a\",\"state\":\"damaged\"},"
                   "{\"id\":\"b\",\"sender\":\"c\",\"state\":\"held\"}]",
                   "id  sender  state\na   -       damaged\nb   c       held\n");
    assert_printed(as_rows, "[{\"id\":\"a\",\"state\":\"damaged\"}]", "id  state\na   damaged\n");
    assert_printed(as_rows,
                   "[{\"id\":\"a\",\"state\":\"damaged\",\"held\":\"x\"},"
                   "{\"id\":\"b\",\"sender\":\"c\",\"state\":\"damaged\",\"held\":\"y\"}]",
                   "id  sender  state    held\na   -       damaged  x\nb   c       damaged  y\n");
}

static void only_the_first_page_has_a_head(void **state)
{
    (void)state;
    assert_printed(as_rows, "[{\"id\":\"a\"}]", "id\na\n");
    assert_printed(as_later_rows, "[{\"id\":\"b\"}]", "b\n");
}

static void no_rows_are_nothing(void **state)
{
    (void)state;
    assert_printed(as_rows, "[]", "");
}

static void values_that_are_missing_are_a_dash(void **state)
{
    (void)state;
    assert_printed(as_rows, "[{\"a\":null,\"b\":\"\",\"c\":true},{\"b\":\"x\"}]",
                   "a  b  c\n-  -  yes\n-  x  -\n");
}

static void nothing_reaches_the_terminal_as_a_control(void **state)
{
    (void)state;
    assert_printed(as_rows, "[{\"reply\":\"451 \\u001b[31mred\\r\\n\\u007f\",\"x\":1}]",
                   "reply                        x\n451 \\x1b[31mred\\x0d\\x0a\\x7f  1\n");
    assert_printed(as_rows, "[{\"reply\":\"\\u009b31m\\u00fc\"}]",
                   "reply\n\\xc2\\x9b31m\xc3\xbc\n");
    assert_printed(as_rows, "[{\"r\":\"a\\u202eb\\u2066c\\u2028d\\u200ee\\u2027f\\u2070\"}]",
                   "r\na\\xe2\\x80\\xaeb\\xe2\\x81\\xa6c\\xe2\\x80\\xa8d\\xe2\\x80\\x8ee"
                   "\xe2\x80\xa7"
                   "f\xe2\x81\xb0\n");
}

static void columns_count_characters_not_bytes(void **state)
{
    (void)state;
    assert_printed(as_rows, "[{\"a\":\"\\u00fc\\u00fc\\u00fc\",\"b\":1},{\"a\":\"xxxx\",\"b\":2}]",
                   "a     b\n\xc3\xbc\xc3\xbc\xc3\xbc   1\nxxxx  2\n");
}

static void a_servers_words_are_cut_in_a_list_and_whole_in_one_object(void **state)
{
    (void)state;
    assert_printed(as_rows,
                   "[{\"last_reply\":\"450-4.2.0 one\\n450 4.2.0 two\",\"x\":1},"
                   "{\"last_reply\":\"450 "
                   "123456789012345678901234567890123456789012345678901234567\",\"x\":2}]",
                   "last reply                                                    x\n"
                   "450-4.2.0 one...                                              1\n"
                   "450 12345678901234567890123456789012345678901234567890123...  2\n");
    assert_printed(print_one, "{\"last_reply\":\"450-4.2.0 one\\n450 4.2.0 two\"}",
                   "last_reply:\n  450-4.2.0 one\n  450 4.2.0 two\n");
}

static void one_object_is_a_member_a_line(void **state)
{
    (void)state;
    assert_printed(
        print_one,
        "{\"id\":\"3f\",\"mx\":[\"a\",\"b\"],\"tries\":[{\"at\":1,\"tls\":{\"v\":\"1.3\"}}]}",
        "id: 3f\n"
        "mx:\n  - a\n  - b\n"
        "tries:\n  -\n    at: 1\n    tls:\n      v: 1.3\n");
}

static void trouble_is_told_in_lines_without_controls(void **state)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    print_trouble("no \x1b[2Jx\nand \xc3\xbc", out);
    print_trouble("", out);
    fclose(out);
    assert_string_equal(text, "waxseal: no \\x1b[2Jx\nand \xc3\xbc\nwaxseal: \n");
    free(text);
}

static void programs_get_json_without_controls(void **state)
{
    (void)state;
    assert_printed(print_json, "{\"a\":[1,true,null],\"b\":\"x\\u001b[2J\"}",
                   "{\n  \"a\": [\n    1,\n    true,\n    null\n  ],\n"
                   "  \"b\": \"x\\u001B[2J\"\n}\n");
    assert_printed(print_json, "{\"a\":\"\\u007fx\\u0080\\u009b31m\\u00a0\\u00fc\"}",
                   "{\n  \"a\": \"\\u007Fx\\u0080\\u009B31m\xc2\xa0\xc3\xbc\"\n}\n");
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("rows stand in columns under the names of their members", rows_stand_in_columns),
        TEST("an age has a unit", an_age_has_a_unit),
        TEST("a damaged row hides no column", a_damaged_row_hides_no_column),
        TEST("only the first page has a head", only_the_first_page_has_a_head),
        TEST("no rows are nothing", no_rows_are_nothing),
        TEST("values that are missing are a dash", values_that_are_missing_are_a_dash),
        TEST("nothing in a value reaches the terminal as a control",
             nothing_reaches_the_terminal_as_a_control),
        TEST("columns count characters, not bytes", columns_count_characters_not_bytes),
        TEST("a server's words are cut in a list, and whole in one object",
             a_servers_words_are_cut_in_a_list_and_whole_in_one_object),
        TEST("one object is a member a line", one_object_is_a_member_a_line),
        TEST("trouble is told in lines, without controls",
             trouble_is_told_in_lines_without_controls),
        TEST("programs get JSON, without controls", programs_get_json_without_controls),
    };
    return cmocka_run_group_tests_name("print", tests, NULL, NULL);
}
