#include "tests/support/test.h"

#include "lib/mail/address.h"

#include <stdio.h>
#include <string.h>

static void check(const char *path, const char *text, const char *domain)
{
    struct address a;

    assert_int_equal(address_parse(span_of(path), &a), ADDRESS_FINE);
    assert_string_equal(a.text, text);
    assert_string_equal(a.domain, domain);
}

static void check_fault(const char *path, enum address_fault fault)
{
    struct address a;

    assert_int_equal(address_parse(span_of(path), &a), fault);
    assert_string_equal(a.text, "");
    assert_string_equal(a.domain, "");
}

static void a_mailbox_keeps_its_text_and_gets_a_domain_to_look_up(void **state)
{
    struct address a;
    (void)state;
    check("Ada.L@Example.NET", "Ada.L@Example.NET", "example.net");
    check("o'brien+x=y@a.test", "o'brien+x=y@a.test", "a.test");
    assert_int_equal(address_parse(SPAN("ada@example.net"), &a), ADDRESS_FINE);
    assert_int_equal(a.local_len, 3);
    assert_false(a.is_literal);
}

static void quoted_local_parts_are_taken(void **state)
{
    struct address a;
    (void)state;
    check("\"a b\"@c.test", "\"a b\"@c.test", "c.test");
    check("\"a\\\"@x\"@c.test", "\"a\\\"@x\"@c.test", "c.test");
    check("\"\"@c.test", "\"\"@c.test", "c.test");
    assert_int_equal(address_parse(SPAN("\"a@b\"@c.test"), &a), ADDRESS_FINE);
    assert_int_equal(a.local_len, 5);
    assert_string_equal(a.domain, "c.test"); /* the last '@' decides (pitfalls.md 7.14) */
}

static void source_routes_are_stripped(void **state)
{
    (void)state;
    check("@a.test,@b.test:user@c.test", "user@c.test", "c.test");
    check("@a.test:postmaster", "postmaster", "");
    check_fault("@a.test", ADDRESS_SYNTAX);
    check_fault("@a.test:", ADDRESS_SYNTAX);
    check_fault("@:u@c.test", ADDRESS_SYNTAX);
    check_fault("@a.test,b.test:u@c.test", ADDRESS_SYNTAX);
    check_fault("@a..test:u@c.test", ADDRESS_SYNTAX);
    check_fault("@a.test,:u@c.test", ADDRESS_SYNTAX);
}

static void postmaster_needs_no_domain(void **state)
{
    struct address a;
    (void)state;
    check("postmaster", "postmaster", "");
    check("PostMaster", "PostMaster", "");
    check_fault("ada", ADDRESS_SYNTAX);
    assert_int_equal(address_parse_reverse(SPAN("postmaster"), &a), ADDRESS_SYNTAX);
    assert_string_equal(a.text, "");
}

static void the_null_reverse_path_is_empty(void **state)
{
    struct address a;
    (void)state;
    assert_int_equal(address_parse_reverse(SPAN(""), &a), ADDRESS_FINE);
    assert_string_equal(a.text, "");
    assert_string_equal(a.domain, "");
    assert_int_equal(address_parse_reverse(SPAN("a@b.test"), &a), ADDRESS_FINE);
    assert_string_equal(a.domain, "b.test");
    assert_int_equal(address_parse_reverse(SPAN("a@"), &a), ADDRESS_SYNTAX);
    check_fault("", ADDRESS_SYNTAX);
}

static void literals_are_read(void **state)
{
    struct address a;
    (void)state;
    check("u@[192.0.2.5]", "u@[192.0.2.5]", "[192.0.2.5]");
    check("u@[ipv6:2001:DB8:0::5]", "u@[ipv6:2001:DB8:0::5]", "[IPv6:2001:db8::5]");
    assert_int_equal(address_parse(SPAN("u@[192.0.2.5]"), &a), ADDRESS_FINE);
    assert_true(a.is_literal);
    assert_int_equal(a.literal.family, ADDRESS_V4);
    assert_int_equal(a.literal.bytes[3], 5);
    check_fault("u@[2001:db8::5]", ADDRESS_BAD_DOMAIN);
    check_fault("u@[]", ADDRESS_BAD_DOMAIN);
    check_fault("u@[192.0.2.256]", ADDRESS_BAD_DOMAIN);
    check_fault("u@[x:y]", ADDRESS_BAD_DOMAIN);
    check_fault("u@[192.0.2.5", ADDRESS_BAD_DOMAIN);
}

static void bad_forms_are_refused(void **state)
{
    (void)state;
    check_fault("@", ADDRESS_SYNTAX);
    check_fault("a@", ADDRESS_SYNTAX);
    check_fault(".a@b.test", ADDRESS_SYNTAX);
    check_fault("a.@b.test", ADDRESS_SYNTAX);
    check_fault("a..b@b.test", ADDRESS_SYNTAX);
    check_fault("a b@b.test", ADDRESS_SYNTAX);
    check_fault("a<b@b.test", ADDRESS_SYNTAX);
    check_fault("\"a@b.test", ADDRESS_SYNTAX);
    check_fault("\"a\\", ADDRESS_SYNTAX);
    check_fault("\"a\"b@b.test", ADDRESS_SYNTAX);
    check_fault("a@b@c.test", ADDRESS_BAD_DOMAIN);
    check_fault("a@b..test", ADDRESS_BAD_DOMAIN);
    check_fault("a@b.test.", ADDRESS_BAD_DOMAIN);
    check_fault("a@b_c.test", ADDRESS_BAD_DOMAIN);
}

static void no_control_byte_passes(void **state)
{
    struct address a;
    (void)state;
    for (int c = 0; c < 0x20; c++) {
        char text[] = "\"axb\"@c.test";
        text[2] = (char)c;
        assert_int_equal(address_parse((struct span){ text, sizeof(text) - 1 }, &a),
                         ADDRESS_SYNTAX);
    }
    check_fault("\"a\x7f\"@c.test", ADDRESS_SYNTAX);
    check_fault("\xc3\xa4\r@c.test", ADDRESS_SYNTAX);
}

static void eight_bit_needs_smtputf8(void **state)
{
    (void)state;
    check_fault("\xc3\xa4@c.test", ADDRESS_NON_ASCII);
    check_fault("a@\xc3\xa4.test", ADDRESS_NON_ASCII);
}

static void check_utf8(const char *path, const char *domain, const char *ascii)
{
    struct address a;
    char room[ADDRESS_ASCII_SIZE];

    assert_int_equal(address_parse_utf8(span_of(path), &a), ADDRESS_FINE);
    assert_string_equal(a.text, path);
    assert_string_equal(a.domain, domain);
    assert_false(address_is_ascii(&a));
    assert_int_equal(address_to_ascii(&a, room), ascii != NULL);
    assert_string_equal(room, ascii ? ascii : "");
}

/* RFC 6531 s.3.3; DNS gets A-labels (s.3.2) */
static void utf8_is_taken_where_asked_for(void **state)
{
    struct address a;
    char room[ADDRESS_ASCII_SIZE];
    (void)state;
    check_utf8("ada@b\xc3\xbc"
               "cher.test",
               "xn--bcher-kva.test", "ada@xn--bcher-kva.test");
    check_utf8("j\xc3\xb6rg@example.net", "example.net", NULL);
    check_utf8("\"j\xc3\xb6 rg\"@example.net", "example.net", NULL);
    check_utf8("\xe7\x94\xa8\xe6\x88\xb7@\xe4\xbe\x8b\xe5\xad\x90.test", "xn--fsqu00a.test", NULL);
    assert_int_equal(address_parse_utf8(SPAN("ada@example.net"), &a), ADDRESS_FINE);
    assert_true(address_is_ascii(&a) && address_to_ascii(&a, room));
    assert_string_equal(room, "ada@example.net");
    assert_int_equal(address_parse_reverse(SPAN("\xc3\xa4@c.test"), &a), ADDRESS_FINE);
}

static void utf8_out_of_form_is_refused(void **state)
{
    static const char *const bad[] = { "\xc3@c.test",
                                       "\xc3\x28@c.test",
                                       "\xed\xa0\x80@c.test",
                                       "a\xc2\x9b"
                                       "b@c.test",
                                       "\xc0\xafx@c.test",
                                       "\xff@c.test",
                                       "@\xc3:a@c.test" };
    struct address a;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(address_parse_utf8(span_of(bad[i]), &a), ADDRESS_SYNTAX);
    /* no domain of IDNA2008: capitals, symbols, a leading combining mark, too long */
    assert_int_equal(address_parse_utf8(SPAN("a@B\xc3\x9c.test"), &a), ADDRESS_BAD_DOMAIN);
    assert_int_equal(address_parse_utf8(SPAN("a@\xe2\x98\x83.test"), &a), ADDRESS_BAD_DOMAIN);
    assert_int_equal(address_parse_utf8(SPAN("a@\xcc\x81x.test"), &a), ADDRESS_BAD_DOMAIN);
    assert_int_equal(address_parse_utf8(SPAN("a@x\xc3\xa4..test"), &a), ADDRESS_BAD_DOMAIN);
    assert_string_equal(a.text, "");
}

/* RFC 5321 s.4.5.3.1.1 asks for at least 64; VERP and SRS make longer ones. */
static void a_local_part_may_fill_the_path(void **state)
{
    struct address a;
    char text[400];
    (void)state;
    memset(text, 'a', sizeof(text));
    strcpy(text + 65, "@b.test");
    assert_int_equal(address_parse(span_of(text), &a), ADDRESS_FINE);
    assert_int_equal(a.local_len, 65);
    memset(text, 'a', sizeof(text));
    strcpy(text + ADDRESS_MAX - 7, "@b.test");
    assert_int_equal(address_parse_reverse(span_of(text), &a), ADDRESS_FINE);
    assert_int_equal(a.local_len, ADDRESS_MAX - 7);
    assert_string_equal(a.text, text);
    memset(text, 'a', sizeof(text));
    strcpy(text + ADDRESS_MAX - 6, "@b.test");
    assert_int_equal(address_parse_reverse(span_of(text), &a), ADDRESS_TOO_LONG);
}

static void paths_are_bounded(void **state)
{
    struct address a;
    char text[400];
    (void)state;
    strcpy(text, "a@");
    memset(text + 2, 'b', 300);
    for (size_t i = 3; i < 302; i += 2)
        text[i] = '.';
    assert_int_equal(address_parse((struct span){ text, 253 }, &a), ADDRESS_FINE);
    assert_int_equal(address_parse((struct span){ text, 255 }, &a), ADDRESS_TOO_LONG);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "address: a mailbox keeps its text and gets a domain to look up",
          a_mailbox_keeps_its_text_and_gets_a_domain_to_look_up, 0, 0, 0 },
        { "address: quoted local-parts are taken", quoted_local_parts_are_taken, 0, 0, 0 },
        { "address: source routes are stripped (RFC 5321 s.4.1.1.3)", source_routes_are_stripped, 0,
          0, 0 },
        { "address: postmaster alone needs no domain, but sends no mail",
          postmaster_needs_no_domain, 0, 0, 0 },
        { "address: the null reverse-path is empty", the_null_reverse_path_is_empty, 0, 0, 0 },
        { "address: literals are read, IPv6 with its tag (RFC 5321 s.4.1.3)", literals_are_read, 0,
          0, 0 },
        { "address: bad forms are refused", bad_forms_are_refused, 0, 0, 0 },
        { "address: no control byte passes (pitfalls.md 7.4)", no_control_byte_passes, 0, 0, 0 },
        { "address: 8-bit needs SMTPUTF8", eight_bit_needs_smtputf8, 0, 0, 0 },
        { "address: with SMTPUTF8 a local-part may be UTF-8, and a domain has its A-labels",
          utf8_is_taken_where_asked_for, 0, 0, 0 },
        { "address: UTF-8 out of form, controls and domains that IDNA refuses are no address",
          utf8_out_of_form_is_refused, 0, 0, 0 },
        { "address: a local-part may be as long as the path allows", a_local_part_may_fill_the_path,
          0, 0, 0 },
        { "address: paths are bounded", paths_are_bounded, 0, 0, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
