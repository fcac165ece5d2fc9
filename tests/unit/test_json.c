#include "lib/base/json.h"
#include "tests/support/test.h"

#include <string.h>

static void assert_written(const struct json *value, const char *want)
{
    struct buf text;

    buf_init(&text, 4096);
    assert_true(json_write(value, JSON_ON_ONE_LINE, &text));
    assert_int_equal(buf_len(&text), strlen(want));
    assert_memory_equal(buf_span(&text).data, want, strlen(want));
    buf_clear(&text);
}

static void members_keep_their_order(void **state)
{
    struct json *o = json_new_object();
    struct json *list;

    (void)state;
    json_add_string(o, "zeta", "z");
    json_add_number(o, "alpha", -5);
    json_add_bool(o, "flag", true);
    json_add_string(o, "nothing", NULL);
    list = json_add_array(o, "list");
    json_append_number(list, INT64_MAX);
    json_append_text(list, SPAN("a\"\n"));
    json_add_number(json_append_object(list), "deep", 1);
    assert_written(o, "{\"zeta\":\"z\",\"alpha\":-5,\"flag\":true,\"nothing\":null,"
                      "\"list\":[9223372036854775807,\"a\\\"\\n\",{\"deep\":1}]}");
    json_free(&o);
    assert_null(o);
}

static void bytes_that_are_not_utf8_are_replaced_one_by_one(void **state)
{
    struct json *list = json_new_array();

    (void)state;
    json_append_text(list, SPAN("a\xff\xc0\x80z"));
    json_append_text(list, SPAN("gr\xc3\xbc\xc3"));
    json_append_text(list, SPAN("\xed\xa0\x80"));
    assert_written(list, "[\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\","
                         "\"gr\xc3\xbc\xef\xbf\xbd\","
                         "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"]");
    json_free(&list);
}

static void noncharacters_are_replaced(void **state)
{
    struct json *list = json_new_array();

    (void)state;
    json_append_text(list, SPAN("a\xef\xbf\xbe"));                            /* U+FFFE */
    json_append_text(list, SPAN("\xef\xb7\x90z"));                            /* U+FDD0 */
    json_append_text(list, SPAN("\xf4\x8f\xbf\xbf"));                         /* U+10FFFF */
    json_append_text(list, SPAN("\xef\xb7\x8f\xef\xb7\xb0\xf0\x9f\xbf\xbd")); /* neighbours */
    assert_written(list, "[\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\","
                         "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\","
                         "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\","
                         "\"\xef\xb7\x8f\xef\xb7\xb0\xf0\x9f\xbf\xbd\"]");
    json_free(&list);
}

static void a_nul_in_a_text_is_escaped(void **state)
{
    struct json *list = json_new_array();

    (void)state;
    json_append_text(list, (struct span){ "a\0b", 3 });
    assert_written(list, "[\"a\\u0000b\"]");
    json_free(&list);
}

static void a_buffer_that_is_too_small_gets_nothing_wrong(void **state)
{
    struct json *o = json_new_object();
    struct buf text;

    (void)state;
    json_add_string(o, "key", "a value that is too long");
    buf_init(&text, 10);
    assert_false(json_write(o, JSON_ON_ONE_LINE, &text));
    buf_clear(&text);
    json_free(&o);
}

static void what_was_written_is_read_back(void **state)
{
    struct json *o = NULL;
    struct error *err;
    void *cursor = NULL;
    const char *key;

    (void)state;
    err = json_parse(SPAN("{\"a\": [1, \"two\", null], \"b\": true}"), &o);
    assert_null(err);
    assert_int_equal(json_kind_of(o), JSON_KIND_OBJECT);
    assert_int_equal(json_count(json_get(o, "a")), 3);
    assert_int_equal(json_number(json_item(json_get(o, "a"), 0)), 1);
    assert_true(span_equal(json_text(json_item(json_get(o, "a"), 1)), SPAN("two")));
    assert_int_equal(json_kind_of(json_item(json_get(o, "a"), 2)), JSON_KIND_NULL);
    assert_true(json_bool(json_get(o, "b")));
    assert_non_null(json_next(o, &cursor, &key));
    assert_string_equal(key, "a");
    assert_non_null(json_next(o, &cursor, &key));
    assert_string_equal(key, "b");
    assert_null(json_next(o, &cursor, &key));
    json_free(&o);
}

static void what_is_not_there_is_empty(void **state)
{
    struct json *o = json_new_object();

    (void)state;
    assert_null(json_get(o, "missing"));
    assert_null(json_get(NULL, "missing"));
    assert_int_equal(json_count(o), 0);
    assert_int_equal(json_number(json_get(o, "missing")), 0);
    assert_int_equal(json_text(json_get(o, "missing")).len, 0);
    assert_false(json_bool(json_get(o, "missing")));
    json_free(&o);
}

static void assert_refused(struct span text)
{
    struct json *value = NULL;
    struct error *err = json_parse(text, &value);

    assert_non_null(err);
    assert_null(value);
    error_free(&err);
}

static void nonsense_is_refused(void **state)
{
    char deep[2 * 65];

    (void)state;
    assert_refused(SPAN(""));
    assert_refused(SPAN("{\"a\":1,\"a\":2}"));
    assert_refused(SPAN("[1] 2"));
    assert_refused(SPAN("[\"\xff\"]"));
    memset(deep, '[', 65);
    memset(deep + 65, ']', 65);
    assert_refused((struct span){ deep, sizeof(deep) });
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

static struct error *parse_front(struct span text, size_t values, struct json **out,
                                 struct json_found *out_found)
{
    const struct json_bounds bounds = { 100, values };

    return json_parse_front(text, &bounds, out, out_found);
}

static void the_front_of_what_others_wrote_is_read(void **state)
{
    struct json_found found;
    struct json *o = NULL;

    (void)state;
    assert_null(parse_front(SPAN("{\"a\":1,\"b\":2,\"a\":3} and more"), 4, &o, &found));
    assert_true(found.has_duplicates);
    assert_int_equal(found.len, 19);
    assert_written(o, "{\"a\":3,\"b\":2}");
    json_free(&o);
    assert_null(parse_front(SPAN("[1]"), 2, &o, &found));
    assert_false(found.has_duplicates);
    assert_int_equal(found.len, 3);
    json_free(&o);
}

static void assert_not_read(const char *text, size_t values)
{
    struct json_found found;
    struct json *o = NULL;
    struct error *err = parse_front(span_of(text), values, &o, &found);

    assert_non_null(err);
    assert_null(o);
    error_free(&err);
}

static void what_costs_too_much_or_is_cut_off_is_not_read(void **state)
{
    char deep[200];
    char large[102] = "[\"";

    (void)state;
    assert_not_read("[1,2,3]", 3);
    assert_not_read("[[],{}]", 2);
    assert_not_read("{\"a\":1", 9);
    assert_not_read("", 9);
    memset(deep, '[', 99);
    strcpy(deep + 99, "");
    assert_not_read(deep, 200);
    memset(large + 2, 'x', 97);
    strcpy(large + 99, "\"]");
    assert_not_read(large, 9);
    struct json_found found;
    struct json *o = NULL;
    assert_null(parse_front(SPAN("[\",[{\\\"[\"]"), 2, &o, &found)); /* texts hold no values */
    json_free(&o);
}

static void whole_numbers_are_told_from_others(void **state)
{
    struct json *list = NULL;
    int64_t n = 7;

    (void)state;
    assert_null(json_parse(SPAN("[5, 5.0, 5e3, 5.5, -5.5, \"5\", 1e300, -1e300]"), &list));
    assert_true(json_to_number(json_item(list, 0), &n) && n == 5);
    assert_true(json_to_number(json_item(list, 1), &n) && n == 5);
    assert_true(json_to_number(json_item(list, 2), &n) && n == 5000);
    for (size_t i = 3; i < 8; i++)
        assert_false(json_to_number(json_item(list, i), &n));
    assert_false(json_to_number(NULL, &n));
    assert_int_equal(n, 5000);
    json_free(&list);
}

static bool refuse(void *ctx, struct span piece)
{
    (void)piece;
    ++*(int *)ctx;
    return false;
}

static void writing_ends_when_nobody_takes_the_pieces(void **state)
{
    struct json *list = json_new_array();
    int calls = 0;

    (void)state;
    json_append_text(list, SPAN("\x7f\x7f"));
    assert_false(json_write_pieces(list, JSON_ON_ONE_LINE, refuse, &calls));
    assert_int_equal(calls, 1);
    json_free(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("members keep the order in which they were added", members_keep_their_order),
        TEST("bytes that are not UTF-8 are replaced one by one",
             bytes_that_are_not_utf8_are_replaced_one_by_one),
        TEST("noncharacters are replaced, byte by byte (RFC 7493 s.2.1)",
             noncharacters_are_replaced),
        TEST("a NUL in a text is escaped", a_nul_in_a_text_is_escaped),
        TEST("a buffer that is too small is reported",
             a_buffer_that_is_too_small_gets_nothing_wrong),
        TEST("what was written is read back", what_was_written_is_read_back),
        TEST("what is not there is empty, 0 or false", what_is_not_there_is_empty),
        TEST("nonsense, duplicates and deep nests are refused", nonsense_is_refused),
        { "json: of what others wrote the front is read; of two members of a name the last",
          the_front_of_what_others_wrote_is_read, 0, 0, 0 },
        { "json: what would cost too much, or is cut off, is not read",
          what_costs_too_much_or_is_cut_off_is_not_read, 0, 0, 0 },
        { "json: whole numbers are told from others, however they are written",
          whole_numbers_are_told_from_others, 0, 0, 0 },
        { "json: writing ends when nobody takes the pieces",
          writing_ends_when_nobody_takes_the_pieces, 0, 0, 0 },
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
