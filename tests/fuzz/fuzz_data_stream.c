/*
 * fuzz_data_stream - content after DATA: however the input is cut, the same comes out; it has CRLF
 * line ends alone; and data_writer sends it so that data_stream reads it back.
 */
#include "lib/base/buf.h"
#include "lib/mail/data_writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CONTENT_MAX = 1 << 24 };

static void collect(void *ctx, struct span content)
{
    ensure(content.len > 0);
    ensure(buf_append(ctx, content));
}

static size_t read_in_steps(struct data_stream *d, struct span input, const uint8_t *steps,
                            size_t step_count, struct buf *out)
{
    size_t used = 0;

    data_stream_init(d, collect, out);
    for (size_t i = 0; used < input.len && !d->ended; i++) {
        size_t step = step_count ? steps[i % step_count] % 7u + 1 : input.len;
        used += data_stream_take(d, span_first(span_from(input, used), step));
    }
    return used;
}

static void check_same(const struct data_stream *a, const struct data_stream *b)
{
    ensure(a->ended == b->ended && a->fault == b->fault && a->bytes == b->bytes);
    ensure(a->lines == b->lines && a->longest_line == b->longest_line);
    ensure(a->header_bytes == b->header_bytes && a->received == b->received);
    ensure(a->in_header == b->in_header && a->eight_bit == b->eight_bit &&
           a->eight_bit_header == b->eight_bit_header);
    ensure(tls_required_says_no(&a->tls_required) == tls_required_says_no(&b->tls_required));
}

/* The end is exactly the first CRLF.CRLF, the beginning counting as a line's. */
static size_t true_end(struct span input)
{
    if (span_starts_with(input, SPAN(".\r\n")))
        return 3;
    for (size_t i = 0; i + 5 <= input.len; i++)
        if (span_starts_with(span_from(input, i), SPAN("\r\n.\r\n")))
            return i + 5;
    return 0;
}

static void check_goes_out(struct span content)
{
    struct data_stream again;
    struct data_writer writer;
    struct buf wire, back;

    buf_init(&wire, CONTENT_MAX);
    buf_init(&back, CONTENT_MAX);
    data_writer_init(&writer, collect, &wire);
    ensure(data_writer_put(&writer, span_first(content, content.len / 2)) == DATA_CLEAN);
    ensure(data_writer_put(&writer, span_from(content, content.len / 2)) == DATA_CLEAN);
    ensure(data_writer_finish(&writer) == DATA_CLEAN);
    ensure(read_in_steps(&again, buf_span(&wire), NULL, 0, &back) == buf_len(&wire));
    ensure(again.ended && again.fault == DATA_CLEAN);
    ensure(span_equal(buf_span(&back), content));
    buf_clear(&wire);
    buf_clear(&back);
}

/* Mended: the same end, however it is cut, and CRLF line ends alone come out. */
static void check_mended(struct span input, const uint8_t *steps)
{
    struct data_stream whole, parts;
    struct buf first, second;
    size_t used = 0;

    buf_init(&first, CONTENT_MAX);
    buf_init(&second, CONTENT_MAX);
    data_stream_init(&whole, collect, &first);
    data_stream_mend(&whole);
    ensure(data_stream_take(&whole, input) == (true_end(input) ? true_end(input) : input.len));
    data_stream_init(&parts, collect, &second);
    data_stream_mend(&parts);
    for (size_t i = 0; used < input.len && !parts.ended; i++)
        used += data_stream_take(&parts, span_first(span_from(input, used), steps[i % 4] % 7u + 1));
    check_same(&whole, &parts);
    ensure(whole.mended == parts.mended && whole.fault != DATA_BARE_LF);
    ensure(span_equal(buf_span(&first), buf_span(&second)));
    ensure(whole.fault != DATA_CLEAN || !whole.ended || whole.bytes == buf_len(&first));
    if (whole.ended && whole.fault == DATA_CLEAN)
        check_goes_out(buf_span(&first));
    buf_clear(&first);
    buf_clear(&second);
}

/* In chunks: all of it is content, and the same comes out however it is cut. */
static void check_chunked(struct span input, const uint8_t *steps)
{
    struct data_stream whole, parts;
    struct buf first, second;
    size_t used = 0;

    buf_init(&first, CONTENT_MAX);
    buf_init(&second, CONTENT_MAX);
    data_stream_init_chunked(&whole, collect, &first);
    ensure(data_stream_take(&whole, input) == input.len);
    data_stream_end(&whole);
    data_stream_init_chunked(&parts, collect, &second);
    for (size_t i = 0; used < input.len; i++)
        used += data_stream_take(&parts, span_first(span_from(input, used), steps[i % 4] % 7u + 1));
    data_stream_end(&parts);
    ensure(used == input.len && whole.bytes == input.len);
    check_same(&whole, &parts);
    ensure(span_equal(buf_span(&first), buf_span(&second)));
    ensure(whole.fault != DATA_CLEAN || span_equal(buf_span(&first), input));
    if (whole.fault == DATA_CLEAN && input.len >= 2 &&
        span_equal(span_from(input, input.len - 2), SPAN("\r\n")))
        check_goes_out(input);
    buf_clear(&first);
    buf_clear(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct data_stream whole, parts;
    struct buf first, second;
    struct span input;
    size_t used, again;

    if (size < 4)
        return 0;
    input = (struct span){ (const char *)data + 4, size - 4 };
    buf_init(&first, CONTENT_MAX);
    buf_init(&second, CONTENT_MAX);
    used = read_in_steps(&whole, input, NULL, 0, &first);
    again = read_in_steps(&parts, input, data, 4, &second);
    ensure(used == again);
    check_same(&whole, &parts);
    ensure(span_equal(buf_span(&first), buf_span(&second)));
    ensure(whole.ended == (true_end(input) > 0) && (!whole.ended || used == true_end(input)));
    if (whole.ended && whole.fault == DATA_CLEAN)
        check_goes_out(buf_span(&first));
    check_chunked(input, data);
    check_mended(input, data);
    buf_clear(&first);
    buf_clear(&second);
    return 0;
}
