#include "tests/support/test.h"

#include "supervisor/mail_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char warned[2048];

static void on_warning(void *ctx, struct error **taken)
{
    (void)ctx;
    snprintf(warned + strlen(warned), sizeof(warned) - strlen(warned), "%s\n", error_text(*taken));
    error_free(taken);
}

static struct settings *settings_with(const char *postmaster)
{
    static struct settings s;

    settings_defaults(&s);
    strcpy(s.hostname, "relay.example");
    strcpy(s.origin, "example.com");
    strcpy(s.postmaster, postmaster);
    warned[0] = '\0';
    return &s;
}

static bool is_warned(const char *postmaster, const char *aliases)
{
    struct settings *s = settings_with(postmaster);

    mail_names_visit_postmaster(s, span_of(aliases), on_warning, NULL);
    return warned[0] != '\0';
}

static void aliases_that_are_skipped_are_named_with_their_line(void **state)
{
    struct settings *s = settings_with("");

    (void)state;
    mail_names_visit_skipped(s, SPAN("root: ada@example.net\nnobody: /dev/null\n"), on_warning,
                             NULL);
    assert_string_equal(warned, "aliases-file /etc/aliases, line 2: a file (only addresses are"
                                " taken) is skipped\n");
}

static void a_postmaster_at_this_host_is_warned_of(void **state)
{
    (void)state;
    assert_true(is_warned("postmaster@relay.example", ""));
    assert_non_null(strstr(warned, "postmaster@relay.example, which is this host"));
    assert_true(is_warned("postmaster@relay.example", "postmaster: root@relay.example\n"));
    assert_true(is_warned("postmaster@relay.example", "postmaster: root@localhost\n"));
    assert_true(is_warned("postmaster@relay.example", "root: ada@example.net\n"));
}

static void a_postmaster_elsewhere_is_fine(void **state)
{
    (void)state;
    assert_false(is_warned("human@example.org", ""));
    assert_false(is_warned("postmaster@relay.example", "postmaster: ada@example.net\n"));
    assert_false(
        is_warned("postmaster@relay.example", "postmaster: root\nroot: ada@example.net\n"));
    assert_false(is_warned("postmaster@relay.example", "postmaster: root\n")); /* at the origin */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "aliases that are skipped are named with their line",
          aliases_that_are_skipped_are_named_with_their_line, NULL, NULL, NULL },
        { "a postmaster whose mail ends at this host is warned of",
          a_postmaster_at_this_host_is_warned_of, NULL, NULL, NULL },
        { "a postmaster elsewhere, by setting or alias, is fine", a_postmaster_elsewhere_is_fine,
          NULL, NULL, NULL },
    };

    return cmocka_run_group_tests_name("mail_names", tests, NULL, NULL);
}
