#include "tests/support/test.h"

#include "lib/mail/rewrite.h"

#include <stdio.h>
#include <string.h>

static struct rewrite_list rewrites = {
    .items = { { "root@a.internal", "ops@example.net" },
               { "a.internal", "example.net" },
               { ".internal", "example.org" },
               { "example.net", "never.example" } },
    .count = 4,
};

static void check(const char *address, const char *expected)
{
    char room[ADDRESS_MAX + 1] = "";

    assert_int_equal(rewrite_address(&rewrites, span_of(address), room), expected != NULL);
    if (expected)
        assert_string_equal(room, expected);
}

static void the_first_row_that_fits_decides(void **state)
{
    (void)state;
    check("root@a.internal", "ops@example.net");
    check("ada@a.internal", "ada@example.net");
    check("ada@b.internal", "ada@example.org");
    check("ada@c.b.internal", "ada@example.org");
    check("ada@example.com", NULL);
}

static void case_does_not_count_and_the_local_part_stays(void **state)
{
    (void)state;
    check("ROOT@A.Internal", "ops@example.net");
    check("Ada@A.INTERNAL", "Ada@example.net");
    check("\"a@b\"@a.internal", "\"a@b\"@example.net");
}

static void a_dot_means_below_and_not_the_domain_itself(void **state)
{
    (void)state;
    check("ada@internal", NULL);
    check("ada@.internal", NULL);
    check("ada@xinternal", NULL);
}

static void bare_names_and_nothing_stay(void **state)
{
    (void)state;
    check("root", NULL);
    check("", NULL);
}

static void what_would_be_too_long_stays(void **state)
{
    char address[ADDRESS_MAX + 1];
    (void)state;
    snprintf(address, sizeof(address), "%0243d@b.internal", 0);
    check(address, NULL);
    snprintf(address, sizeof(address), "%0242d@b.internal", 0);
    char expected[ADDRESS_MAX + 1];
    snprintf(expected, sizeof(expected), "%0242d@example.org", 0);
    check(address, expected);
}

static void a_row_tells_whether_only_the_domain_changes(void **state)
{
    bool is_domain;
    (void)state;
    assert_ptr_equal(rewrite_find(&rewrites, SPAN("root@a.internal"), &is_domain),
                     &rewrites.items[0]);
    assert_false(is_domain);
    assert_ptr_equal(rewrite_find(&rewrites, SPAN("ada@a.internal"), &is_domain),
                     &rewrites.items[1]);
    assert_true(is_domain);
}

static void path_becomes_what_the_table_makes_of_it(void **state)
{
    struct rewrite_list table = { .count = 2 };
    struct address path;

    (void)state;
    strcpy(table.items[0].from, "internal");
    strcpy(table.items[0].to, "example.net");
    strcpy(table.items[1].from, "odd");
    strcpy(table.items[1].to, "-");
    assert_int_equal(address_parse(SPAN("Ada@internal"), &path), ADDRESS_FINE);
    rewrite_path(&table, &path);
    assert_string_equal(path.text, "Ada@example.net");
    assert_string_equal(path.domain, "example.net");
    assert_int_equal(address_parse(SPAN("ada@odd"), &path), ADDRESS_FINE);
    rewrite_path(&table, &path);
    assert_string_equal(path.domain, "odd");
    assert_int_equal(address_parse(SPAN("ada@example.org"), &path), ADDRESS_FINE);
    rewrite_path(&table, &path);
    assert_string_equal(path.text, "ada@example.org");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "the first row that fits decides, and its result is not looked up again",
          the_first_row_that_fits_decides, NULL, NULL, NULL },
        { "case does not count, and the local-part stays as it is written",
          case_does_not_count_and_the_local_part_stays, NULL, NULL, NULL },
        { "a dot in front means the domains below", a_dot_means_below_and_not_the_domain_itself,
          NULL, NULL, NULL },
        { "bare names and the null path stay", bare_names_and_nothing_stay, NULL, NULL, NULL },
        { "what would be too long stays", what_would_be_too_long_stays, NULL, NULL, NULL },
        { "a row tells whether only the domain changes",
          a_row_tells_whether_only_the_domain_changes, NULL, NULL, NULL },
        { "a path becomes what the table makes of it, where that is an address",
          path_becomes_what_the_table_makes_of_it, NULL, NULL, NULL },
    };

    return cmocka_run_group_tests_name("rewrite", tests, NULL, NULL);
}
