#include "tests/support/test.h"

#include "lib/mail/reply.h"

#include <stdio.h>
#include <string.h>

struct seen {
    struct buf lines;
    unsigned count;
};

static void on_line(void *ctx, unsigned number, struct span text)
{
    struct seen *seen = ctx;

    assert_int_equal(number, seen->count);
    seen->count++;
    assert_true(buf_append(&seen->lines, text));
    assert_true(buf_append(&seen->lines, SPAN("|")));
}

static void check_text(const struct reply *reply, const char *wanted)
{
    assert_true(span_equal(buf_span(&reply->text), span_of(wanted)));
}

static void check_broken(struct span input, const char *fault)
{
    struct reply_parser p;
    size_t used;

    reply_parser_init(&p);
    assert_int_equal(reply_parse(&p, input, NULL, NULL, &used), REPLY_BROKEN);
    assert_string_equal(p.fault, fault);
    assert_int_equal(reply_parse(&p, SPAN("250 ok\r\n"), NULL, NULL, &used), REPLY_BROKEN);
    assert_int_equal(used, 0);
    reply_parser_clear(&p);
}

static void a_single_line_is_a_reply(void **state)
{
    struct reply_parser p;
    size_t used;
    (void)state;
    reply_parser_init(&p);
    assert_int_equal(reply_parse(&p, SPAN("250 2.1.0 Ok\r\n354"), NULL, NULL, &used), REPLY_WHOLE);
    assert_int_equal(used, 14);
    assert_int_equal(p.reply.code, 250);
    assert_int_equal(p.reply.lines, 1);
    assert_int_equal(p.reply.status.class, 2);
    assert_int_equal(p.reply.status.subject, 1);
    check_text(&p.reply, "2.1.0 Ok");
    assert_true(reply_is(&p.reply, 250) && reply_is_positive(&p.reply));
    assert_false(reply_is_transient(&p.reply) || reply_is_permanent(&p.reply));
    reply_parser_clear(&p);
}

static void the_next_call_begins_the_next_reply(void **state)
{
    struct span input = SPAN("550-5.1.1 no\r\n550 5.1.1 never\r\n451\r\n");
    struct reply_parser p;
    size_t used;
    (void)state;
    reply_parser_init(&p);
    assert_int_equal(reply_parse(&p, input, NULL, NULL, &used), REPLY_WHOLE);
    assert_true(reply_is_permanent(&p.reply));
    check_text(&p.reply, "5.1.1 no\n5.1.1 never");
    assert_int_equal(p.reply.status.detail, 1);
    assert_int_equal(reply_parse(&p, span_from(input, used), NULL, NULL, &used), REPLY_WHOLE);
    assert_true(reply_is_transient(&p.reply));
    assert_int_equal(p.reply.lines, 1);
    assert_int_equal(p.reply.status.class, 0);
    check_text(&p.reply, "");
    reply_parser_clear(&p);
}

static void a_line_that_has_not_wholly_come_waits(void **state)
{
    struct span input = SPAN("250-mx.test\r\n250-SIZE 5\r\n250 DSN\r\n");
    (void)state;
    for (size_t cut = 0; cut < input.len; cut++) {
        struct reply_parser p;
        struct seen seen = { .count = 0 };
        size_t used, more;
        buf_init(&seen.lines, 1000);
        reply_parser_init(&p);
        assert_int_equal(reply_parse(&p, span_first(input, cut), on_line, &seen, &used),
                         REPLY_MORE);
        assert_true(used <= cut);
        assert_int_equal(reply_parse(&p, span_from(input, used), on_line, &seen, &more),
                         REPLY_WHOLE);
        assert_int_equal(used + more, input.len);
        assert_true(span_equal(buf_span(&seen.lines), SPAN("mx.test|SIZE 5|DSN|")));
        assert_int_equal(p.reply.lines, 3);
        reply_parser_clear(&p);
        buf_clear(&seen.lines);
    }
}

static void a_bare_lf_is_forgiven(void **state)
{
    struct reply_parser p;
    size_t used;
    (void)state;
    reply_parser_init(&p);
    assert_int_equal(reply_parse(&p, SPAN("250-a\n250 b\n"), NULL, NULL, &used), REPLY_WHOLE);
    check_text(&p.reply, "a\nb");
    reply_parser_clear(&p);
}

static void text_is_made_harmless(void **state)
{
    struct reply_parser p;
    size_t used;
    (void)state;
    reply_parser_init(&p);
    assert_int_equal(reply_parse(&p, SPAN("550 a\rb\x1b[0m\xc3\xa4\t\x7f\r\n"), NULL, NULL, &used),
                     REPLY_WHOLE);
    check_text(&p.reply, "a?b?[0m????");
    reply_parser_clear(&p);
}

static void what_is_not_smtp_breaks(void **state)
{
    (void)state;
    check_broken(SPAN("hello\r\n"), "no reply code");
    check_broken(SPAN("\r\n"), "no reply code");
    check_broken(SPAN("25\r\n"), "no reply code");
    check_broken(SPAN("+50 a\r\n"), "no reply code");
    check_broken(SPAN("150 a\r\n"), "reply code out of range");
    check_broken(SPAN("600 a\r\n"), "reply code out of range");
    check_broken(SPAN("2500 a\r\n"), "no blank behind the reply code");
    check_broken(SPAN("250\ta\r\n"), "no blank behind the reply code");
    check_broken(SPAN("250-a\r\n251 b\r\n"), "codes differ within a reply");
    check_broken(SPAN("250 a\0b\r\n"), "NUL in a reply");
}

static void the_line_length_is_bounded(void **state)
{
    char line[SMTP_REPLY_LINE_MAX + 2];
    struct reply_parser p;
    size_t used;
    (void)state;
    memset(line, 'a', sizeof(line));
    memcpy(line, "250 ", 4);
    memcpy(line + SMTP_REPLY_LINE_MAX - 2, "\r\n", 2);
    reply_parser_init(&p);
    assert_int_equal(reply_parse(&p, (struct span){ line, SMTP_REPLY_LINE_MAX }, NULL, NULL, &used),
                     REPLY_WHOLE);
    assert_int_equal(buf_len(&p.reply.text), REPLY_TEXT_MAX - 6);
    reply_parser_clear(&p);
    memset(line + SMTP_REPLY_LINE_MAX - 2, 'a', 2);
    memcpy(line + SMTP_REPLY_LINE_MAX - 1, "\r\n", 2);
    check_broken((struct span){ line, SMTP_REPLY_LINE_MAX + 1 }, "reply line too long");
    memset(line, '2', sizeof(line)); /* and one without an end */
    check_broken((struct span){ line, SMTP_REPLY_LINE_MAX + 1 }, "reply line too long");
}

static void the_number_of_lines_is_bounded(void **state)
{
    struct buf text;
    struct reply_parser p;
    size_t used;
    (void)state;
    buf_init(&text, 1 << 20);
    for (int i = 1; i < SMTP_REPLY_LINES_MAX; i++)
        assert_true(buf_append(&text, SPAN("250-a\r\n")));
    reply_parser_init(&p);
    assert_int_equal(reply_parse(&p, buf_span(&text), NULL, NULL, &used), REPLY_MORE);
    assert_int_equal(reply_parse(&p, SPAN("250 a\r\n"), NULL, NULL, &used), REPLY_WHOLE);
    assert_int_equal(p.reply.lines, SMTP_REPLY_LINES_MAX);
    reply_parser_clear(&p);
    assert_true(buf_append(&text, SPAN("250-a\r\n250 a\r\n")));
    check_broken(buf_span(&text), "too many reply lines");
    buf_clear(&text);
}

static void the_whole_length_is_bounded_and_the_text_cut(void **state)
{
    struct buf text;
    struct reply_parser p;
    size_t used;
    (void)state;
    buf_init(&text, 1 << 20);
    for (int i = 0; i < 80; i++)
        assert_true(buf_printf(&text, "250-%01000d\r\n", i));
    check_broken(buf_span(&text), "reply too long");
    reply_parser_init(&p);
    assert_int_equal(reply_parse(&p, span_first(buf_span(&text), 60 * 1006), NULL, NULL, &used),
                     REPLY_MORE);
    assert_int_equal(buf_len(&p.reply.text), REPLY_TEXT_MAX);
    reply_parser_clear(&p);
    buf_clear(&text);
}

/* 32 of the longest lines fill a reply to the last octet. */
static void the_last_octet_of_a_reply_is_its_last(void **state)
{
    struct buf text;
    struct reply_parser p;
    size_t used;
    (void)state;
    buf_init(&text, 1 << 20);
    for (int i = 0; i < SMTP_REPLY_BYTES_MAX / SMTP_REPLY_LINE_MAX; i++)
        assert_true(buf_printf(&text, "250-%0*d\r\n", SMTP_REPLY_LINE_MAX - 6, i));
    assert_int_equal(buf_len(&text), SMTP_REPLY_BYTES_MAX);
    reply_parser_init(&p);
    assert_int_equal(reply_parse(&p, buf_span(&text), NULL, NULL, &used), REPLY_MORE);
    assert_int_equal(reply_parse(&p, SPAN("2"), NULL, NULL, &used), REPLY_BROKEN);
    assert_string_equal(p.fault, "reply too long");
    reply_parser_clear(&p);
    buf_clear(&text);
}

static void a_status_counts_only_when_its_class_fits(void **state)
{
    struct reply_parser p;
    size_t used;
    (void)state;
    reply_parser_init(&p);
    assert_int_equal(reply_parse(&p, SPAN("450 5.1.1 odd\r\n"), NULL, NULL, &used), REPLY_WHOLE);
    assert_int_equal(p.reply.status.class, 0);
    assert_int_equal(reply_parse(&p, SPAN("550-first\r\n550 5.7.1\r\n"), NULL, NULL, &used),
                     REPLY_WHOLE);
    assert_int_equal(p.reply.status.subject, 7);
    reply_parser_clear(&p);
}

static void statuses_are_read_and_written(void **state)
{
    struct status s = { 0, 0, 0 };
    char text[STATUS_TEXT_SIZE];
    (void)state;
    assert_int_equal(status_parse(SPAN("5.1.10 x"), &s), 6);
    status_format(&s, text);
    assert_string_equal(text, "5.1.10");
    assert_int_equal(status_parse(SPAN("2.0.0"), &s), 5);
    assert_int_equal(status_parse(SPAN("4.999.999 "), &s), 9);
    static const char *const bad[] = { "",         "3.0.0",    "5.1",   "5.1.", "5..1",   "5.1.1x",
                                       "5.1000.1", "5.1.1000", "5-1-1", "a",    "5.1.1-a" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(status_parse(span_of(bad[i]), &s), 0);
    assert_int_equal(status_parse((struct span){ "\0.1.1", 5 }, &s), 0);
    assert_int_equal(s.detail, 999); /* untouched by what was no status */
}

static void lines_are_joined_and_cut(void **state)
{
    struct reply_parser p;
    struct buf out;
    size_t used;
    (void)state;
    buf_init(&out, 8);
    reply_parser_init(&p);
    assert_int_equal(reply_parse(&p, SPAN("550-one\r\n550 two\r\n"), NULL, NULL, &used),
                     REPLY_WHOLE);
    reply_to_line(&p.reply, &out);
    assert_true(span_equal(buf_span(&out), SPAN("one; two")));
    buf_clear(&out);
    buf_init(&out, 4);
    reply_to_line(&p.reply, &out);
    assert_true(span_equal(buf_span(&out), SPAN("one;")));
    buf_clear(&out);
    reply_parser_clear(&p);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "reply: a single line is a reply", a_single_line_is_a_reply, 0, 0, 0 },
        { "reply: the next call begins the next reply", the_next_call_begins_the_next_reply, 0, 0,
          0 },
        { "reply: a line that has not wholly come waits", a_line_that_has_not_wholly_come_waits, 0,
          0, 0 },
        { "reply: a bare LF ends a line here", a_bare_lf_is_forgiven, 0, 0, 0 },
        { "reply: control bytes and 8-bit in its text are made harmless", text_is_made_harmless, 0,
          0, 0 },
        { "reply: what is not SMTP breaks it", what_is_not_smtp_breaks, 0, 0, 0 },
        { "reply: a line of 2048 octets passes, one of 2049 breaks it", the_line_length_is_bounded,
          0, 0, 0 },
        { "reply: 100 lines pass, 101 break it", the_number_of_lines_is_bounded, 0, 0, 0 },
        { "reply: more than 64 KiB break it; the text is cut at 2 KiB",
          the_whole_length_is_bounded_and_the_text_cut, 0, 0, 0 },
        { "a reply of 64 KiB is taken, and not an octet more",
          the_last_octet_of_a_reply_is_its_last, 0, 0, 0 },
        { "reply: a status counts only when its class fits the code",
          a_status_counts_only_when_its_class_fits, 0, 0, 0 },
        { "reply: statuses are read and written", statuses_are_read_and_written, 0, 0, 0 },
        { "reply: lines are joined, and cut where there is no room", lines_are_joined_and_cut, 0, 0,
          0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
