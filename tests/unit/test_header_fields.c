#include "tests/support/test.h"

#include "lib/mail/header_fields.h"

static void check_next(struct header_fields *fields, const char *name, const char *body,
                       const char *whole)
{
    struct header_field field;

    assert_true(header_fields_next(fields, &field));
    assert_true(span_equal(field.name, span_of(name)));
    assert_true(span_equal(field.body, span_of(body)));
    assert_true(span_equal(field.whole, span_of(whole)));
}

static void check_end(struct header_fields *fields, const char *rest)
{
    struct header_field field;

    assert_false(header_fields_next(fields, &field));
    assert_true(span_equal(fields->rest, span_of(rest)));
}

static void a_block_is_fields_up_to_its_empty_line(void **state)
{
    struct header_fields fields;
    (void)state;
    header_fields_init(&fields, SPAN("From: ada\r\nSubject:\r\nX-Y: a\r\n\r\nbody\r\n"));
    check_next(&fields, "From", " ada", "From: ada\r\n");
    check_next(&fields, "Subject", "", "Subject:\r\n");
    check_next(&fields, "X-Y", " a", "X-Y: a\r\n");
    check_end(&fields, "\r\nbody\r\n");
}

static void continuation_lines_belong_to_their_field(void **state)
{
    struct header_fields fields;
    (void)state;
    header_fields_init(&fields, SPAN("To: a,\r\n b,\r\n\tc\r\n \r\nX: y\r\n"));
    check_next(&fields, "To", " a,\r\n b,\r\n\tc\r\n ", "To: a,\r\n b,\r\n\tc\r\n \r\n");
    check_next(&fields, "X", " y", "X: y\r\n");
    check_end(&fields, "");
}

static void blanks_before_the_colon_are_not_of_the_name(void **state)
{
    struct header_fields fields;
    (void)state;
    header_fields_init(&fields, SPAN("Bcc \t: ada\r\n"));
    check_next(&fields, "Bcc", " ada", "Bcc \t: ada\r\n");
}

static void what_is_no_field_ends_the_block(void **state)
{
    static const char *const ends[] = { "Hello world\r\n",
                                        ": no name\r\n",
                                        "n\xc3\xa4me: x\r\n",
                                        "name",
                                        " folded\r\n",
                                        "a b: c\r\n",
                                        "" };
    struct header_fields fields;
    (void)state;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        header_fields_init(&fields, span_of(ends[i]));
        check_end(&fields, ends[i]);
    }
}

static void the_last_line_may_lack_its_end(void **state)
{
    struct header_fields fields;
    (void)state;
    header_fields_init(&fields, SPAN("A: b"));
    check_next(&fields, "A", " b", "A: b");
    header_fields_init(&fields, SPAN("A: b\r\n c\n"));
    check_next(&fields, "A", " b\r\n c", "A: b\r\n c\n");
}

static void a_line_of_an_mbox_file_is_stepped_over(void **state)
{
    struct header_fields fields;
    (void)state;
    header_fields_init(&fields, SPAN("From ada Fri Jan 30\r\nA: b\r\nFrom x\r\n"));
    check_next(&fields, "A", " b", "A: b\r\n");
    check_end(&fields, "From x\r\n");
    header_fields_init(&fields, SPAN(">From ada\r\nA: b\r\n"));
    check_next(&fields, "A", " b", "A: b\r\n");
    header_fields_init(&fields, SPAN("From \t: b\r\n")); /* a field, though an old one */
    check_next(&fields, "From", " b", "From \t: b\r\n");
}

static void a_line_that_is_no_field_can_be_stepped_over(void **state)
{
    struct header_fields fields;
    (void)state;
    header_fields_init(&fields, SPAN(" x\r\nno field\r\nA: b\r\n\r\nbody\r\n"));
    assert_true(header_fields_skip(&fields));
    assert_true(header_fields_skip(&fields));
    check_next(&fields, "A", " b", "A: b\r\n");
    assert_false(header_fields_skip(&fields));
    check_end(&fields, "\r\nbody\r\n");
    header_fields_init(&fields, SPAN("x"));
    assert_true(header_fields_skip(&fields));
    assert_false(header_fields_skip(&fields));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "a block is fields up to its empty line (RFC 5322 s.2.1)",
          a_block_is_fields_up_to_its_empty_line, NULL, NULL, NULL },
        { "continuation lines belong to their field (RFC 5322 s.2.2.3)",
          continuation_lines_belong_to_their_field, NULL, NULL, NULL },
        { "blanks before the colon are not of the name (RFC 5322 s.4.5)",
          blanks_before_the_colon_are_not_of_the_name, NULL, NULL, NULL },
        { "what is no field ends the block (MSG-15)", what_is_no_field_ends_the_block, NULL, NULL,
          NULL },
        { "the last line may lack its end", the_last_line_may_lack_its_end, NULL, NULL, NULL },
        { "a line that is no field can be stepped over, the empty line cannot",
          a_line_that_is_no_field_can_be_stepped_over, NULL, NULL, NULL },
        { "a line of an mbox file in front is stepped over", a_line_of_an_mbox_file_is_stepped_over,
          NULL, NULL, NULL },
    };

    return cmocka_run_group_tests_name("header_fields", tests, NULL, NULL);
}
