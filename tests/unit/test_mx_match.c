#include "policy/mx_match.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct {
    const char *host;
    const char *pattern;
    bool matches;
} cases[] = {
    { "mail.example.com", "mail.example.com", true },
    { "MAIL.Example.Com.", "mail.EXAMPLE.com", true },
    { "mail.example.com", "*.example.com", true },
    { "Mail.example.com.", "*.EXAMPLE.com", true },
    { "mail.example", "*.example", true },
    { "mx.example.com", "mail.example.com", false },
    { "mail.example.com", "example.com", false },
    { "mail.example.com.attacker.test", "mail.example.com", false },
    { "example.com", "*.example.com", false },
    { "a.b.example.com", "*.example.com", false },
    { "evilexample.com", "*.example.com", false },
    { "mail.notexample.com", "*.example.com", false },
    { "mailhost", "*.example.com", false },
    { ".example.com", "*.example.com", false },
    { ".example.com", ".example.com", false },
    { "mail.example.com", ".example.com", false },
    { "mail.example.com", "m*.example.com", false },
    { "m*.example.com", "m*.example.com", false },
    { "mail.example.com", "mail.*.com", false },
    { "a.*.example.com", "*.*.example.com", false },
    { "a.b.example.com", "*.*.example.com", false },
    { "mail.", "*.", false },
    { "", "", false },
    { ".", "", false },
    { "*", "*", false },
};

static void patterns_match_whole_labels_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (mx_match(span_of(cases[i].host), span_of(cases[i].pattern)) != cases[i].matches)
            fail_msg("%s against %s", cases[i].host, cases[i].pattern);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "a pattern matches whole labels, a wildcard exactly one (RFC 8461 s.4.1)",
          patterns_match_whole_labels_only, NULL, NULL, NULL },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
