#include "tests/support/test.h"

#include "lib/base/span.h"

static void a_literal_is_a_span_without_its_nul(void **state)
{
    (void)state;
    assert_int_equal(SPAN("abc").len, 3);
    assert_int_equal(span_of(NULL).len, 0);
    assert_int_equal(span_of("ab").len, 2);
}

static void parts_never_leave_the_span(void **state)
{
    (void)state;
    assert_true(span_equal(span_from(SPAN("abc"), 1), SPAN("bc")));
    assert_int_equal(span_from(SPAN("abc"), 9).len, 0);
    assert_true(span_equal(span_first(SPAN("abc"), 2), SPAN("ab")));
    assert_true(span_equal(span_first(SPAN("abc"), 9), SPAN("abc")));
    assert_int_equal(span_from((struct span){ NULL, 0 }, 3).len, 0);
}

static void names_compare_without_case(void **state)
{
    (void)state;
    assert_true(span_equal_nocase(SPAN("MX1.Example"), SPAN("mx1.eXAMPLE")));
    assert_false(span_equal_nocase(SPAN("a"), SPAN("b")));
    assert_false(span_equal_nocase(SPAN("a"), SPAN("ab")));
    assert_false(span_equal(SPAN("A"), SPAN("a")));
    assert_true(span_starts_with(SPAN("v=STSv1;"), SPAN("v=STSv1")));
    assert_false(span_starts_with(SPAN("v"), SPAN("v=")));
    assert_true(span_starts_with_nocase(SPAN("STARTTLS"), SPAN("start")));
    assert_false(span_starts_with_nocase(SPAN("S"), SPAN("start")));
    assert_true(span_ends_with_nocase(SPAN("mx.Example.NET"), SPAN(".example.net")));
    assert_false(span_ends_with_nocase(SPAN("net"), SPAN(".example.net")));
}

static void finding_gives_the_length_when_there_is_none(void **state)
{
    (void)state;
    assert_int_equal(span_find(SPAN("a@b"), '@'), 1);
    assert_int_equal(span_find(SPAN("ab"), '@'), 2);
    assert_int_equal(span_find((struct span){ NULL, 0 }, '@'), 0);
}

static void trimming_takes_blanks_and_tabs_only(void **state)
{
    (void)state;
    assert_true(span_equal(span_trim(SPAN(" \t a b \t")), SPAN("a b")));
    assert_int_equal(span_trim(SPAN(" \t")).len, 0);
    assert_true(span_equal(span_trim(SPAN("\na")), SPAN("\na")));
}

static void cutting_gives_each_piece_once(void **state)
{
    struct span rest = SPAN("a,,b,");
    struct span piece;
    const char *expected[] = { "a", "", "b", "" };
    (void)state;
    for (int i = 0; i < 4; i++) {
        assert_true(span_cut(&rest, ',', &piece));
        assert_true(span_equal(piece, span_of(expected[i])));
    }
    assert_false(span_cut(&rest, ',', &piece));
}

static void numbers_are_digits_only_and_bounded(void **state)
{
    uint64_t value = 77;
    (void)state;
    assert_true(span_to_number(SPAN("18446744073709551615"), UINT64_MAX, &value));
    assert_true(value == UINT64_MAX);
    const char *refused[] = { "", "-1", "+1", " 1", "1 ", "1a", "18446744073709551616",
                              "99999999999999999999", "000000000000000000001" };
    value = 77;
    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++)
        assert_false(span_to_number(span_of(refused[i]), UINT64_MAX, &value));
    assert_false(span_to_number(SPAN("11"), 10, &value));
    assert_int_equal(value, 77);
    assert_true(span_to_number(SPAN("10"), 10, &value));
    assert_int_equal(value, 10);
}

static void a_string_must_fit_and_hold_no_nul(void **state)
{
    char room[4];
    (void)state;
    assert_true(span_to_string(SPAN("abc"), room, sizeof(room)));
    assert_string_equal(room, "abc");
    assert_false(span_to_string(SPAN("abcd"), room, sizeof(room)));
    assert_string_equal(room, "");
    assert_false(span_to_string((struct span){ "a\0b", 3 }, room, sizeof(room)));
    assert_true(span_to_string((struct span){ NULL, 0 }, room, sizeof(room)));
}

static void printable_is_ascii_without_controls(void **state)
{
    (void)state;
    assert_true(span_is_printable(SPAN(" ~")));
    assert_false(span_is_printable(SPAN("\x7f")));
    assert_false(span_is_printable(SPAN("\xc3\xa9")));
    assert_false(span_is_printable(SPAN("a\nb")));
    assert_true(span_is_ascii(SPAN("a\x7f\n")) && span_is_ascii(SPAN("")));
    assert_false(span_is_ascii(SPAN("a\x80")));
    assert_true(ascii_is_alnum('Z') && ascii_is_alnum('0') && !ascii_is_alnum('_'));
}

static void hex_digits_are_of_either_case(void **state)
{
    static const char lower[] = "0123456789abcdef", upper[] = "0123456789ABCDEF";
    int digits = 0;
    (void)state;
    for (int i = 0; i < 16; i++) {
        assert_int_equal(ascii_hex_value(lower[i]), i);
        assert_int_equal(ascii_hex_value(upper[i]), i);
    }
    for (int c = 0; c < 256; c++)
        digits += ascii_hex_value((char)c) >= 0;
    assert_int_equal(digits, 10 + 6 + 6);
    assert_int_equal(ascii_hex_value('g'), -1);
    assert_int_equal(ascii_hex_value('@'), -1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "span: a literal is a span without its NUL", a_literal_is_a_span_without_its_nul, 0, 0, 0 },
        { "span: parts never leave the span", parts_never_leave_the_span, 0, 0, 0 },
        { "span: names compare without case (RFC 4343)", names_compare_without_case, 0, 0, 0 },
        { "span: finding gives the length when there is none",
          finding_gives_the_length_when_there_is_none, 0, 0, 0 },
        { "span: trimming takes blanks and tabs only", trimming_takes_blanks_and_tabs_only, 0, 0, 0 },
        { "span: cutting gives each piece once", cutting_gives_each_piece_once, 0, 0, 0 },
        { "span: numbers are digits only and bounded", numbers_are_digits_only_and_bounded, 0, 0, 0 },
        { "span: a string must fit and hold no NUL", a_string_must_fit_and_hold_no_nul, 0, 0, 0 },
        { "span: printable is ASCII without controls", printable_is_ascii_without_controls, 0, 0, 0 },
        { "span: hexadecimal digits are of either case", hex_digits_are_of_either_case, 0, 0, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
