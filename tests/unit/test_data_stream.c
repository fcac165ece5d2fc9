#include "tests/support/test.h"

#include "lib/base/buf.h"
#include "lib/mail/data_stream.h"

#include <stdio.h>
#include <string.h>

static void collect(void *ctx, struct span content)
{
    assert_true(content.len > 0);
    assert_true(buf_append(ctx, content));
}

static bool mends;

static void begin(struct data_stream *data, struct buf *content)
{
    data_stream_init(data, collect, content);
    if (mends)
        data_stream_mend(data);
}

/* What one input gives; the content stands in `content`. */
static struct data_stream take(struct span input, struct buf *content, size_t *used)
{
    struct data_stream data;

    buf_reset(content);
    begin(&data, content);
    *used = data_stream_take(&data, input);
    return data;
}

static void check_same_facts(const struct data_stream *a, const struct data_stream *b)
{
    assert_int_equal(a->ended, b->ended);
    assert_int_equal(a->fault, b->fault);
    assert_int_equal(a->bytes, b->bytes);
    assert_int_equal(a->lines, b->lines);
    assert_int_equal(a->mended, b->mended);
    assert_int_equal(a->longest_line, b->longest_line);
    assert_int_equal(a->header_bytes, b->header_bytes);
    assert_int_equal(a->received, b->received);
    assert_int_equal(a->in_header, b->in_header);
    assert_int_equal(a->eight_bit, b->eight_bit);
    assert_int_equal(a->eight_bit_header, b->eight_bit_header);
}

/* The input cut at every place, and byte by byte, gives the same as whole. */
static struct data_stream check_cuts(struct span input, struct span wanted)
{
    struct buf whole, parts;
    struct data_stream first, again;
    size_t used, used_again;

    buf_init(&whole, 1 << 20);
    buf_init(&parts, 1 << 20);
    first = take(input, &whole, &used);
    assert_true(span_equal(buf_span(&whole), wanted));
    for (size_t cut = 0; cut <= input.len; cut++) {
        buf_reset(&parts);
        begin(&again, &parts);
        used_again = data_stream_take(&again, span_first(input, cut));
        used_again += data_stream_take(&again, span_from(input, used_again));
        check_same_facts(&first, &again);
        assert_int_equal(used, used_again);
        assert_true(span_equal(buf_span(&parts), wanted));
    }
    buf_reset(&parts);
    begin(&again, &parts);
    for (size_t i = 0; i < input.len; i++)
        data_stream_take(&again, (struct span){ input.data + i, 1 });
    check_same_facts(&first, &again);
    assert_true(span_equal(buf_span(&parts), wanted));
    buf_clear(&whole);
    buf_clear(&parts);
    return first;
}

static void content_ends_with_a_dot_alone_on_a_line(void **state)
{
    struct data_stream d =
        check_cuts(SPAN("Subject: x\r\n\r\nbody\r\n.\r\n"), SPAN("Subject: x\r\n\r\nbody\r\n"));
    (void)state;
    assert_true(d.ended);
    assert_int_equal(d.fault, DATA_CLEAN);
    assert_int_equal(d.bytes, 20);
    assert_int_equal(d.lines, 3);
    assert_int_equal(d.longest_line, 10);
    assert_int_equal(d.header_bytes, 14);
    assert_false(d.in_header);
    assert_false(d.eight_bit);
}

static void what_follows_the_end_is_left_alone(void **state)
{
    struct buf content;
    struct data_stream d;
    size_t used;
    (void)state;
    buf_init(&content, 1000);
    d = take(SPAN("a\r\n.\r\nQUIT\r\n\0\xff\n"), &content, &used);
    assert_true(d.ended);
    assert_int_equal(used, 6);
    assert_int_equal(d.fault, DATA_CLEAN);
    assert_false(d.eight_bit);
    assert_int_equal(data_stream_take(&d, SPAN("QUIT\r\n")), 0);
    buf_clear(&content);
}

static void an_empty_message_ends_at_once(void **state)
{
    struct data_stream d = check_cuts(SPAN(".\r\n"), SPAN(""));
    (void)state;
    assert_true(d.ended);
    assert_int_equal(d.bytes, 0);
    assert_true(d.in_header);
}

static void stuffed_dots_are_taken_away(void **state)
{
    struct data_stream d = check_cuts(SPAN("..\r\n...a\r\n.b\r\nc.\r\n\r\n..\r\n.\r\n"),
                                      SPAN(".\r\n..a\r\nb\r\nc.\r\n\r\n.\r\n"));
    (void)state;
    assert_true(d.ended);
    assert_int_equal(d.fault, DATA_CLEAN);
    assert_int_equal(d.bytes, 20);
    assert_int_equal(d.lines, 6);
    assert_int_equal(d.longest_line, 3);
}

static void nothing_but_crlf_dot_crlf_ends_data(void **state)
{
    static const struct {
        struct span input;
        enum data_fault fault;
    } smuggled[] = {
        { { "a\n.\r\n", 5 }, DATA_BARE_LF },     { { "a\n.\n", 4 }, DATA_BARE_LF },
        { { "a\r.\r\n", 5 }, DATA_BARE_CR },     { { "a\r.\r", 4 }, DATA_BARE_CR },
        { { "a\r\n.\n", 5 }, DATA_BARE_LF },     { { "a\r\n.\rb", 6 }, DATA_BARE_CR },
        { { "a\r\n.\r\r\n", 7 }, DATA_BARE_CR }, { { "a\r\n\0.\r\n", 7 }, DATA_NUL },
        { { "a\r\n.\0\r\n", 7 }, DATA_NUL },     { { "a\n\r.\r\n", 6 }, DATA_BARE_LF },
        { { "a\r\n.\r\0\n", 7 }, DATA_BARE_CR }, { { ".\n", 2 }, DATA_BARE_LF },
        { { "a\r\n. \r\n", 7 }, DATA_CLEAN },    { { "a\r\n.x.\r\n", 8 }, DATA_CLEAN },
    };
    struct buf content;
    size_t used;
    (void)state;
    buf_init(&content, 1000);
    for (size_t i = 0; i < sizeof(smuggled) / sizeof(smuggled[0]); i++) {
        struct data_stream d = take(smuggled[i].input, &content, &used);
        data_stream_take(&d, SPAN("x")); /* decides about a CR at the end */
        assert_false(d.ended);
        assert_int_equal(d.fault, smuggled[i].fault);
        assert_int_equal(data_stream_take(&d, SPAN("\r\n.\r\n")), 5);
        assert_true(d.ended);
        assert_int_equal(d.fault, smuggled[i].fault);
    }
    buf_clear(&content);
}

static void behind_a_fault_nothing_is_handed_on(void **state)
{
    struct data_stream d;
    (void)state;
    d = check_cuts(SPAN("ab\ncd\r\nef\r\n.\r\n"), SPAN("ab"));
    assert_int_equal(d.fault, DATA_BARE_LF);
    assert_int_equal(d.bytes, 11);
    assert_int_equal(d.lines, 2);
    d = check_cuts(SPAN("ab\rcd\r\n..e\r\n.\r\n"), SPAN("ab\r"));
    assert_int_equal(d.fault, DATA_BARE_CR);
    assert_int_equal(d.bytes, 11);
    d = check_cuts(SPAN("ab\r\ncd\0ef\ngh\r\n.\r\n"), SPAN("ab\r\ncd"));
    assert_int_equal(d.fault, DATA_NUL);
    d = check_cuts(SPAN("ab\r\r\n.\r\n"), SPAN("ab\r"));
    assert_int_equal(d.fault, DATA_BARE_CR);
    assert_true(d.ended);
    d = check_cuts(SPAN("a\r\n.\rb\xff\r\n.\r\n"), SPAN("a\r\n"));
    assert_int_equal(d.fault, DATA_BARE_CR);
    assert_false(d.eight_bit);
    assert_int_equal(d.bytes, 8);
    assert_int_equal(d.longest_line, 3);
    d = check_cuts(SPAN("\0\r\n.\r\n"), SPAN(""));
    assert_int_equal(d.fault, DATA_NUL);
    d = check_cuts(SPAN("Subject: a\0b\r\n\r\nbody\r\n.\r\n"), SPAN("Subject: a"));
    assert_int_equal(d.fault, DATA_NUL);
    assert_int_equal(d.lines, 3);
}

static void received_fields_are_counted_in_the_header_only(void **state)
{
    struct data_stream d = check_cuts(
        SPAN("Received: from a\r\n\tby b\r\nreceived:x\r\nReceivedX: y\r\nX-Received: z\r\n"
             "RECEIVED:\r\n..Received: no\r\nReceived\r\n\r\nReceived: body\r\n.\r\n"),
        SPAN("Received: from a\r\n\tby b\r\nreceived:x\r\nReceivedX: y\r\nX-Received: z\r\n"
             "RECEIVED:\r\n.Received: no\r\nReceived\r\n\r\nReceived: body\r\n"));
    (void)state;
    assert_int_equal(d.received, 3);
    assert_int_equal(d.header_bytes, d.bytes - 16);
}

static void a_header_without_an_end_is_all_header(void **state)
{
    struct data_stream d = check_cuts(SPAN("A: b\r\nC: d\r\n.\r\n"), SPAN("A: b\r\nC: d\r\n"));
    (void)state;
    assert_true(d.in_header);
    assert_int_equal(d.header_bytes, 12);
}

static void eight_bit_content_is_noted(void **state)
{
    (void)state;
    assert_true(check_cuts(SPAN("\xe4\r\n.\r\n"), SPAN("\xe4\r\n")).eight_bit);
    assert_true(
        check_cuts(SPAN("0123456789\xc3\xa4\r\n.\r\n"), SPAN("0123456789\xc3\xa4\r\n")).eight_bit);
    assert_false(check_cuts(SPAN("\x7f\x01\r\n.\r\n"), SPAN("\x7f\x01\r\n")).eight_bit);
}

static bool header_is_eight_bit(const char *content)
{
    char text[200];

    snprintf(text, sizeof(text), "%s.\r\n", content);
    return check_cuts(span_of(text), span_of(content)).eight_bit_header;
}

/* RFC 6531 s.3.5: such a message goes to no host without SMTPUTF8; of a body it may be anything. */
static void eight_bit_headers_are_noted_at_every_level(void **state)
{
    (void)state;
    assert_true(header_is_eight_bit("Subject: \xc3\xa4\r\n\r\nx\r\n"));
    assert_false(header_is_eight_bit("Subject: x\r\n\r\n\xc3\xa4\r\n"));
    assert_true(header_is_eight_bit("A: b\r\n\r\n--b\r\nX: \xc3\xa4\r\n\r\nx\r\n"));
    assert_false(header_is_eight_bit("A: b\r\n\r\n--b\r\nX: y\r\n\r\n\xc3\xa4\r\n"));
    assert_false(header_is_eight_bit("A: b\r\n\r\nx\r\n-- \r\n\xc3\xa4\r\n"));
    assert_false(header_is_eight_bit("A: b\r\n\r\n--\r\n\xc3\xa4\r\n"));
}

static void an_input_without_an_end_is_handed_on_whole(void **state)
{
    static const struct span input = { "one\r\ntwo\r\n..three\r\nfour\r\n", 25 };
    struct buf content;
    size_t used;
    (void)state;
    buf_init(&content, 1000);
    struct data_stream d = take(input, &content, &used);
    assert_int_equal(used, input.len);
    assert_false(d.ended);
    assert_true(span_equal(buf_span(&content), SPAN("one\r\ntwo\r\n.three\r\nfour\r\n")));
    assert_int_equal(d.lines, 4);
    buf_clear(&content);
}

/* Content in chunks, cut at every place: where a chunk ends means nothing to the content. */
static struct data_stream check_chunks(struct span input, struct span wanted)
{
    struct data_stream data = { .ended = false };
    struct buf content;

    buf_init(&content, 1000);
    for (size_t cut = 0; cut <= input.len; cut++) {
        buf_reset(&content);
        data_stream_init_chunked(&data, collect, &content);
        assert_int_equal(data_stream_take(&data, span_first(input, cut)), cut);
        assert_int_equal(data_stream_take(&data, span_from(input, cut)), input.len - cut);
        assert_false(data.ended);
        data_stream_end(&data);
        assert_true(data.ended);
        assert_true(span_equal(buf_span(&content), wanted));
    }
    buf_clear(&content);
    return data;
}

static void chunks_have_no_dots_to_take_away_and_no_end(void **state)
{
    struct span input = SPAN("x: y\r\n\r\n..\r\n.\r\n.z\r\nend");
    (void)state;
    struct data_stream d = check_chunks(input, input);
    assert_int_equal(d.fault, DATA_CLEAN);
    assert_int_equal(d.bytes, input.len);
    assert_int_equal(d.header_bytes, 8);
}

static void chunks_are_judged_as_strictly(void **state)
{
    (void)state;
    assert_int_equal(check_chunks(SPAN("a\n.\r\nb"), SPAN("a")).fault, DATA_BARE_LF);
    assert_int_equal(check_chunks(SPAN("a\r.\r\nb"), SPAN("a\r")).fault, DATA_BARE_CR);
    assert_int_equal(check_chunks((struct span){ "a\0b", 3 }, SPAN("a")).fault, DATA_NUL);
    assert_int_equal(check_chunks(SPAN("\r\r\n"), SPAN("\r")).fault, DATA_BARE_CR);
}

static void a_cr_at_the_end_of_the_last_chunk_is_bare(void **state)
{
    struct data_stream data;
    struct buf content;
    (void)state;
    buf_init(&content, 1000);
    data_stream_init_chunked(&data, collect, &content);
    data_stream_take(&data, SPAN("a\r"));
    assert_int_equal(data.fault, DATA_CLEAN);
    data_stream_end(&data);
    assert_int_equal(data.fault, DATA_BARE_CR);
    buf_clear(&content);
}

static void faults_have_names(void **state)
{
    (void)state;
    assert_string_equal(data_fault_name(DATA_CLEAN), "");
    assert_string_equal(data_fault_name(DATA_BARE_CR), "bare CR");
    assert_string_equal(data_fault_name(DATA_BARE_LF), "bare LF");
    assert_string_equal(data_fault_name(DATA_NUL), "NUL");
}

static int mend(void **state)
{
    (void)state;
    mends = true;
    return 0;
}

static int mend_no_more(void **state)
{
    (void)state;
    mends = false;
    return 0;
}

static void a_bare_lf_becomes_crlf(void **state)
{
    struct data_stream d = check_cuts(SPAN("Subject: x\nTo: y\r\n\nab\n\ncd\r\n.\r\n"),
                                      SPAN("Subject: x\r\nTo: y\r\n\r\nab\r\n\r\ncd\r\n"));
    (void)state;
    assert_true(d.ended);
    assert_int_equal(d.fault, DATA_CLEAN);
    assert_int_equal(d.mended, 4);
    assert_int_equal(d.lines, 6);
    assert_int_equal(d.bytes, 31);
    assert_int_equal(d.header_bytes, 21);
    assert_int_equal(d.longest_line, 10);
}

static void nothing_but_the_true_end_ends_mended_data(void **state)
{
    (void)state;
    check_cuts(SPAN("a\n.\nb\r\n.\r\n"), SPAN("a\r\n.\r\nb\r\n"));
    check_cuts(SPAN("a\n.\r\nb\r\n.\r\n"), SPAN("a\r\n.\r\nb\r\n"));
    check_cuts(SPAN("a\r\n.\nb\r\n.\r\n"), SPAN("a\r\n.\r\nb\r\n"));
    check_cuts(SPAN(".\n.\n.\r\nb\r\n.\r\n"), SPAN(".\r\n.\r\n.\r\nb\r\n"));
    struct data_stream d = check_cuts(SPAN("a\n.\r\n"), SPAN("a\r\n.\r\n"));
    assert_false(d.ended);
    assert_int_equal(d.bytes, 6);
}

static void dots_are_unstuffed_on_mended_lines_too(void **state)
{
    (void)state;
    check_cuts(SPAN("a\n..b\n...\n..\r\n.\r\n"), SPAN("a\r\n.b\r\n..\r\n.\r\n"));
}

static void a_bare_cr_stays_a_fault(void **state)
{
    struct data_stream d = check_cuts(SPAN("a\nb\rc\nd\r\n.\r\n"), SPAN("a\r\nb\r"));
    (void)state;
    assert_int_equal(d.fault, DATA_BARE_CR);
    assert_true(d.ended);
    d = check_cuts(SPAN("a\n.\rb\r\n.\r\n"), SPAN("a\r\n"));
    assert_int_equal(d.fault, DATA_BARE_CR);
}

static void chunks_are_mended_and_keep_their_dots(void **state)
{
    struct data_stream d;
    struct buf content;
    (void)state;
    buf_init(&content, 100);
    data_stream_init_chunked(&d, collect, &content);
    data_stream_mend(&d);
    assert_int_equal(data_stream_take(&d, SPAN("a\n.\n..b\n")), 8);
    data_stream_end(&d);
    assert_true(span_equal(buf_span(&content), SPAN("a\r\n.\r\n..b\r\n")));
    assert_int_equal(d.mended, 3);
    buf_clear(&content);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "data_stream: content ends with a dot alone on a line",
          content_ends_with_a_dot_alone_on_a_line, 0, 0, 0 },
        { "data_stream: what follows the end is left alone", what_follows_the_end_is_left_alone, 0,
          0, 0 },
        { "data_stream: an empty message ends at once", an_empty_message_ends_at_once, 0, 0, 0 },
        { "data_stream: stuffed dots are taken away (RFC 5321 s.4.5.2)",
          stuffed_dots_are_taken_away, 0, 0, 0 },
        { "data_stream: nothing but CRLF.CRLF ends data (pitfalls.md 7.1)",
          nothing_but_crlf_dot_crlf_ends_data, 0, 0, 0 },
        { "data_stream: behind a fault nothing is handed on, but counting goes on",
          behind_a_fault_nothing_is_handed_on, 0, 0, 0 },
        { "data_stream: Received fields are counted, in the header only",
          received_fields_are_counted_in_the_header_only, 0, 0, 0 },
        { "data_stream: without an empty line all is header", a_header_without_an_end_is_all_header,
          0, 0, 0 },
        { "data_stream: 8-bit content is noted", eight_bit_content_is_noted, 0, 0, 0 },
        { "data_stream: 8-bit headers are noted, those of MIME parts too",
          eight_bit_headers_are_noted_at_every_level, 0, 0, 0 },
        { "data_stream: an input without an end is handed on whole",
          an_input_without_an_end_is_handed_on_whole, 0, 0, 0 },
        { "data_stream: chunks have no dots to take away and no end of their own (RFC 3030 s.2)",
          chunks_have_no_dots_to_take_away_and_no_end, 0, 0, 0 },
        { "data_stream: chunks are judged as strictly (pitfalls.md 7.1)",
          chunks_are_judged_as_strictly, 0, 0, 0 },
        { "data_stream: a CR at the end of the last chunk is bare",
          a_cr_at_the_end_of_the_last_chunk_is_bare, 0, 0, 0 },
        { "data_stream: where it is mended a bare LF becomes CRLF", a_bare_lf_becomes_crlf, mend,
          mend_no_more, 0 },
        { "data_stream: nothing but CRLF.CRLF ends mended data (SRV-2)",
          nothing_but_the_true_end_ends_mended_data, mend, mend_no_more, 0 },
        { "data_stream: dots are unstuffed on mended lines too",
          dots_are_unstuffed_on_mended_lines_too, mend, mend_no_more, 0 },
        { "data_stream: a bare CR stays a fault", a_bare_cr_stays_a_fault, mend, mend_no_more, 0 },
        { "data_stream: chunks are mended and keep their dots",
          chunks_are_mended_and_keep_their_dots, 0, 0, 0 },
        { "data_stream: faults have names", faults_have_names, 0, 0, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
