#include "tests/support/test.h"

#include "lib/mail/aliases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"

static const struct alias_home home = { { "relay.example", 13 }, { "example.com", 11 } };

static char skipped[4096];

static void on_skipped(void *ctx, unsigned line, const char *what)
{
    (void)ctx;
    snprintf(skipped + strlen(skipped), sizeof(skipped) - strlen(skipped), "%u: %s\n", line, what);
}

static struct aliases *parse(const char *text)
{
    skipped[0] = '\0';
    return aliases_parse(span_of(text), on_skipped, NULL);
}

static void collect(void *ctx, const struct address *target)
{
    char *found = ctx;

    snprintf(found + strlen(found), 1000 - strlen(found), "%s%s", found[0] ? " " : "",
             target->text);
}

/* Who gets the mail of a path; NULL: it stays. */
static void check(const char *text, const char *path, const char *expected)
{
    struct aliases *aliases = parse(text);
    struct address address;
    char found[1000] = "";

    assert_int_equal(address_parse(span_of(path), &address), ADDRESS_FINE);
    assert_int_equal(aliases_expand(aliases, &home, &address, collect, found), expected != NULL);
    assert_string_equal(found, expected ? expected : "");
    aliases_free(&aliases);
    assert_null(aliases);
}

static void a_name_stands_for_its_addresses(void **state)
{
    (void)state;
    check("root: ada@example.net\n", "root@relay.example", "ada@example.net");
    check("root: ada@example.net", "root@example.com", "ada@example.net");
    check("root: ada@example.net", "ROOT@localhost", "ada@example.net");
    check("Root : ada@example.net,bob@example.net , \n", "root@relay.example",
          "ada@example.net bob@example.net");
    check("postmaster: ada@example.net", "postmaster", "ada@example.net");
    check("\"a b\": ada@example.net", "\"a b\"@relay.example", "ada@example.net");
    assert_string_equal(skipped, "");
}

static void other_names_stay(void **state)
{
    (void)state;
    check("root: ada@example.net", "root@example.net", NULL);
    check("root: ada@example.net", "ada@relay.example", NULL);
    check("", "root@relay.example", NULL);
    struct address address;
    assert_int_equal(address_parse(SPAN("root@relay.example"), &address), ADDRESS_FINE);
    assert_false(aliases_expand(NULL, &home, &address, collect, NULL));
}

static void comments_blanks_and_continued_lines_are_read(void **state)
{
    const char *text = "# a comment: x@y\n\n  \nroot:\tada@example.net,\n\t# between\n"
                       "  bob@example.net\r\n# end\nops: root\r\n";
    struct aliases *aliases = parse(text);
    (void)state;
    assert_int_equal(aliases_count(aliases), 2);
    aliases_free(&aliases);
    check(text, "ops@relay.example", "ada@example.net bob@example.net");
    assert_string_equal(skipped, "");
}

static void names_are_followed_to_their_end(void **state)
{
    const char *text = "a: b, c\nb: d@example.net, c\nc: e@relay.example\ne: f\n";
    (void)state;
    check(text, "a@relay.example", "d@example.net f@example.com");
    check(text, "b@example.com", "d@example.net f@example.com");
}

static void nothing_goes_round_for_ever(void **state)
{
    (void)state;
    check("a: b\nb: a\n", "a@relay.example", NULL);
    check("a: b, c@example.net\nb: a\n", "a@relay.example", "c@example.net");
    check("a: a, b@example.net\n", "a@relay.example", "a@example.com b@example.net");
    check("a: a\n", "a@example.com", "a@example.com");
    check("x: a\na: \\a, b@example.net\n", "x@relay.example", "a@example.com b@example.net");
    check("x: \\b\nb: c@example.net\n", "x@relay.example", "b@example.com");
}

static void what_is_no_address_is_skipped_and_named(void **state)
{
    (void)state;
    check("root: \"|/bin/prog a, b\", /var/mail/x, :include:/etc/list, ada@example.net,\n"
          " |prog, \"/a b\"\n",
          "root@relay.example", "ada@example.net");
    assert_string_equal(skipped, "1: a pipe (only addresses are taken)\n"
                                 "1: a file (only addresses are taken)\n"
                                 "1: an include (only addresses are taken)\n"
                                 "1: a pipe (only addresses are taken)\n"
                                 "1: a file (only addresses are taken)\n");
    check("# x\nnobody: /dev/null\nroot: a b c\n", "nobody@relay.example", NULL);
    assert_string_equal(skipped, "2: a file (only addresses are taken)\n3: what is no address\n");
    check("# c\n  goes on with nothing\n", "root@relay.example", NULL);
    assert_string_equal(skipped, "2: a line that is not \"name: address, ...\"\n");
    check("no colon\n: x@y.example\nroot: a@b.example\nroot: c@d.example\n", "root@relay.example",
          "a@b.example");
    assert_string_equal(skipped, "1: a line that is not \"name: address, ...\"\n"
                                 "2: a line that is not \"name: address, ...\"\n"
                                 "4: a second line for a name\n");
}

static void what_is_too_long_is_skipped(void **state)
{
    struct buf text;
    (void)state;
    buf_init(&text, 1 << 20);
    assert_true(buf_printf(&text,
                           "%0300d: a@b.example\nroot: %0300d@b.example, c@d.example\n"
                           "long: e@f.example\n",
                           0, 0));
    for (int i = 0; i < 7000; i++)
        assert_true(buf_printf(&text, " , a%d@b.example\n", i));
    assert_true(buf_append(&text, (struct span){ "", 1 }));
    check(buf_span(&text).data, "root@relay.example", "c@d.example");
    assert_non_null(strstr(skipped, "1: a line that is not"));
    assert_non_null(strstr(skipped, "2: what is no address"));
    assert_non_null(strstr(skipped, "3: what is beyond 64 KiB"));
    buf_clear(&text);
}

static void a_name_too_long_with_its_origin_gets_nothing(void **state)
{
    char text[400];
    (void)state;
    snprintf(text, sizeof(text), "root: %0243d, a@b.example\n", 0); /* an address at localhost */
    check(text, "root@relay.example", "a@b.example");
    assert_string_equal(skipped, "");
}

static void count(void *ctx, const struct address *target)
{
    (void)target;
    ++*(unsigned *)ctx;
}

static void an_expansion_has_a_bound(void **state)
{
    struct address address;
    unsigned counted = 0;
    struct buf text;
    (void)state;
    buf_init(&text, 1 << 20);
    assert_true(buf_printf(&text, "all: x@b.example"));
    for (int i = 0; i < 2 * ALIAS_TARGETS_MAX; i++)
        assert_true(buf_printf(&text, ", a%d@b.example", i));
    struct aliases *aliases = aliases_parse(buf_span(&text), NULL, NULL);
    assert_int_equal(address_parse(SPAN("all@relay.example"), &address), ADDRESS_FINE);
    assert_true(aliases_expand(aliases, &home, &address, count, &counted));
    assert_int_equal(counted, 0);
    aliases_free(&aliases);
    aliases_free(&aliases);
    buf_clear(&text);
}

#define TEST(title, test)                                                                          \
    {                                                                                              \
        title, test, NULL, NULL, NULL                                                              \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("a name of this host stands for its addresses", a_name_stands_for_its_addresses),
        TEST("other names, and names elsewhere, stay", other_names_stay),
        TEST("comments, blank and continued lines are read",
             comments_blanks_and_continued_lines_are_read),
        TEST("names are followed to their end, each target once", names_are_followed_to_their_end),
        TEST("nothing goes round for ever, and a name may mean its own mailbox",
             nothing_goes_round_for_ever),
        TEST("pipes, files, includes and nonsense are skipped and named",
             what_is_no_address_is_skipped_and_named),
        TEST("what is too long is skipped", what_is_too_long_is_skipped),
        TEST("a name that is too long with its origin gets nothing",
             a_name_too_long_with_its_origin_gets_nothing),
        TEST("an expansion has a bound, beyond which nobody gets it instead of some",
             an_expansion_has_a_bound),
    };

    return cmocka_run_group_tests_name("aliases", tests, NULL, NULL);
}
