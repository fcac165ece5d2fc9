#include "lib/mail/mailbox_set.h"

#include <string.h>

#include "tests/support/test.h"

static struct mailbox_set *set_of(const char *text)
{
    struct settings_errors errors;
    struct mailbox_set *set = NULL;
    settings_errors_init(&errors);
    assert_true(mailbox_set_parse(span_of(text), "recipients", &errors, &set));
    assert_int_equal(errors.count, 0);
    settings_errors_clear(&errors);
    return set;
}

static bool has(const struct mailbox_set *set, const char *text)
{
    struct address mailbox;
    assert_int_equal(address_parse_utf8(span_of(text), &mailbox), ADDRESS_FINE);
    return mailbox_set_has(set, &mailbox);
}

static void listed_mailboxes_are_there_and_no_others(void **state)
{
    (void)state;
    struct mailbox_set *set = set_of("ada@example.net\r\n\n  bob@example.net  # the builder\n"
                                     "# eve@example.net\neve@example.org\nnumber#1@example.org");
    assert_int_equal(mailbox_set_count(set), 4);
    assert_true(has(set, "ada@example.net"));
    assert_true(has(set, "bob@example.net"));
    assert_true(has(set, "eve@example.org"));
    assert_true(has(set, "number#1@example.org"));
    assert_false(has(set, "eve@example.net"));
    assert_false(has(set, "ada@example.org"));
    assert_false(has(set, "ada@sub.example.net"));
    assert_false(has(set, "postmaster"));
    mailbox_set_free(&set);
    assert_null(set);
    mailbox_set_free(&set);
}

static void case_makes_no_difference(void **state)
{
    (void)state;
    struct mailbox_set *set = set_of("Ada.Lovelace@Example.Net\n");
    assert_true(has(set, "ada.lovelace@example.net"));
    assert_true(has(set, "ADA.LOVELACE@EXAMPLE.NET"));
    mailbox_set_free(&set);
}

static void a_domain_stands_for_all_its_mailboxes(void **state)
{
    (void)state;
    struct mailbox_set *set = set_of("@example.net\nada@example.org\n");
    assert_true(has(set, "whoever@example.net"));
    assert_false(has(set, "whoever@example.org"));
    assert_false(has(set, "whoever@sub.example.net"));
    mailbox_set_free(&set);
}

static void a_domain_is_the_same_in_both_its_forms(void **state)
{
    (void)state;
    struct mailbox_set *set = set_of("ada@b\xc3\xbc"
                                     "cher.example\n");
    assert_true(has(set, "ada@xn--bcher-kva.example"));
    mailbox_set_free(&set);
}

static void an_empty_file_has_nobody(void **state)
{
    (void)state;
    struct mailbox_set *set = set_of("");
    assert_int_equal(mailbox_set_count(set), 0);
    assert_false(has(set, "ada@example.net"));
    mailbox_set_free(&set);
}

static void what_is_no_mailbox_is_named_with_its_line(void **state)
{
    (void)state;
    static const char *const wrong[] = { "ada",
                                         "@",
                                         "ada@",
                                         "ada@exa mple.net",
                                         "ada@example.net x",
                                         "postmaster",
                                         "@-x",
                                         "a\tb@example.net" };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct settings_errors errors;
        struct mailbox_set *set = NULL;
        char text[100] = "ada@example.net\n";
        strcat(text, wrong[i]);
        settings_errors_init(&errors);
        assert_false(mailbox_set_parse(span_of(text), "recipients", &errors, &set));
        assert_null(set);
        assert_int_equal(errors.count, 1);
        assert_true(span_starts_with(buf_span(&errors.text), SPAN("recipients:2: ")));
        settings_errors_clear(&errors);
    }
}

static void a_file_of_something_else_is_not_recited(void **state)
{
    (void)state;
    struct settings_errors errors;
    struct mailbox_set *set = NULL;
    char text[1000];
    memset(text, 'x', sizeof(text));
    for (size_t i = 1; i < sizeof(text); i += 2)
        text[i] = '\n';
    settings_errors_init(&errors);
    assert_false(mailbox_set_parse((struct span){ text, sizeof(text) }, "r", &errors, &set));
    assert_int_equal(errors.count, 500);
    assert_true(buf_len(&errors.text) < 4000);
    settings_errors_clear(&errors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "listed mailboxes are there, and no others", listed_mailboxes_are_there_and_no_others,
          NULL, NULL, NULL },
        { "case makes no difference", case_makes_no_difference, NULL, NULL, NULL },
        { "a domain stands for all its mailboxes", a_domain_stands_for_all_its_mailboxes, NULL,
          NULL, NULL },
        { "a domain is the same in both its forms", a_domain_is_the_same_in_both_its_forms, NULL,
          NULL, NULL },
        { "an empty file has nobody", an_empty_file_has_nobody, NULL, NULL, NULL },
        { "what is no mailbox is named with its line", what_is_no_mailbox_is_named_with_its_line,
          NULL, NULL, NULL },
        { "a file of something else is not recited", a_file_of_something_else_is_not_recited, NULL,
          NULL, NULL },
    };
    return cmocka_run_group_tests_name("mailbox_set", tests, NULL, NULL);
}
