#include "tests/support/test.h"

#include "lib/mail/header_addresses.h"

#include <stdio.h>
#include <string.h>

enum { FINE, BROKEN };

/* The addresses of a body, joined by "|". */
static void check(const char *body, const char *expected, int verdict)
{
    struct header_addresses list;
    struct header_mailbox mailbox;
    char found[2048] = "", text[ADDRESS_MAX + 1];

    header_addresses_init(&list, span_of(body));
    while (header_addresses_next(&list, &mailbox)) {
        assert_true(header_mailbox_text(&mailbox, text));
        assert_true(mailbox.whole.data == mailbox.local.data);
        assert_true(mailbox.whole.data + mailbox.whole.len ==
                    mailbox.domain.data + mailbox.domain.len);
        snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s%s", found[0] ? "|" : "",
                 text);
    }
    assert_string_equal(found, expected);
    assert_int_equal(list.is_broken, verdict == BROKEN);
}

static void plain_lists_are_read(void **state)
{
    (void)state;
    check("", "", FINE);
    check(" ada@example.net", "ada@example.net", FINE);
    check("ada@example.net, bob@example.net,", "ada@example.net|bob@example.net", FINE);
    check("Ada <ada@example.net>, Bob Smith <bob@example.net>", "ada@example.net|bob@example.net",
          FINE);
    check("\"Smith, Bob\" <bob@example.net>", "bob@example.net", FINE);
    check("<ada@example.net>", "ada@example.net", FINE);
    check("J.R. Hacker <jr@example.net>", "jr@example.net", FINE);
    check("=?utf-8?Q?Ad=C3=A4?= <ada@example.net>", "ada@example.net", FINE);
    check("Ad\xc3\xa4 <ad\xc3\xa4@b\xc3\xbc.example>", "ad\xc3\xa4@b\xc3\xbc.example", FINE);
}

static void comments_and_folds_may_stand_anywhere(void **state)
{
    (void)state;
    check("ada@example.net (Ada, the (first) \\) one)", "ada@example.net", FINE);
    check("(c) ada (c) @ (c) example (c) . net (c)", "ada@example.net", FINE);
    check("Ada\r\n <ada@\r\n\texample.net>", "ada@example.net", FINE);
    check("<(a,b) ada@example.net (>)>", "ada@example.net", FINE);
}

static void quoted_strings_are_words(void **state)
{
    (void)state;
    check("\"ada@home\"@example.net", "\"ada@home\"@example.net", FINE);
    check("\"a\\\"b\".c@example.net", "\"a\\\"b\".c@example.net", FINE);
    check("\"<x@y.z>\" <ada@example.net>", "ada@example.net", FINE);
    check("\"x@y.z\" \"more\" <ada@example.net>", "ada@example.net", FINE);
}

static void literals_and_routes_are_read(void **state)
{
    (void)state;
    check("ada@[192.0.2.1]", "ada@[192.0.2.1]", FINE);
    check("<ada@[IPv6:2001:db8::1]>", "ada@[IPv6:2001:db8::1]", FINE);
    check("<@a.example,@b.example:ada@example.net>", "ada@example.net", FINE);
    check("<@a.example,@b.example>", "", BROKEN);
}

static void groups_are_opened(void **state)
{
    (void)state;
    check("undisclosed-recipients:;", "", FINE);
    check("Team: ada@example.net, Bob <bob@example.net>;, eve@example.net",
          "ada@example.net|bob@example.net|eve@example.net", FINE);
    check(": ada@example.net;", "ada@example.net", BROKEN);
    check("ada@example.net: bob@example.net;", "ada@example.net|bob@example.net", BROKEN);
}

static void a_single_word_is_a_bare_name(void **state)
{
    struct header_addresses list;
    struct header_mailbox mailbox;
    (void)state;
    check("root", "root", FINE);
    check("root, <ada>, \"a b\"", "root|ada|\"a b\"", FINE);
    check("Ada Lovelace", "", BROKEN);
    check("Ada Lovelace, bob@example.net", "bob@example.net", BROKEN);
    header_addresses_init(&list, SPAN("<root>"));
    assert_true(header_addresses_next(&list, &mailbox));
    assert_int_equal(mailbox.domain.len, 0);
}

static void of_two_readings_every_address_is_given(void **state)
{
    (void)state;
    check("ada@example.net <bob@example.net>", "ada@example.net|bob@example.net", FINE);
    check("<ada@example.net> <bob@example.net>", "ada@example.net|bob@example.net", FINE);
    check("Ada ada@example.net", "ada@example.net", BROKEN);
    check("<ada@example.net> evil", "ada@example.net", BROKEN);
    check("ada@example.net bob@example.net", "ada@example.net|bob@example.net", BROKEN);
    check("<ada bob@example.net>", "bob@example.net", BROKEN);
}

static void what_is_no_address_is_stepped_over(void **state)
{
    (void)state;
    check("@example.net, ada@example.net", "ada@example.net", BROKEN);
    check("ada@, bob@example.net", "bob@example.net", BROKEN);
    check("ada@b@example.net", "ada@b", BROKEN);
    check("<>, bob@example.net", "bob@example.net", FINE);
    check("<ada@>, bob@example.net", "bob@example.net", BROKEN);
    check("<ada@example.net, bob@example.net", "ada@example.net|bob@example.net", BROKEN);
    check("<ada@example.net", "ada@example.net", BROKEN);
    check("<ada@example.net ! > bob", "ada@example.net", BROKEN);
    check("[192.0.2.1], ada@example.net", "ada@example.net", BROKEN);
    check(") \\ ada@example.net", "ada@example.net", BROKEN);
    check("ada \x01.bob@example.net", ".bob@example.net", BROKEN);
    check("\x01, ada@example.net", "ada@example.net", BROKEN);
    check("ada@[192.0.2.1", "", BROKEN);
    check("ada@example.net (never closed", "ada@example.net", BROKEN);
    check("ada@example.net, \"never closed", "ada@example.net", BROKEN);
    check("..ada..b.@example.net", "..ada..b.@example.net", FINE);
}

static void an_address_that_is_too_long_has_no_text(void **state)
{
    struct header_addresses list;
    struct header_mailbox mailbox;
    char body[ADDRESS_MAX + 2], text[ADDRESS_MAX + 1];
    (void)state;
    memset(body, 'x', sizeof(body));
    body[1] = '@';
    for (size_t len = ADDRESS_MAX; len <= ADDRESS_MAX + 1; len++) {
        header_addresses_init(&list, (struct span){ body, len });
        assert_true(header_addresses_next(&list, &mailbox));
        assert_int_equal(header_mailbox_text(&mailbox, text), len == ADDRESS_MAX);
    }
    header_addresses_init(&list, SPAN("\"a\0b\"@x"));
    assert_true(header_addresses_next(&list, &mailbox));
    assert_false(header_mailbox_text(&mailbox, text));
}

static void collect(void *ctx, struct span text)
{
    char *found = ctx;

    snprintf(found + strlen(found), 200 - strlen(found), SPAN_FMT " ", SPAN_ARG(text));
}

static void authors_are_those_of_every_from_field(void **state)
{
    char found[200] = "", body[400];
    (void)state;
    assert_true(header_visit_authors(SPAN("To: x@y.z\r\nFROM : Ada <ada@example.net>\r\n"
                                          "from: bob@example.net,\r\n root\r\n\r\nFrom: c@d.e\r\n"),
                                     collect, found));
    assert_string_equal(found, "ada@example.net bob@example.net root ");
    found[0] = '\0';
    assert_true(header_visit_authors(SPAN(" folded\r\nFrom: a@b.c\r\nno field\r\nFrom: d@e.f\r\n"
                                          "\r\nFrom: never@x.y\r\n"),
                                     collect, found));
    assert_string_equal(found, "a@b.c d@e.f ");
    found[0] = '\0';
    assert_true(header_visit_authors(SPAN("From : a@b.c\r\n"), collect, found));
    assert_string_equal(found, "a@b.c ");
    strcpy(found, "ada@example.net bob@example.net root ");
    assert_false(header_visit_authors(SPAN("From: Ada Lovelace\r\n"), collect, found));
    assert_true(header_visit_authors(SPAN("Subject: x\r\n"), collect, found));
    snprintf(body, sizeof(body), "From: %0300d@example.net\r\n", 0);
    assert_false(header_visit_authors(span_of(body), collect, found));
    assert_string_equal(found, "ada@example.net bob@example.net root ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "lists of addresses, with names or without (RFC 5322 s.3.4)", plain_lists_are_read, NULL,
          NULL, NULL },
        { "comments and folds may stand anywhere (RFC 5322 s.3.2.2)",
          comments_and_folds_may_stand_anywhere, NULL, NULL, NULL },
        { "quoted strings are words, whatever they hold", quoted_strings_are_words, NULL, NULL,
          NULL },
        { "literals are domains, routes name nobody (RFC 5322 s.4.4)", literals_and_routes_are_read,
          NULL, NULL, NULL },
        { "groups are opened (RFC 6854)", groups_are_opened, NULL, NULL, NULL },
        { "a single word is a bare name, several are a display name", a_single_word_is_a_bare_name,
          NULL, NULL, NULL },
        { "of what can be read in two ways every address is given",
          of_two_readings_every_address_is_given, NULL, NULL, NULL },
        { "what is no address is stepped over and remembered", what_is_no_address_is_stepped_over,
          NULL, NULL, NULL },
        { "an address of more than 254 octets, or with a NUL, has no text",
          an_address_that_is_too_long_has_no_text, NULL, NULL, NULL },
        { "authors are those of every From field", authors_are_those_of_every_from_field, NULL,
          NULL, NULL },
    };

    return cmocka_run_group_tests_name("header_addresses", tests, NULL, NULL);
}
