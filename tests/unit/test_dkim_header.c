#include "tests/support/test.h"

#include "lib/mail/dkim_header.h"

static void check(const char *field, enum dkim_canon canon, const char *wanted)
{
    struct buf out;

    buf_init(&out, 1024);
    assert_true(dkim_header_append(span_of(field), canon, &out));
    assert_int_equal(buf_len(&out), span_of(wanted).len);
    assert_memory_equal(buf_span(&out).data, wanted, buf_len(&out));
    buf_clear(&out);
}

static void simple_changes_nothing(void **state)
{
    (void)state;
    check("B : Y\t\r\n\tZ  \r\n", DKIM_SIMPLE, "B : Y\t\r\n\tZ  ");
    check("b= :", DKIM_SIMPLE, "b= :");
}

static void relaxed_unfolds_and_makes_runs_of_blanks_one(void **state)
{
    (void)state;
    check("A: X\r\n", DKIM_RELAXED, "a:X");
    check("B : Y\t\r\n\tZ  \r\n", DKIM_RELAXED, "b:Y Z");
    check("SUBJect \t:AbC", DKIM_RELAXED, "subject:AbC");
    check("Subject: one\r\n  \t two\r\n\tthree \r\n", DKIM_RELAXED, "subject:one two three");
    check("X:\r\n a\r\n \r\n", DKIM_RELAXED, "x:a");
}

static void an_empty_value_leaves_name_and_colon(void **state)
{
    (void)state;
    check("X-Empty: \r\n", DKIM_RELAXED, "x-empty:");
    check("X:", DKIM_RELAXED, "x:");
}

static void a_bare_cr_or_lf_in_a_value_is_kept(void **state)
{
    (void)state;
    check("X: a\rb\nc\r", DKIM_RELAXED, "x:a\rb\nc\r");
}

static void what_has_no_colon_is_no_field(void **state)
{
    struct buf out;
    (void)state;

    buf_init(&out, 1024);
    assert_false(dkim_header_append(SPAN("no field\r\n"), DKIM_RELAXED, &out));
    assert_false(dkim_header_append(SPAN("\r\n"), DKIM_SIMPLE, &out));
    assert_false(dkim_header_append(SPAN(""), DKIM_SIMPLE, &out));
    assert_int_equal(buf_len(&out), 0);
    buf_clear(&out);
}

static void without_room_there_is_no_field(void **state)
{
    struct buf out;
    (void)state;

    buf_init(&out, 6);
    assert_false(dkim_header_append(SPAN("Subject: x"), DKIM_SIMPLE, &out));
    assert_false(dkim_header_append(SPAN("Subject: x"), DKIM_RELAXED, &out));
    assert_false(dkim_header_append(SPAN("a: subject"), DKIM_RELAXED, &out));
    buf_clear(&out);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "dkim_header: simple changes nothing (RFC 6376 s.3.4.1)", simple_changes_nothing, 0, 0,
          0 },
        { "dkim_header: relaxed unfolds and makes runs of blanks one (RFC 6376 s.3.4.2)",
          relaxed_unfolds_and_makes_runs_of_blanks_one, 0, 0, 0 },
        { "dkim_header: an empty value leaves name and colon", an_empty_value_leaves_name_and_colon,
          0, 0, 0 },
        { "dkim_header: a bare CR or LF in a value is kept", a_bare_cr_or_lf_in_a_value_is_kept, 0,
          0, 0 },
        { "dkim_header: what has no colon is no field", what_has_no_colon_is_no_field, 0, 0, 0 },
        { "dkim_header: without room there is no field", without_room_there_is_no_field, 0, 0, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
