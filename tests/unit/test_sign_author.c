#include "queue/sign/author.h"

#include "tests/support/test.h"

static void assert_is_from(const char *header, const char *expected)
{
    char domain[DOMAIN_MAX + 1];
    const char *fault = author_domain(span_of(header), domain);

    if (fault)
        fail_msg("of \"%s\" was said: %s", header, fault);
    assert_string_equal(domain, expected);
}

static void assert_has_none(const char *header, const char *expected)
{
    char domain[DOMAIN_MAX + 1];
    const char *fault = author_domain(span_of(header), domain);

    if (!fault)
        fail_msg("\"%s\" has an author at %s", header, domain);
    assert_string_equal(fault, expected);
}

static void mail_is_its_authors(void **state)
{
    (void)state;
    assert_is_from("From: ada@example.net\r\n\r\n", "example.net");
    assert_is_from("To: x@y.example\r\nFROM : \"Ada, L\" (a) <ada@Example.NET>\r\n\r\n",
                   "example.net");
    assert_is_from("Received: by x\r\nFrom:\r\n ada\r\n @example.net\r\n", "example.net");
    assert_is_from("From: \"a@evil.example\"@example.net\r\n", "example.net");
    assert_is_from("From: <@route.example:ada@example.net>\r\n", "example.net");
    assert_is_from("From: ada@b\xc3\xbc"
                   "cher.example\r\n",
                   "xn--bcher-kva.example");
    assert_is_from("From: ada@example.net.\r\n", "example.net");
    assert_is_from("Sender: bob@evil.example\r\nFrom: ada@example.net\r\n", "example.net");
}

static void mail_of_nobody_or_of_several_has_none(void **state)
{
    (void)state;
    assert_has_none("", "the message has no From field");
    assert_has_none("To: ada@example.net\r\n\r\nFrom: ada@example.net\r\n",
                    "the message has no From field");
    assert_has_none("From: a@example.net\r\nFrom: b@example.org\r\n",
                    "the message has several From fields");
    assert_has_none("From: a@example.net\r\nno field\r\nFrom: b@example.org\r\n",
                    "the message has several From fields");
    assert_has_none("From: a@example.net, b@example.net\r\n",
                    "its From field names several authors");
    assert_has_none("From: us: a@example.net, b@example.org;\r\n",
                    "its From field names several authors");
    assert_has_none("From: undisclosed:;\r\n", "its From field names nobody");
    assert_has_none("From: \r\n", "its From field names nobody");
    assert_has_none("From: <ada@example.net\r\n", "its From field holds what is no address");
}

static void an_author_needs_a_domain_that_dns_knows(void **state)
{
    static const char fault[] = "its author has no domain that DNS could know";

    (void)state;
    assert_has_none("From: ada\r\n", fault);
    assert_has_none("From: ada@[192.0.2.1]\r\n", fault);
    assert_has_none("From: ada@a_b.example\r\n", fault);
    assert_has_none("From: ada@-a.example\r\n", fault);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "mail is its author's, of the domain in From, as A-labels", mail_is_its_authors, NULL,
          NULL, NULL },
        { "mail of nobody or of several has no author", mail_of_nobody_or_of_several_has_none, NULL,
          NULL, NULL },
        { "an author needs a domain that DNS knows", an_author_needs_a_domain_that_dns_knows, NULL,
          NULL, NULL },
    };
    return cmocka_run_group_tests_name("sign_author", tests, NULL, NULL);
}
