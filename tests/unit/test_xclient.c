#include "lib/mail/xclient.h"

#include <string.h>

#include "tests/support/test.h"

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

static struct xclient said(const char *argument)
{
    struct xclient x;

    assert_true(xclient_parse(span_of(argument), &x));
    return x;
}

static void assert_address(const struct ip_address *address, const char *expected)
{
    char text[NETWORK_TEXT_SIZE];

    ip_address_format(address, text);
    assert_string_equal(text, expected);
}

static void all_attributes_are_understood(void **state)
{
    struct xclient x =
        said("NAME=mail.client.test addr=192.0.2.9 Port=4711  PROTO=ESMTP "
             "HELO=[192.0.2.9] LOGIN=ada+2Bb DESTADDR=IPV6:2001:db8::25 DESTPORT=25");

    (void)state;
    assert_string_equal(x.name, "mail.client.test");
    assert_address(&x.address, "192.0.2.9");
    assert_int_equal(x.port, 4711);
    assert_false(x.is_smtp);
    assert_string_equal(x.helo, "[192.0.2.9]");
    assert_string_equal(x.login, "ada+b");
    assert_int_equal(x.given, (1U << XCLIENT_ATTRIBUTES) - 1);
    x = said("ADDR=ipv6:2001:DB8::9");
    assert_address(&x.address, "2001:db8::9");
    assert_true(said("PROTO=smtp").is_smtp);
}

static void what_is_unavailable_is_given_and_empty(void **state)
{
    struct xclient x = said("NAME=[TEMPUNAVAIL] ADDR=[UNAVAILABLE] PORT=[unavailable] HELO="
                            "[UNAVAILABLE] LOGIN=[UNAVAILABLE] DESTADDR=[UNAVAILABLE]");

    (void)state;
    assert_string_equal(x.name, "");
    assert_int_equal(x.address.family, ADDRESS_NONE);
    assert_string_equal(x.helo, "");
    assert_string_equal(x.login, "");
    assert_true(x.given & 1U << XCLIENT_ADDR);
    assert_false(x.given & 1U << XCLIENT_PROTO);
}

static void what_is_out_of_form_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        " ",
        "ADDR",
        "ADDR=",
        "ADDR=192.0.2",
        "ADDR=2001:db8::9",
        "ADDR=[192.0.2.9]",
        "ADDR=IPV6:",
        "ADDR=local:0",
        "NAME=a_b",
        "NAME=a..b",
        "NAME=a=b",
        "PORT=65536",
        "PORT=-1",
        "PORT=x",
        "PROTO=LMTP",
        "PROTO=[UNAVAILABLE]",
        "HELO=a b",
        "HELO=a/b",
        "LOGIN=a+0Ab",
        "LOGIN=a+2",
        "LOGIN=\xc3\xa4",
        "DESTADDR=x",
        "DESTPORT=x",
        "REVERSE_NAME=a.test",
        "ADDR=192.0.2.9 ADDR=192.0.2.9",
        "ADDR=192.0.2.9 what",
        "ADDR=192.0.2.9\tPORT=1",
    };
    struct xclient x;
    char text[400];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(xclient_parse(span_of(bad[i]), &x));
        assert_int_equal(x.given, 0);
    }
    memset(text, 'a', sizeof(text));
    memcpy(text, "LOGIN=", 6);
    assert_true(xclient_parse((struct span){ text, 6 + ADDRESS_MAX }, &x));
    assert_int_equal(strlen(x.login), ADDRESS_MAX);
    assert_false(xclient_parse((struct span){ text, 7 + ADDRESS_MAX }, &x));
}

static void several_commands_make_one_client(void **state)
{
    struct xclient x = said("NAME=a.test ADDR=192.0.2.9 LOGIN=ada");
    struct xclient more = said("PORT=25 HELO=b.test PROTO=SMTP LOGIN=[UNAVAILABLE]");

    (void)state;
    xclient_merge(&x, &more);
    assert_string_equal(x.name, "a.test");
    assert_address(&x.address, "192.0.2.9");
    assert_int_equal(x.port, 25);
    assert_string_equal(x.helo, "b.test");
    assert_true(x.is_smtp);
    assert_string_equal(x.login, "");
    more = said("NAME=[UNAVAILABLE] ADDR=192.0.2.10");
    xclient_merge(&x, &more);
    assert_string_equal(x.name, "");
    assert_address(&x.address, "192.0.2.10");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("all attributes are understood, values as xtext", all_attributes_are_understood),
        TEST("what is unavailable is given, and empty", what_is_unavailable_is_given_and_empty),
        TEST("what is out of form, unknown or given twice is refused",
             what_is_out_of_form_is_refused),
        TEST("several commands make one client", several_commands_make_one_client),
    };

    return cmocka_run_group_tests_name("xclient", tests, NULL, NULL);
}
