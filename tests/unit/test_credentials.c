#include "lib/mail/credentials.h"

#include "tests/support/test.h"

#include <string.h>

static void assert_gives(const char *text, const char *user, const char *password)
{
    struct credentials c;

    assert_null(credentials_parse(span_of(text), &c));
    assert_true(span_equal(c.user, span_of(user)));
    assert_true(span_equal(c.password, span_of(password)));
}

static void assert_refused(struct span text)
{
    struct credentials c;
    struct error *err = credentials_parse(text, &c);

    assert_non_null(err);
    assert_null(strstr(error_text(err), "secret"));
    error_free(&err);
}

static void one_line_is_user_and_password(void **state)
{
    (void)state;
    assert_gives("ada:secret", "ada", "secret");
    assert_gives("ada:secret\n", "ada", "secret");
    assert_gives("ada@example.net:se:cr:et \r\n", "ada@example.net", "se:cr:et ");
    assert_gives("# by hand\n\n  \xc3\xa4 : x\n#end\n", "  \xc3\xa4 ", " x");
}

static void what_is_no_credentials_is_refused_without_repeating_it(void **state)
{
    char text[CREDENTIALS_USER_MAX + CREDENTIALS_PASSWORD_MAX + 8];

    (void)state;
    assert_refused(SPAN(""));
    assert_refused(SPAN("# nothing\n\n"));
    assert_refused(SPAN("secret\n"));
    assert_refused(SPAN(":secret\n"));
    assert_refused(SPAN("secret:\n"));
    assert_refused(SPAN("a:secret\nb:secret\n"));
    assert_refused(SPAN("a:sec\0ret"));
    assert_refused(SPAN("a:secret\x7f"));
    assert_refused(SPAN("a:secret\xff"));
    memset(text, 'x', sizeof(text));
    text[CREDENTIALS_USER_MAX] = ':';
    struct credentials c;
    size_t longest = CREDENTIALS_USER_MAX + 1 + CREDENTIALS_PASSWORD_MAX;
    assert_null(credentials_parse((struct span){ text, longest }, &c));
    assert_refused((struct span){ text, longest + 1 });
    text[CREDENTIALS_USER_MAX] = 'x';
    text[CREDENTIALS_USER_MAX + 1] = ':';
    assert_refused((struct span){ text, longest });
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "one line is user and password", one_line_is_user_and_password, NULL, NULL, NULL },
        { "what is no credentials is refused, without being repeated",
          what_is_no_credentials_is_refused_without_repeating_it, NULL, NULL, NULL },
    };
    return cmocka_run_group_tests_name("credentials", tests, NULL, NULL);
}
