#include "tests/support/test.h"

#include "lib/mail/domain.h"

#include <string.h>

static void check(const char *name, const char *wanted)
{
    char out[DOMAIN_MAX + 1];

    if (!wanted) {
        assert_false(domain_normalize(span_of(name), out));
        assert_string_equal(out, "");
        return;
    }
    assert_true(domain_normalize(span_of(name), out));
    assert_string_equal(out, wanted);
}

static void names_are_lower_case_without_a_final_dot(void **state)
{
    (void)state;
    check("Example.NET", "example.net");
    check("example.net.", "example.net");
    check("localhost", "localhost");
    check("xn--Bcher-kva.example", "xn--bcher-kva.example");
}

static void u_labels_become_a_labels(void **state)
{
    (void)state;
    check("b\xc3\xbc"
          "cher.example",
          "xn--bcher-kva.example");
    check("MAIL.b\xc3\xbc"
          "cher.example.",
          "mail.xn--bcher-kva.example");
    /* u and a combining diaeresis: the same in NFC */
    check("bu\xcc\x88"
          "cher.example",
          "xn--bcher-kva.example");
}

static void what_is_no_domain_is_refused(void **state)
{
    (void)state;
    check("", NULL);
    check(".", NULL);
    check(".example.net", NULL);
    check("a..b", NULL);
    check("example.net..", NULL);
    check("-a.example", NULL);
    check("a-.example", NULL);
    check("a_b.example", NULL);
    check("a b.example", NULL);
}

static void idna_refuses_what_it_disallows(void **state)
{
    (void)state;
    check("a\xe3\x80\x82"
          "example", /* U+3002, a full stop only to people */
          NULL);
    check("\xcc\x88"
          "a.example", /* a combining mark in front */
          NULL);
    check("\xff\xfe.example", NULL); /* not UTF-8 */
    check("\xf0\x9f\x92\xa9.example", NULL);
}

static void lengths_are_bounded(void **state)
{
    char name[400];
    char out[DOMAIN_MAX + 1];
    (void)state;
    memset(name, 'a', sizeof(name));
    for (size_t i = 63; i < sizeof(name); i += 64)
        name[i] = '.';
    assert_true(domain_normalize((struct span){ name, 253 }, out));
    assert_false(domain_normalize((struct span){ name, 254 }, out));
    name[63] = 'a';
    assert_false(domain_normalize((struct span){ name, 64 }, out));
    assert_true(domain_normalize((struct span){ name, 63 }, out));
    memset(name, '\xc3', sizeof(name));
    assert_false(domain_normalize((struct span){ name, sizeof(name) }, out));
}

static void a_nul_ends_nothing(void **state)
{
    char out[DOMAIN_MAX + 1];
    (void)state;
    assert_false(domain_normalize((struct span){ "a.example\0.net", 14 }, out));
    assert_false(domain_normalize((struct span){ "\xc3\xbc.example\0.net", 15 }, out));
    assert_true(domain_is_host(SPAN("1a.example")));
    assert_false(domain_is_host(SPAN("\xc3\xbc.example")));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "domain: names are lower case without a final dot",
          names_are_lower_case_without_a_final_dot, 0, 0, 0 },
        { "domain: U-labels become A-labels (RFC 5891)", u_labels_become_a_labels, 0, 0, 0 },
        { "domain: what is no domain is refused", what_is_no_domain_is_refused, 0, 0, 0 },
        { "domain: IDNA refuses what it disallows", idna_refuses_what_it_disallows, 0, 0, 0 },
        { "domain: labels end at 63 octets, names at 253", lengths_are_bounded, 0, 0, 0 },
        { "domain: a NUL ends nothing", a_nul_ends_nothing, 0, 0, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
