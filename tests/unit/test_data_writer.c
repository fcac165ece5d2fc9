#include "tests/support/test.h"

#include "lib/base/buf.h"
#include "lib/mail/data_writer.h"

static void collect(void *ctx, struct span content)
{
    assert_true(content.len > 0);
    assert_true(buf_append(ctx, content));
}

/* The content cut at every place, and byte by byte, goes out the same. */
static void check(struct span content, struct span wanted, enum data_fault fault)
{
    struct data_writer w;
    enum data_fault last;
    struct buf out;

    buf_init(&out, 1 << 16);
    for (size_t cut = 0; cut <= content.len; cut++) {
        buf_reset(&out);
        data_writer_init(&w, collect, &out);
        last = data_writer_put(&w, span_first(content, cut));
        last = data_writer_put(&w, span_from(content, cut));
        last = data_writer_finish(&w);
        assert_int_equal(last, fault);
        assert_true(span_equal(buf_span(&out), wanted));
        assert_int_equal(w.bytes, wanted.len);
    }
    buf_reset(&out);
    data_writer_init(&w, collect, &out);
    for (size_t i = 0; i < content.len; i++)
        last = data_writer_put(&w, (struct span){ content.data + i, 1 });
    last = data_writer_finish(&w);
    assert_int_equal(last, fault);
    assert_true(span_equal(buf_span(&out), wanted));
    buf_clear(&out);
}

static void content_goes_out_with_its_end(void **state)
{
    (void)state;
    check(SPAN("a: b\r\n\r\nc\r\n"), SPAN("a: b\r\n\r\nc\r\n.\r\n"), DATA_CLEAN);
    check(SPAN(""), SPAN(".\r\n"), DATA_CLEAN);
}

static void a_last_line_without_its_end_is_ended(void **state)
{
    (void)state;
    check(SPAN("a\r\nb"), SPAN("a\r\nb\r\n.\r\n"), DATA_CLEAN);
    check(SPAN("."), SPAN("..\r\n.\r\n"), DATA_CLEAN);
}

static void dots_at_the_start_of_lines_are_doubled(void **state)
{
    (void)state;
    check(SPAN(".\r\n..\r\na.\r\n.b\r\n\r\n.\r\n"),
          SPAN("..\r\n...\r\na.\r\n..b\r\n\r\n..\r\n.\r\n"), DATA_CLEAN);
}

static void bare_cr_lf_and_nul_never_leave(void **state)
{
    (void)state;
    check(SPAN("a\nb\r\n"), SPAN("a"), DATA_BARE_LF);
    check(SPAN("a\rb\r\n"), SPAN("a"), DATA_BARE_CR);
    check(SPAN("a\r\n\n.\r\n"), SPAN("a\r\n"), DATA_BARE_LF);
    check(SPAN("a\r\r\n"), SPAN("a"), DATA_BARE_CR);
    check(SPAN("a\r\n\r"), SPAN("a\r\n"), DATA_BARE_CR);
    check(SPAN("a\0b\r\n"), SPAN("a"), DATA_NUL);
    check(SPAN("a\r\n.\0b\r\n"), SPAN("a\r\n.."), DATA_NUL);
    check(SPAN("\0"), SPAN(""), DATA_NUL);
    check(SPAN("\n"), SPAN(""), DATA_BARE_LF);
}

/* By BDAT: cut anywhere, each piece has as many octets outside as it has here. */
static void check_plain(struct span content, struct span wanted, enum data_fault fault)
{
    struct data_writer w;
    struct buf out;

    buf_init(&out, 1 << 16);
    for (size_t cut = 0; cut <= content.len; cut++) {
        buf_reset(&out);
        data_writer_init_plain(&w, collect, &out);
        if (data_writer_put(&w, span_first(content, cut)) == DATA_CLEAN)
            assert_int_equal(buf_len(&out), cut);
        else
            assert_true(buf_len(&out) < cut);
        if (data_writer_put(&w, span_from(content, cut)) == DATA_CLEAN)
            assert_int_equal(buf_len(&out), content.len);
        assert_int_equal(data_writer_finish(&w), fault);
        assert_true(span_equal(buf_span(&out), wanted));
    }
    buf_clear(&out);
}

static void in_plain_form_dots_are_not_doubled_and_nothing_is_held_back(void **state)
{
    (void)state;
    check_plain(SPAN(".\r\n..\r\n.a\r\n"), SPAN(".\r\n..\r\n.a\r\n"), DATA_CLEAN);
    check_plain(SPAN("a\r\nb"), SPAN("a\r\nb\r\n"), DATA_CLEAN);
    check_plain(SPAN(""), SPAN(""), DATA_CLEAN);
    check_plain(SPAN("a\r\n\n.\r\n"), SPAN("a\r\n"), DATA_BARE_LF);
    check_plain(SPAN("a\0b\r\n"), SPAN("a"), DATA_NUL);
}

/* The CR itself may have left, when it ended a piece; the end of the message has not. */
static void in_plain_form_a_bare_cr_ends_it_too(void **state)
{
    struct data_writer w;
    struct buf out;
    (void)state;
    buf_init(&out, 100);
    data_writer_init_plain(&w, collect, &out);
    assert_int_equal(data_writer_put(&w, SPAN("a\rb")), DATA_BARE_CR);
    assert_true(span_equal(buf_span(&out), SPAN("a")));
    data_writer_init_plain(&w, collect, &out);
    assert_int_equal(data_writer_put(&w, SPAN("a\r")), DATA_CLEAN);
    assert_true(data_writer_is_in_line(&w));
    assert_int_equal(data_writer_put(&w, SPAN("b")), DATA_BARE_CR);
    data_writer_init_plain(&w, collect, &out);
    assert_int_equal(data_writer_put(&w, SPAN("a\r")), DATA_CLEAN);
    assert_int_equal(data_writer_finish(&w), DATA_BARE_CR);
    buf_clear(&out);
}

static void after_a_fault_nothing_goes_out(void **state)
{
    struct data_writer w;
    struct buf out;
    (void)state;
    buf_init(&out, 100);
    data_writer_init(&w, collect, &out);
    assert_int_equal(data_writer_put(&w, SPAN("a\n")), DATA_BARE_LF);
    assert_int_equal(data_writer_put(&w, SPAN("b\r\n")), DATA_BARE_LF);
    assert_int_equal(data_writer_finish(&w), DATA_BARE_LF);
    assert_true(span_equal(buf_span(&out), SPAN("a")));
    buf_clear(&out);
}

static void what_was_read_goes_out_as_it_came(void **state)
{
    static const struct span wire = { "..a\r\n.b\r\n\r\n..\r\nc\r\n.\r\n", 21 };
    struct data_stream d;
    struct data_writer w;
    struct buf content, out;
    enum data_fault last;
    (void)state;
    buf_init(&content, 100);
    buf_init(&out, 100);
    data_stream_init(&d, collect, &content);
    assert_int_equal(data_stream_take(&d, wire), wire.len);
    data_writer_init(&w, collect, &out);
    last = data_writer_put(&w, buf_span(&content));
    assert_int_equal(last, DATA_CLEAN);
    assert_int_equal(data_writer_finish(&w), DATA_CLEAN);
    assert_true(span_equal(buf_span(&out), SPAN("..a\r\nb\r\n\r\n..\r\nc\r\n.\r\n")));
    buf_clear(&content);
    buf_clear(&out);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "data_writer: content goes out with its end", content_goes_out_with_its_end, 0, 0, 0 },
        { "data_writer: a last line without its end is ended, no empty line added",
          a_last_line_without_its_end_is_ended, 0, 0, 0 },
        { "data_writer: dots at the start of lines are doubled (RFC 5321 s.4.5.2)",
          dots_at_the_start_of_lines_are_doubled, 0, 0, 0 },
        { "data_writer: a bare CR, a bare LF, a NUL never leave (pitfalls.md 7.1)",
          bare_cr_lf_and_nul_never_leave, 0, 0, 0 },
        { "data_writer: for BDAT dots are not doubled, and a piece has as many octets outside as "
          "here",
          in_plain_form_dots_are_not_doubled_and_nothing_is_held_back, 0, 0, 0 },
        { "data_writer: for BDAT a bare CR ends it too, also at the border of a piece",
          in_plain_form_a_bare_cr_ends_it_too, 0, 0, 0 },
        { "data_writer: after a fault nothing goes out", after_a_fault_nothing_goes_out, 0, 0, 0 },
        { "data_writer: what data_stream gave goes out as the same message",
          what_was_read_goes_out_as_it_came, 0, 0, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
