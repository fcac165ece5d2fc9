#include "lib/base/base64.h"

#include "tests/support/test.h"

static void bytes_come_back(void **state)
{
    static const char *const pairs[][2] = {
        { "", "" },
        { "f", "Zg==" },
        { "fo", "Zm8=" },
        { "foo", "Zm9v" },
        { "foob", "Zm9vYg==" },
        { "fooba", "Zm9vYmE=" },
        { "\xff\xff\xfe", "///+" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct buf text, bytes;
        buf_init(&text, 64);
        buf_init(&bytes, 64);
        assert_true(base64_encode(span_of(pairs[i][0]), &text));
        assert_true(span_equal(buf_span(&text), span_of(pairs[i][1])));
        assert_true(base64_decode(buf_span(&text), &bytes));
        assert_true(span_equal(buf_span(&bytes), span_of(pairs[i][0])));
        buf_clear(&text);
        buf_clear(&bytes);
    }
}

static void what_is_not_base64_is_refused(void **state)
{
    static const char *const wrong[] = {
        "Z",     "Zg",   "Zg=",   "Zg===", "====", "=",    "A===",  "Zg==Zg==",   "Z=g=",
        "Zm9v ", "Zm 9", "Zm9\n", "Zh==",  "Zm9=", "Zm-_", "Zm9v=", "\xc3\xa4z=",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct buf bytes;
        buf_init(&bytes, 64);
        if (base64_decode(span_of(wrong[i]), &bytes))
            fail_msg("taken: \"%s\"", wrong[i]);
        assert_int_equal(buf_len(&bytes), 0);
        buf_clear(&bytes);
    }
}

static void nothing_grows_beyond_its_cap(void **state)
{
    struct buf small;

    (void)state;
    buf_init(&small, 4);
    assert_true(base64_encode(SPAN("abc"), &small));
    assert_false(base64_encode(SPAN("d"), &small));
    assert_false(base64_decode(SPAN("YWJj"), &small));
    assert_int_equal(buf_len(&small), 4);
    buf_clear(&small);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "bytes come back from their letters (RFC 4648 s.10)", bytes_come_back, NULL, NULL, NULL },
        { "foreign bytes, misplaced '=' and stray bits are refused (RFC 4648 s.3)",
          what_is_not_base64_is_refused, NULL, NULL, NULL },
        { "nothing grows beyond its cap", nothing_grows_beyond_its_cap, NULL, NULL, NULL },
    };

    return cmocka_run_group_tests_name("base64", tests, NULL, NULL);
}
