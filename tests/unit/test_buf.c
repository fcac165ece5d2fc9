#include "tests/support/test.h"

#include <string.h>

#include "lib/base/buf.h"

static void what_is_appended_comes_out_in_order(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 100);
    assert_true(buf_append(&b, SPAN("hello ")));
    assert_true(buf_printf(&b, "%d", 42));
    assert_true(span_equal(buf_span(&b), SPAN("hello 42")));
    buf_consume(&b, 6);
    assert_true(span_equal(buf_span(&b), SPAN("42")));
    buf_consume(&b, 2);
    assert_int_equal(buf_len(&b), 0);
    buf_clear(&b);
}

static void nothing_goes_beyond_the_cap(void **state)
{
    struct buf b;
    size_t room;
    (void)state;
    buf_init(&b, 10);
    assert_true(buf_append(&b, SPAN("0123456789")));
    assert_false(buf_append(&b, SPAN("x")));
    assert_true(span_equal(buf_span(&b), SPAN("0123456789")));
    buf_consume(&b, 5);
    assert_true(buf_append(&b, SPAN("abcde"))); /* room at the front is used */
    assert_true(span_equal(buf_span(&b), SPAN("56789abcde")));
    assert_null(buf_reserve(&b, 1, &room));
    assert_false(buf_printf(&b, "long text"));
    buf_clear(&b);
}

static void a_huge_wish_does_not_overflow(void **state)
{
    struct buf b;
    size_t room;
    (void)state;
    buf_init(&b, 1000);
    assert_true(buf_append(&b, SPAN("x")));
    assert_null(buf_reserve(&b, SIZE_MAX, &room));
    buf_clear(&b);
}

/* A long queue of which little goes at a time is not moved as a whole each time. */
static void what_is_held_is_moved_seldom(void **state)
{
    struct buf b;
    unsigned moved = 0;
    size_t room;
    (void)state;
    buf_init(&b, 1 << 20);
    assert_non_null(buf_reserve(&b, 10000, &room));
    memset(b.base, 'x', 10000);
    buf_commit(&b, 10000);
    for (int i = 0; i < 100000; i++) {
        size_t start = b.start;
        assert_true(buf_append(&b, SPAN("ten bytes.")));
        moved += b.start < start;
        buf_consume(&b, 10);
    }
    assert_in_range(moved, 1, 100);
    assert_in_range(b.size, 10010, 65536);
    buf_clear(&b);
}

static void many_rounds_keep_the_memory_small(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 10000; i++) {
        assert_true(buf_append(&b, SPAN("twenty bytes of text")));
        if (i > 0)
            buf_consume(&b, 20);
    }
    assert_true(b.size <= 1024);
    assert_int_equal(buf_len(&b), 20);
    buf_clear(&b);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "buf: what is appended comes out in order", what_is_appended_comes_out_in_order, 0, 0,
          0 },
        { "buf: nothing goes beyond the cap", nothing_goes_beyond_the_cap, 0, 0, 0 },
        { "buf: a huge wish does not overflow", a_huge_wish_does_not_overflow, 0, 0, 0 },
        { "buf: what is held is moved seldom", what_is_held_is_moved_seldom, 0, 0, 0 },
        { "buf: many rounds keep the memory small", many_rounds_keep_the_memory_small, 0, 0, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
