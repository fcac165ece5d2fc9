#include "tests/support/test.h"

#include "lib/base/buf.h"
#include "lib/mail/dkim_body.h"

#include <stdlib.h>
#include <string.h>

static void gather(void *ctx, struct span canonical)
{
    assert_true(canonical.len > 0);
    assert_true(buf_append(ctx, canonical));
}

/* The canonical form of a body that comes in pieces of `size` octets. */
static void canonical(struct span body, enum dkim_canon canon, size_t size, struct buf *out)
{
    struct dkim_body b;

    buf_init(out, 1024 * 1024);
    dkim_body_init(&b, canon, gather, out);
    for (; body.len > 0; body = span_from(body, size))
        dkim_body_add(&b, span_first(body, size));
    dkim_body_end(&b);
}

static void check_span(struct span body, enum dkim_canon canon, struct span wanted)
{
    struct buf out;

    for (size_t size = 1; size <= body.len + 1; size++) {
        canonical(body, canon, size, &out);
        assert_int_equal(buf_len(&out), wanted.len);
        assert_memory_equal(buf_span(&out).data, wanted.data, wanted.len);
        buf_clear(&out);
    }
}

static void check(const char *body, const char *simple, const char *relaxed)
{
    check_span(span_of(body), DKIM_SIMPLE, span_of(simple));
    check_span(span_of(body), DKIM_RELAXED, span_of(relaxed));
}

static void the_example_of_the_rfc(void **state)
{
    (void)state;
    check(" C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n", " C\r\nD E\r\n");
}

static void an_empty_body_is_a_line_end_or_nothing(void **state)
{
    (void)state;
    check("", "\r\n", "");
    check("\r\n", "\r\n", "");
    check("\r\n\r\n\r\n", "\r\n", "");
}

static void lines_of_blanks_are_empty_with_relaxed_alone(void **state)
{
    (void)state;
    check("  \r\n\t\r\n", "  \r\n\t\r\n", "");
    check(" ", " \r\n", "");
    check("a\r\n \r\n\t", "a\r\n \r\n\t\r\n", "a\r\n");
    check(" \r\na\r\n", " \r\na\r\n", "\r\na\r\n");
}

static void a_body_without_its_last_line_end_gets_one(void **state)
{
    (void)state;
    check("abc", "abc\r\n", "abc\r\n");
    check("abc ", "abc \r\n", "abc\r\n");
    check("a\r\n\r\nb", "a\r\n\r\nb\r\n", "a\r\n\r\nb\r\n");
}

static void empty_lines_within_stay(void **state)
{
    (void)state;
    check("\r\n\r\na\r\n\r\n\r\nb\r\n\r\n", "\r\n\r\na\r\n\r\n\r\nb\r\n",
          "\r\n\r\na\r\n\r\n\r\nb\r\n");
}

static void runs_of_blanks_become_one_and_go_at_a_lines_end(void **state)
{
    (void)state;
    check("Hello  you \r\n\tend\r\n\r\n\r\n", "Hello  you \r\n\tend\r\n", "Hello you\r\n end\r\n");
    check("a \t b\t\tc\td \t\r\n", "a \t b\t\tc\td \t\r\n", "a b c d\r\n");
    check("   a\r\n", "   a\r\n", " a\r\n");
    check("a b\r\n", "a b\r\n", "a b\r\n");
}

static void only_space_and_tab_are_blanks(void **state)
{
    (void)state;
    check("a\v\f\xc2\xa0\r\n", "a\v\f\xc2\xa0\r\n", "a\v\f\xc2\xa0\r\n");
    check_span((struct span){ "a\0 \0\r\n", 6 }, DKIM_RELAXED, (struct span){ "a\0 \0\r\n", 6 });
}

static void a_bare_cr_or_lf_is_an_octet_like_others(void **state)
{
    (void)state;
    check("a\rb\r\n", "a\rb\r\n", "a\rb\r\n");
    check("a\r\r\n", "a\r\r\n", "a\r\r\n");
    check("a \r\r\n", "a \r\r\n", "a \r\r\n");
    check("a \rb", "a \rb\r\n", "a \rb\r\n");
    check("a\r", "a\r\r\n", "a\r\r\n");
    check(" \r", " \r\r\n", " \r\r\n");
    check("\r", "\r\r\n", "\r\r\n");
    check("a\n\nb \n", "a\n\nb \n\r\n", "a\n\nb \n\r\n");
    check("\r\n\r", "\r\n\r\r\n", "\r\n\r\r\n");
}

static void what_is_long_passes_as_it_is(void **state)
{
    static char body[20000];
    (void)state;

    memset(body, 'x', sizeof(body));
    memcpy(body + 9000, "\r\n", 2);
    memcpy(body + 9004, "\r\n", 2);
    memcpy(body + sizeof(body) - 2, "\r\n", 2);
    for (size_t size = 4000; size <= sizeof(body); size += 4000) {
        struct buf out;
        canonical((struct span){ body, sizeof(body) }, DKIM_RELAXED, size, &out);
        assert_int_equal(buf_len(&out), sizeof(body));
        assert_memory_equal(buf_span(&out).data, body, sizeof(body));
        buf_clear(&out);
    }
}

static void a_blank_is_found_wherever_it_stands_in_a_long_line(void **state)
{
    char body[64];
    char wanted[64];
    (void)state;

    for (size_t at = 1; at < 60; at++) {
        memset(body, 'x', sizeof(body));
        memset(wanted, 'x', sizeof(wanted));
        memcpy(body + at, " \t", 2);
        wanted[at] = ' ';
        memcpy(body + 62, "\r\n", 2);
        memcpy(wanted + 61, "\r\n", 2);
        check_span((struct span){ body, 64 }, DKIM_RELAXED, (struct span){ wanted, 63 });
    }
}

/* Line by line, as the RFC says it, to compare with: what comes in is whole. */
static void by_the_book(struct span body, struct buf *out)
{
    struct buf line;
    uint64_t empty = 0;

    buf_init(out, 1024 * 1024);
    buf_init(&line, 1024 * 1024);
    while (body.len > 0) {
        const char *end = memmem(body.data, body.len, "\r\n", 2);
        struct span whole = span_first(body, end ? (size_t)(end - body.data) : body.len);
        buf_reset(&line);
        for (size_t i = 0; i < whole.len; i++) {
            bool blank = whole.data[i] == ' ' || whole.data[i] == '\t';
            bool again = blank && i > 0 && (whole.data[i - 1] == ' ' || whole.data[i - 1] == '\t');
            if (!again)
                assert_true(
                    buf_append(&line, blank ? SPAN(" ") : (struct span){ whole.data + i, 1 }));
        }
        struct span text = buf_span(&line);
        if (text.len > 0 && text.data[text.len - 1] == ' ')
            text.len--;
        if (text.len > 0) {
            for (; empty > 0; empty--)
                assert_true(buf_append(out, SPAN("\r\n")));
            assert_true(buf_append(out, text) && buf_append(out, SPAN("\r\n")));
        } else {
            empty++;
        }
        body = span_from(body, whole.len + 2);
    }
    buf_clear(&line);
}

static void ten_thousand_bodies_fare_as_by_the_book(void **state)
{
    static const char octets[] = "ab  \t\r\n";
    char body[48];
    unsigned seed = 1;
    (void)state;

    for (int round = 0; round < 10000; round++) {
        struct buf wanted, got;
        size_t len = 0;
        while (len < sizeof(body) - 2 && rand_r(&seed) % 40 != 0) {
            char octet = octets[(unsigned)rand_r(&seed) % 6];
            body[len++] = octet;
            if (octet == '\r')
                body[len++] = '\n';
        }
        by_the_book((struct span){ body, len }, &wanted);
        canonical((struct span){ body, len }, DKIM_RELAXED, 1 + (unsigned)rand_r(&seed) % 20, &got);
        assert_int_equal(buf_len(&got), buf_len(&wanted));
        assert_memory_equal(buf_span(&got).data, buf_span(&wanted).data, buf_len(&got));
        buf_clear(&wanted);
        buf_clear(&got);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "dkim_body: the example of RFC 6376 s.3.4.5", the_example_of_the_rfc, 0, 0, 0 },
        { "dkim_body: an empty body is a line end with simple and nothing with relaxed",
          an_empty_body_is_a_line_end_or_nothing, 0, 0, 0 },
        { "dkim_body: lines of blanks are empty with relaxed alone",
          lines_of_blanks_are_empty_with_relaxed_alone, 0, 0, 0 },
        { "dkim_body: a body without its last line end gets one",
          a_body_without_its_last_line_end_gets_one, 0, 0, 0 },
        { "dkim_body: empty lines within stay", empty_lines_within_stay, 0, 0, 0 },
        { "dkim_body: relaxed: runs of blanks become one and go at a line's end",
          runs_of_blanks_become_one_and_go_at_a_lines_end, 0, 0, 0 },
        { "dkim_body: only space and tab are blanks", only_space_and_tab_are_blanks, 0, 0, 0 },
        { "dkim_body: a bare CR or LF is an octet like others",
          a_bare_cr_or_lf_is_an_octet_like_others, 0, 0, 0 },
        { "dkim_body: what is long passes as it is, whatever the pieces",
          what_is_long_passes_as_it_is, 0, 0, 0 },
        { "dkim_body: a blank is found wherever it stands in a long line",
          a_blank_is_found_wherever_it_stands_in_a_long_line, 0, 0, 0 },
        { "dkim_body: ten thousand bodies in any pieces fare as by the book",
          ten_thousand_bodies_fare_as_by_the_book, 0, 0, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
