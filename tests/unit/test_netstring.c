#include "lib/mail/netstring.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/memory.h"
#include "tests/support/test.h"

static struct span payload;
static size_t used;

static enum netstring_state read_it(struct span input)
{
    payload = SPAN("before");
    used = 4711;
    return netstring_read(input, 10000, &payload, &used);
}

static void a_whole_one_gives_its_bytes_and_its_length(void **state)
{
    (void)state;
    assert_int_equal(read_it(SPAN("17:QUERY example.com,")), NETSTRING_WHOLE);
    assert_true(span_equal(payload, SPAN("QUERY example.com")));
    assert_int_equal(used, 21);
    assert_int_equal(read_it(SPAN("3:a:,,1:b,")), NETSTRING_WHOLE);
    assert_true(span_equal(payload, SPAN("a:,")));
    assert_int_equal(used, 6);
}

static void an_empty_one_is_one(void **state)
{
    (void)state;
    assert_int_equal(read_it(SPAN("0:,")), NETSTRING_WHOLE);
    assert_int_equal(payload.len, 0);
    assert_int_equal(used, 3);
}

static void any_byte_may_be_in_it(void **state)
{
    (void)state;
    char text[3 + 4 + 256 + 1] = "256:";
    for (int i = 0; i < 256; i++)
        text[4 + i] = (char)i;
    text[4 + 256] = ',';
    assert_int_equal(read_it((struct span){ text, 4 + 256 + 1 }), NETSTRING_WHOLE);
    assert_int_equal(payload.len, 256);
    assert_memory_equal(payload.data, text + 4, 256);
}

static void cut_anywhere_more_has_to_come(void **state)
{
    (void)state;
    struct span whole = SPAN("17:QUERY example.com,");
    for (size_t len = 0; len < whole.len; len++) {
        assert_int_equal(read_it(span_first(whole, len)), NETSTRING_PART);
        assert_int_equal(used, 4711);
    }
}

static void what_does_not_end_with_a_comma_is_wrong(void **state)
{
    (void)state;
    assert_int_equal(read_it(SPAN("3:abcd")), NETSTRING_WRONG);
    assert_int_equal(read_it(SPAN("0:0")), NETSTRING_WRONG);
}

static void a_length_is_digits_without_leading_zeros(void **state)
{
    static const char *const wrong[] = { ":,",    "a",      "QUERY example.com\n",
                                         "1a:b,", "-1:,",   "+1:a,",
                                         " 1:a,", "01:a,",  "00:,",
                                         "00",    "1 :a,",  "\n1:a,",
                                         "{",     "1.0:a,", "GET / HTTP/1.0\r\n",
                                         "1,:a,", "0x1:a," };
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(read_it(span_of(wrong[i])), NETSTRING_WRONG);
    assert_int_equal(read_it((struct span){ "1\0:a,", 5 }), NETSTRING_WRONG);
}

static void more_than_six_digits_are_not_waited_for(void **state)
{
    (void)state;
    assert_int_equal(read_it(SPAN("123456")), NETSTRING_PART);
    assert_int_equal(read_it(SPAN("1234567")), NETSTRING_WRONG);
    assert_int_equal(read_it(SPAN("1234567:")), NETSTRING_WRONG);
}

static void what_is_too_long_is_wrong_before_its_bytes_come(void **state)
{
    (void)state;
    assert_int_equal(read_it(SPAN("10000:")), NETSTRING_PART);
    assert_int_equal(read_it(SPAN("10001:")), NETSTRING_WRONG);
    char *text = memory_new(6 + 10000 + 1);
    memcpy(text, "10000:", 6);
    memset(text + 6, 'x', 10000);
    text[6 + 10000] = ',';
    assert_int_equal(read_it((struct span){ text, 6 + 10000 + 1 }), NETSTRING_WHOLE);
    assert_int_equal(payload.len, 10000);
    free(text);
}

static void what_is_written_is_what_the_rules_show(void **state)
{
    struct buf out;
    (void)state;
    buf_init(&out, 100);
    assert_true(netstring_write(SPAN("NOTFOUND "), &out));
    assert_true(netstring_write(SPAN("TEMP dns failure"), &out));
    assert_true(netstring_write(SPAN(""), &out));
    assert_true(span_equal(buf_span(&out), SPAN("9:NOTFOUND ,16:TEMP dns failure,0:,")));
    buf_clear(&out);
}

static void without_room_nothing_is_written(void **state)
{
    struct buf out;
    (void)state;
    buf_init(&out, 8);
    assert_true(netstring_write(SPAN("hello"), &out));
    assert_false(netstring_write(SPAN(""), &out));
    assert_true(span_equal(buf_span(&out), SPAN("5:hello,")));
    buf_clear(&out);
}

#define TEST(sentence, function)                                                                   \
    {                                                                                              \
        sentence, function, NULL, NULL, NULL                                                       \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("netstring: a whole one gives its bytes and its length (MAP-1)",
             a_whole_one_gives_its_bytes_and_its_length),
        TEST("netstring: an empty one is one (MAP-90)", an_empty_one_is_one),
        TEST("netstring: any byte may be in it (MAP-2)", any_byte_may_be_in_it),
        TEST("netstring: cut anywhere, more has to come (MAP-3)", cut_anywhere_more_has_to_come),
        TEST("netstring: what does not end with a comma is wrong (MAP-2)",
             what_does_not_end_with_a_comma_is_wrong),
        TEST("netstring: a length is digits without leading zeros (MAP-1)",
             a_length_is_digits_without_leading_zeros),
        TEST("netstring: more than six digits are not waited for (MAP-2)",
             more_than_six_digits_are_not_waited_for),
        TEST("netstring: what is too long is wrong before its bytes come (MAP-2)",
             what_is_too_long_is_wrong_before_its_bytes_come),
        TEST("netstring: what is written is what the rules show (MAP-13)",
             what_is_written_is_what_the_rules_show),
        TEST("netstring: without room nothing is written", without_room_nothing_is_written),
    };
    return cmocka_run_group_tests_name("netstring", tests, NULL, NULL);
}
