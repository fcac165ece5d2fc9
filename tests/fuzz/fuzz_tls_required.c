/*
 * fuzz_tls_required - a header is read for TLS-Required as lib/mail/header_fields takes it apart,
 * however its lines are cut.
 */
#include "lib/base/buf.h"
#include "lib/base/error.h"
#include "lib/mail/header_fields.h"
#include "lib/mail/tls_required.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEADER_MAX = 1 << 20 };

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct span trimmed(struct span s)
{
    while (s.len > 0 && is_blank(s.data[0]))
        s = span_from(s, 1);
    while (s.len > 0 && is_blank(s.data[s.len - 1]))
        s.len--;
    return s;
}

static bool says_no_by_fields(struct span block)
{
    struct header_fields fields = { .rest = block };
    struct header_field field;
    unsigned count = 0;
    bool says_no = false;

    while (header_fields_next(&fields, &field)) {
        if (!span_equal_nocase(field.name, SPAN(TLS_REQUIRED_FIELD)))
            continue;
        says_no = span_equal_nocase(trimmed(field.body), SPAN("No"));
        count++;
    }
    return count == 1 && says_no;
}

static void take(struct tls_required *t, struct span line, size_t step)
{
    for (; line.len > 0; line = span_from(line, step))
        tls_required_take(t, span_first(line, step));
    tls_required_end_line(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = { (const char *)data, size };
    struct tls_required whole = { .count = 0 }, cut = { .count = 0 };
    struct span line;
    struct buf block;

    buf_init(&block, HEADER_MAX);
    while (span_cut(&input, '\n', &line)) {
        if (span_find(line, '\r') < line.len || !buf_append(&block, line) ||
            !buf_append(&block, SPAN("\r\n")))
            break;
        take(&whole, line, line.len + 1);
        take(&cut, line, size % 5 + 1);
    }
    if (input.len == 0) {
        ensure(tls_required_says_no(&whole) == says_no_by_fields(buf_span(&block)));
        ensure(tls_required_says_no(&cut) == tls_required_says_no(&whole));
    }
    buf_clear(&block);
    return 0;
}
