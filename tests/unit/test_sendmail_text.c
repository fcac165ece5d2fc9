#include "sendmail/text.h"

#include <string.h>

#include "tests/support/test.h"

/* In pieces of a size; gives what became of it. */
static const char *read_in(const char *input, size_t len, size_t piece, bool dot_is_text)
{
    static char result[256];
    struct span rest = { input, len };
    struct text text;
    struct buf out;

    buf_init(&out, 200);
    text_init(&text, dot_is_text, &out);
    while (rest.len > 0) {
        text_take(&text, span_first(rest, piece));
        rest = span_from(rest, piece);
    }
    text_end(&text);
    assert_false(text.overflown);
    assert_true(span_to_string(buf_span(&out), result, sizeof(result)));
    buf_clear(&out);
    return result;
}

static void assert_text(const char *input, size_t len, bool dot_is_text, const char *wanted)
{
    for (size_t piece = 1; piece <= len + 1; piece++)
        assert_string_equal(read_in(input, len, piece, dot_is_text), wanted);
}

#define ASSERT_TEXT(input, wanted) assert_text("" input, sizeof(input) - 1, false, wanted)
#define ASSERT_DOTS(input, wanted) assert_text("" input, sizeof(input) - 1, true, wanted)

static void all_lines_end_with_crlf(void **state)
{
    (void)state;
    ASSERT_TEXT("", "");
    ASSERT_TEXT("one\ntwo\n", "one\r\ntwo\r\n");
    ASSERT_TEXT("one\r\ntwo\r\n", "one\r\ntwo\r\n");
    ASSERT_TEXT("1%\r2%\r\n\r\nend", "1%\r\n2%\r\n\r\nend\r\n");
    ASSERT_TEXT("\n\nx\n", "\r\n\r\nx\r\n");
    ASSERT_TEXT("one\r", "one\r\n");
}

static void nul_is_left_out(void **state)
{
    (void)state;
    ASSERT_TEXT("a\0b\n\0c\r\0\nd\n", "ab\r\nc\r\nd\r\n");
}

static void a_dot_alone_ends_it_unless_told_otherwise(void **state)
{
    (void)state;
    ASSERT_TEXT("one\n.\ntwo\n", "one\r\n");
    ASSERT_TEXT("one\n.\r\ntwo\n", "one\r\n");
    ASSERT_TEXT("one\n.", "one\r\n");
    ASSERT_TEXT("..\n.x\nx.\n", "..\r\n.x\r\nx.\r\n");
    ASSERT_DOTS("one\n.\ntwo\n", "one\r\n.\r\ntwo\r\n");
    ASSERT_DOTS(".", ".\r\n");
}

static void eight_bit_and_overflow_are_told(void **state)
{
    struct text text;
    struct buf out;

    (void)state;
    buf_init(&out, 8);
    text_init(&text, false, &out);
    text_take(&text, SPAN("plain\n"));
    assert_false(text.eight_bit || text.overflown);
    text_take(&text, SPAN("\xe4"));
    assert_true(text.eight_bit);
    text_take(&text, SPAN("more"));
    assert_true(text.overflown);
    buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "all lines end with CRLF", all_lines_end_with_crlf, NULL, NULL, NULL },
        { "NUL is left out", nul_is_left_out, NULL, NULL, NULL },
        { "a dot alone ends it unless told otherwise", a_dot_alone_ends_it_unless_told_otherwise,
          NULL, NULL, NULL },
        { "eight-bit and overflow are told", eight_bit_and_overflow_are_told, NULL, NULL, NULL },
    };

    return cmocka_run_group_tests_name("sendmail_text", tests, NULL, NULL);
}
