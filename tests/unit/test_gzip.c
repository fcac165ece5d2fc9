#include "tests/support/test.h"

#include "lib/io/gzip.h"

#include <stdio.h>
#include <string.h>

/* 100 MiB of blanks come to 100 KiB. */
enum { BOMB_KIB = 100 * 1024, ROOM = 4 * 1024 * 1024 };

static void pack(struct buf *out, struct span text)
{
    struct gzip *gzip = gzip_new(out);
    assert_true(gzip_write(gzip, text));
    assert_true(gzip_end(&gzip));
    assert_null(gzip);
}

static enum gzip_verdict unpack(struct span packed, struct buf *out, size_t *used)
{
    buf_clear(out);
    buf_init(out, ROOM);
    return gzip_unpack(packed, out, used);
}

static void what_is_packed_comes_out_again(void **state)
{
    const struct span text = SPAN("{\"a\": 1}\n");
    struct buf packed, plain;
    size_t used;
    (void)state;
    buf_init(&packed, ROOM);
    buf_init(&plain, ROOM);
    assert_true(buf_append(&packed, SPAN("before")));
    pack(&packed, text);
    buf_consume(&packed, 6);
    assert_true(gzip_is_packed(buf_span(&packed)));
    assert_false(gzip_is_packed(text));
    assert_false(gzip_is_packed(SPAN("\x1f")));
    assert_int_equal(unpack(buf_span(&packed), &plain, &used), GZIP_WHOLE);
    assert_true(span_equal(buf_span(&plain), text));
    assert_int_equal(used, buf_len(&packed));
    buf_clear(&packed);
    buf_clear(&plain);
}

static void the_same_bytes_give_the_same_file(void **state)
{
    struct buf one, two;
    (void)state;
    buf_init(&one, ROOM);
    buf_init(&two, ROOM);
    pack(&one, SPAN("abc"));
    pack(&two, SPAN("abc"));
    assert_true(span_equal(buf_span(&one), buf_span(&two)));
    buf_clear(&one);
    buf_clear(&two);
}

static void a_large_file_is_packed_in_pieces(void **state)
{
    struct buf packed, plain;
    struct gzip *gzip;
    char line[64];
    size_t used, total = 0;
    (void)state;
    buf_init(&packed, ROOM);
    buf_init(&plain, ROOM);
    gzip = gzip_new(&packed);
    for (unsigned i = 0; i < 50000; i++) {
        snprintf(line, sizeof(line), "line %u %u\n", i, i * 2654435761u);
        total += strlen(line);
        assert_true(gzip_write(gzip, span_of(line)));
    }
    assert_true(gzip_write(gzip, SPAN("")));
    assert_true(gzip_end(&gzip));
    assert_int_equal(unpack(buf_span(&packed), &plain, &used), GZIP_WHOLE);
    assert_int_equal(buf_len(&plain), total);
    assert_memory_equal(buf_span(&plain).data, "line 0 0\nline 1 ", 16);
    buf_clear(&packed);
    buf_clear(&plain);
}

static void no_room_is_said(void **state)
{
    struct buf packed;
    struct gzip *gzip;
    char noise[4096];
    bool ok = true;
    (void)state;
    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (char)(i * i * 2654435761u >> 13);
    buf_init(&packed, 20);
    gzip = gzip_new(&packed);
    for (unsigned i = 0; i < 1000 && ok; i++)
        ok = gzip_write(gzip, (struct span){ noise, sizeof(noise) });
    assert_false(ok);
    assert_false(gzip_write(gzip, SPAN("more")));
    assert_false(gzip_end(&gzip));
    assert_int_equal(buf_len(&packed), 20);
    buf_clear(&packed);
    gzip = gzip_new(&packed);
    gzip_free(&gzip);
    assert_null(gzip);
    gzip_free(&gzip);
}

static void a_bomb_costs_no_more_than_the_buffer(void **state)
{
    struct buf packed, plain;
    struct gzip *gzip;
    static char kib[1024];
    size_t used;
    (void)state;
    buf_init(&packed, ROOM);
    buf_init(&plain, ROOM);
    gzip = gzip_new(&packed);
    for (unsigned i = 0; i < BOMB_KIB; i++)
        assert_true(gzip_write(gzip, (struct span){ kib, sizeof(kib) }));
    assert_true(gzip_end(&gzip));
    assert_int_equal(unpack(buf_span(&packed), &plain, &used), GZIP_TOO_LARGE);
    assert_int_equal(buf_len(&plain), ROOM);
    assert_true(plain.size <= ROOM);
    buf_clear(&packed);
    buf_clear(&plain);
}

static void what_just_fits_is_whole(void **state)
{
    struct buf packed, plain;
    static char text[1000];
    size_t used;
    (void)state;
    buf_init(&packed, ROOM);
    pack(&packed, (struct span){ text, sizeof(text) });
    buf_init(&plain, sizeof(text));
    assert_int_equal(gzip_unpack(buf_span(&packed), &plain, &used), GZIP_WHOLE);
    assert_int_equal(used, buf_len(&packed));
    buf_clear(&plain);
    buf_init(&plain, sizeof(text) - 1);
    assert_int_equal(gzip_unpack(buf_span(&packed), &plain, &used), GZIP_TOO_LARGE);
    buf_clear(&plain);
    buf_init(&plain, sizeof(text));
    assert_int_equal(
        gzip_unpack(span_first(buf_span(&packed), buf_len(&packed) - 1), &plain, &used),
        GZIP_CUT_OFF);
    buf_clear(&plain);
    buf_init(&plain, sizeof(text));
    packed.base[packed.end - 8] ^= 1; /* the checksum */
    assert_int_equal(gzip_unpack(buf_span(&packed), &plain, &used), GZIP_DAMAGED);
    buf_clear(&packed);
    buf_clear(&plain);
}

static void a_file_may_have_several_members(void **state)
{
    struct buf packed, plain;
    size_t used;
    (void)state;
    buf_init(&packed, ROOM);
    buf_init(&plain, ROOM);
    pack(&packed, SPAN("one "));
    pack(&packed, SPAN("two"));
    size_t whole = buf_len(&packed);
    assert_true(buf_append(&packed, SPAN("\r\n-- garbage")));
    assert_int_equal(unpack(buf_span(&packed), &plain, &used), GZIP_WHOLE);
    assert_true(span_equal(buf_span(&plain), SPAN("one two")));
    assert_int_equal(used, whole);
    buf_clear(&packed);
    buf_clear(&plain);
}

static void every_cut_and_every_flipped_byte_is_noticed(void **state)
{
    struct buf packed, plain;
    size_t used;
    (void)state;
    buf_init(&packed, ROOM);
    buf_init(&plain, ROOM);
    pack(&packed, SPAN("abcabcabcabc, and so on"));
    for (size_t len = 0; len < buf_len(&packed); len++)
        assert_int_equal(unpack(span_first(buf_span(&packed), len), &plain, &used), GZIP_CUT_OFF);
    for (size_t at = 10; at < buf_len(&packed); at++) { /* behind the header */
        packed.base[packed.start + at] ^= 0x55;
        assert_int_not_equal(unpack(buf_span(&packed), &plain, &used), GZIP_WHOLE);
        packed.base[packed.start + at] ^= 0x55;
    }
    assert_int_equal(unpack(SPAN("{\"a\": 1}"), &plain, &used), GZIP_DAMAGED);
    assert_int_equal(unpack(SPAN("\x1f\x8b\x08 and then nothing like it ....."), &plain, &used),
                     GZIP_DAMAGED);
    buf_clear(&packed);
    buf_clear(&plain);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "gzip: what is packed comes out again", what_is_packed_comes_out_again, 0, 0, 0 },
        { "gzip: the same bytes give the same file", the_same_bytes_give_the_same_file, 0, 0, 0 },
        { "gzip: a large file is packed in pieces", a_large_file_is_packed_in_pieces, 0, 0, 0 },
        { "gzip: want of room is said, and nothing more is written", no_room_is_said, 0, 0, 0 },
        { "gzip: a bomb costs no more than the buffer it goes to",
          a_bomb_costs_no_more_than_the_buffer, 0, 0, 0 },
        { "gzip: what just fits is whole, a byte more is too large", what_just_fits_is_whole, 0, 0,
          0 },
        { "gzip: a file may have several members, and something else behind them",
          a_file_may_have_several_members, 0, 0, 0 },
        { "gzip: every cut and every flipped byte is noticed",
          every_cut_and_every_flipped_byte_is_noticed, 0, 0, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
