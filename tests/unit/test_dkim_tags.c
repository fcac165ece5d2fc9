#include "tests/support/test.h"

#include "lib/mail/dkim_tags.h"

#include <stdio.h>

static void check(const char *text, const char *name, const char *value)
{
    struct dkim_tags tags;
    struct span found;

    assert_true(dkim_tags_parse(span_of(text), &tags));
    assert_true(dkim_tags_find(&tags, name, &found));
    assert_int_equal(found.len, span_of(value).len);
    assert_memory_equal(found.data, value, found.len);
}

static void tags_stand_between_semicolons(void **state)
{
    (void)state;
    check("v=1; d=example.net;s=a", "v", "1");
    check("v=1; d=example.net;s=a", "d", "example.net");
    check("v=1; d=example.net;s=a", "s", "a");
    check("p=", "p", "");
    check("p=a=b==", "p", "a=b==");
}

static void blanks_and_folds_round_names_and_values_are_not_of_them(void **state)
{
    (void)state;
    check(" v\t= 1 ;\r\n\td =\r\n example.net\r\n ;", "d", "example.net");
    check("h=from :\r\n to", "h", "from :\r\n to");
}

static void the_last_semicolon_may_be_there_or_not(void **state)
{
    (void)state;
    check("v=1;", "v", "1");
    check("v=1; \r\n", "v", "1");
}

static void what_is_not_there_is_not_found_and_case_counts(void **state)
{
    struct dkim_tags tags;
    struct span found;
    (void)state;

    assert_true(dkim_tags_parse(span_of("v=1; D=x"), &tags));
    assert_false(dkim_tags_find(&tags, "d", &found));
    assert_true(dkim_tags_find(&tags, "D", &found));
}

static void what_is_no_list_of_tags_is_refused(void **state)
{
    static const char *const wrong[] = { "",         ";",       "v",       "v=1;;d=x", "v=1; ; ",
                                         "=1",       "1v=1",    "_v=1",    "v-x=1",    "v w=1",
                                         "v=1; v=2", "v=a\x01", "v=a\x7f", "v=1; d",   " " };
    struct dkim_tags tags;
    (void)state;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(dkim_tags_parse(span_of(wrong[i]), &tags));
    assert_false(dkim_tags_parse((struct span){ NULL, 0 }, &tags));
}

static void a_list_without_end_is_refused(void **state)
{
    char text[DKIM_TAGS_MAX * 8 + 8];
    struct dkim_tags tags;
    size_t len = 0;
    (void)state;

    for (int i = 0; i < DKIM_TAGS_MAX; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "t%d=x;", i);
    assert_true(dkim_tags_parse((struct span){ text, len }, &tags));
    assert_int_equal(tags.count, DKIM_TAGS_MAX);
    len += (size_t)snprintf(text + len, sizeof(text) - len, "u=x;");
    assert_false(dkim_tags_parse((struct span){ text, len }, &tags));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "dkim_tags: tags stand between semicolons (RFC 6376 s.3.2)",
          tags_stand_between_semicolons, 0, 0, 0 },
        { "dkim_tags: blanks and folds round names and values are not of them",
          blanks_and_folds_round_names_and_values_are_not_of_them, 0, 0, 0 },
        { "dkim_tags: the last semicolon may be there or not",
          the_last_semicolon_may_be_there_or_not, 0, 0, 0 },
        { "dkim_tags: what is not there is not found, and a name's case counts",
          what_is_not_there_is_not_found_and_case_counts, 0, 0, 0 },
        { "dkim_tags: what is no list of tags, or has one twice, is refused",
          what_is_no_list_of_tags_is_refused, 0, 0, 0 },
        { "dkim_tags: a list without end is refused", a_list_without_end_is_refused, 0, 0, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
