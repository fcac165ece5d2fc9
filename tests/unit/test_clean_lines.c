#include "lib/base/memory.h"
#include "lib/mail/clean_lines.h"
#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

static void whole_lines_are_taken_and_counted(void **state)
{
    (void)state;
    struct clean_lines found = clean_lines_of(SPAN("one\r\n\r\nthree3\r\nrest"), ".");

    assert_int_equal(found.len, 5 + 2 + 8);
    assert_int_equal(found.lines, 3);
    assert_int_equal(found.longest, 6);
    assert_false(found.eight_bit);
}

static void a_line_that_begins_with_a_stop_is_left(void **state)
{
    (void)state;
    assert_int_equal(clean_lines_of(SPAN("a\r\n.b\r\n"), ".-").len, 3);
    assert_int_equal(clean_lines_of(SPAN("a\r\n-b\r\n"), ".-").len, 3);
    assert_int_equal(clean_lines_of(SPAN("a.-\r\n-b\r\n"), ".").len, 9);
    assert_int_equal(clean_lines_of(SPAN(".a\r\n"), "").len, 4);
    assert_int_equal(clean_lines_of(SPAN(".a\r\n"), ".").len, 0);
}

static void nothing_is_taken_of_a_line_that_is_not_whole(void **state)
{
    (void)state;
    assert_int_equal(clean_lines_of(SPAN(""), ".").len, 0);
    assert_int_equal(clean_lines_of(SPAN("a"), ".").len, 0);
    assert_int_equal(clean_lines_of(SPAN("a\r"), ".").len, 0);
    assert_int_equal(clean_lines_of(SPAN("\n"), ".").len, 0);
    assert_int_equal(clean_lines_of(SPAN("a\nb\r\n"), ".").len, 0);
    assert_int_equal(clean_lines_of(SPAN("a\r\nb\nc\r\n"), ".").len, 3);
}

/* Long enough for vectors, with the odd byte at every place. */
static void an_odd_byte_is_found_wherever_it_stands(void **state)
{
    (void)state;
    enum { LINE = 100, LINES = 60 };
    char *text = memory_new(LINE * LINES);
    struct span content = { text, LINE * LINES };

    for (unsigned i = 0; i < LINES; i++) {
        memset(text + i * LINE, 'x', LINE - 2);
        memcpy(text + i * LINE + LINE - 2, "\r\n", 2);
    }
    assert_int_equal(clean_lines_of(content, ".").len, content.len);
    assert_int_equal(clean_lines_of(content, ".").lines, LINES);
    assert_int_equal(clean_lines_of(content, ".").longest, LINE - 2);
    for (size_t at = 0; at < content.len; at++) {
        char kept = text[at];
        size_t before = at - at % LINE;
        if (kept != 'x')
            continue;
        text[at] = '\r';
        assert_int_equal(clean_lines_of(content, ".").len, before);
        text[at] = '\n';
        assert_int_equal(clean_lines_of(content, ".").len, before);
        text[at] = '\0';
        assert_int_equal(clean_lines_of(content, ".").len, before);
        text[at] = (char)0xc3;
        assert_int_equal(clean_lines_of(content, ".").len, content.len);
        assert_true(clean_lines_of(content, ".").eight_bit);
        text[at] = kept;
    }
    assert_false(clean_lines_of(content, ".").eight_bit);
    free(text);
}

/* The counts of lanes do not run over: more than 255 vectors of nothing but line ends. */
static void many_empty_lines_are_counted(void **state)
{
    (void)state;
    enum { LINES = 8192 };
    char *text = memory_new(2 * LINES + 3);

    for (unsigned i = 0; i < LINES; i++)
        memcpy(text + (size_t)2 * i, "\r\n", 2);
    assert_int_equal(clean_lines_of((struct span){ text, 2 * LINES }, ".").lines, LINES);
    memcpy(text + 2 * LINES, "\r\r\n", 3);
    assert_int_equal(clean_lines_of((struct span){ text, 2 * LINES + 3 }, ".").lines, LINES);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "clean_lines: whole lines are taken and counted", whole_lines_are_taken_and_counted, 0, 0,
          0 },
        { "clean_lines: a line that begins with a stop is left",
          a_line_that_begins_with_a_stop_is_left, 0, 0, 0 },
        { "clean_lines: nothing is taken of a line that is not whole",
          nothing_is_taken_of_a_line_that_is_not_whole, 0, 0, 0 },
        { "clean_lines: an odd byte is found wherever it stands",
          an_odd_byte_is_found_wherever_it_stands, 0, 0, 0 },
        { "clean_lines: many empty lines are counted", many_empty_lines_are_counted, 0, 0, 0 },
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
