#include "tests/support/test.h"

#include "tlsrpt/destination.h"

#include <stdio.h>
#include <string.h>

static struct destinations list;

static enum destination_fault add(const char *uri)
{
    return destinations_add(&list, span_of(uri));
}

/* The only one that comes of a URI. */
static const struct destination *only(const char *uri)
{
    list.count = 0;
    assert_int_equal(add(uri), DESTINATION_FINE);
    assert_int_equal(list.count, 1);
    return &list.items[0];
}

static void assert_refused(const char *uri, enum destination_fault fault)
{
    list.count = 0;
    if (add(uri) != fault || list.count != 0)
        fail_msg("%s: %s", uri, destination_fault_text(add(uri)));
}

static void a_mailto_is_an_address(void **state)
{
    const struct destination *to = only("MailTo:TLS-rpt@Example.NET");
    (void)state;
    assert_int_equal(to->kind, DESTINATION_MAIL);
    assert_string_equal(to->address, "TLS-rpt@example.net");
    assert_string_equal(to->host, "example.net");
    assert_string_equal(to->text, "mailto:TLS-rpt@example.net");
}

static void percent_signs_are_decoded(void **state)
{
    (void)state;
    assert_string_equal(only("mailto:a%2bb@example.net")->address, "a+b@example.net");
    assert_string_equal(only("mailto:a%21@%65xample.net")->address, "a!@example.net");
}

static void a_destination_s_text_leads_to_the_same_again(void **state)
{
    struct destination first = *only("mailto:%22a%2Cb%3F%25%22@example.net");
    (void)state;
    assert_string_equal(first.address, "\"a,b?%\"@example.net");
    assert_string_equal(first.text, "mailto:%22a%2Cb%3F%25%22@example.net");
    assert_string_equal(only(first.text)->address, first.address);
    first = *only("https://example.net:8443/%20?a#b");
    assert_string_equal(only(first.text)->text, first.text);
}

static void header_fields_of_a_mailto_are_left_alone(void **state)
{
    (void)state;
    assert_string_equal(only("mailto:a@example.net?bcc=b@example.org&body=x%0D%0Ay")->text,
                        "mailto:a@example.net");
    assert_string_equal(only("mailto:a@example.net?")->text, "mailto:a@example.net");
}

static void a_mailto_may_name_several_addresses(void **state)
{
    (void)state;
    list.count = 0;
    assert_int_equal(add("mailto:a@example.net%2C%20b@example.org"), DESTINATION_FINE);
    assert_int_equal(list.count, 2);
    assert_string_equal(list.items[1].address, "b@example.org");
    assert_string_equal(only("mailto:%22a%2Cb%22@example.net")->address, "\"a,b\"@example.net");
    assert_string_equal(only("mailto:%22a%5C%22%2Cb%22@example.net")->address,
                        "\"a\\\",b\"@example.net");
    list.count = 0;
    assert_int_equal(add("mailto:nobody%2Ca@example.net%2C"), DESTINATION_ADDRESS);
    assert_int_equal(list.count, 1);
    assert_string_equal(list.items[0].address, "a@example.net");
}

static void nothing_ends_a_line_or_goes_beyond_ascii(void **state)
{
    (void)state;
    assert_refused("mailto:a@example.net%0D%0ABcc:b@example.org", DESTINATION_BYTES);
    assert_refused("mailto:a%00@example.net", DESTINATION_BYTES);
    assert_refused("mailto:a%09b@example.net", DESTINATION_BYTES);
    assert_refused("mailto:a%7F@example.net", DESTINATION_BYTES);
    assert_refused("mailto:%C3%BC@example.net", DESTINATION_BYTES);
    assert_refused("mailto:\xc3\xbc@example.net", DESTINATION_BYTES);
    assert_refused("mailto:a@example.net\r\nBcc: b@example.org", DESTINATION_BYTES);
    assert_refused("https://example.net/\r\nHost: b", DESTINATION_BYTES);
}

static void what_is_no_address_is_refused(void **state)
{
    (void)state;
    assert_refused("mailto:", DESTINATION_ADDRESS);
    assert_refused("mailto:?to=a@example.net", DESTINATION_ADDRESS);
    assert_refused("mailto:nobody", DESTINATION_ADDRESS);
    assert_refused("mailto:postmaster", DESTINATION_ADDRESS);
    assert_refused("mailto:@example.net", DESTINATION_ADDRESS);
    assert_refused("mailto:a@", DESTINATION_ADDRESS);
    assert_refused("mailto:a b@example.net", DESTINATION_ADDRESS);
    assert_refused("mailto:a@-example.net", DESTINATION_ADDRESS);
    assert_refused("mailto:a@[192.0.2.1]", DESTINATION_HOST);
    assert_refused("mailto:a%2@example.net", DESTINATION_SYNTAX);
    assert_refused("mailto:a%", DESTINATION_SYNTAX);
    assert_refused("mailto:a%zz@example.net", DESTINATION_SYNTAX);
}

static void endless_ones_are_refused(void **state)
{
    static char uri[8000];
    (void)state;
    memset(uri, 'a', sizeof(uri) - 1);
    memcpy(uri, "mailto:", 7);
    assert_refused(uri, DESTINATION_TOO_LONG);
    memcpy(uri, "https://example.net/", 20);
    assert_refused(uri, DESTINATION_TOO_LONG);
    memcpy(uri, "https://", 8);
    memset(uri + 8, 'a', 12);
    assert_refused(uri, DESTINATION_TOO_LONG);
    memcpy(uri, "https://example.net/", 20);
    uri[19 + DESTINATION_PATH_MAX - 1] = '\0'; /* one byte is kept for a slash */
    assert_int_equal(strlen(only(uri)->path), DESTINATION_PATH_MAX - 1);
}

static void an_https_uri_is_host_port_and_path(void **state)
{
    const struct destination *to = only("HTTPS://Reports.Example.NET/v1/tlsrpt?key=a%20b#part");
    (void)state;
    assert_int_equal(to->kind, DESTINATION_HTTPS);
    assert_string_equal(to->host, "reports.example.net");
    assert_int_equal(to->port, 443);
    assert_string_equal(to->path, "/v1/tlsrpt?key=a%20b");
    assert_string_equal(to->text, "https://reports.example.net/v1/tlsrpt?key=a%20b");
    to = only("https://example.net:8443");
    assert_int_equal(to->port, 8443);
    assert_string_equal(to->path, "/");
    assert_string_equal(to->text, "https://example.net:8443/");
    assert_string_equal(only("https://example.net?a=b")->path, "/?a=b");
    assert_string_equal(only("https://example.net#a")->text, "https://example.net/");
    assert_string_equal(only("https://example.net:/x")->text, "https://example.net/x");
    assert_string_equal(only("https://example.net:443/x")->text, "https://example.net/x");
}

static void only_names_are_hosts(void **state)
{
    (void)state;
    assert_refused("https:///x", DESTINATION_HOST);
    assert_refused("https://10.0.0.1/", DESTINATION_HOST);
    assert_refused("https://[2001:db8::1]/", DESTINATION_HOST);
    assert_refused("https://2130706433/", DESTINATION_HOST);
    assert_refused("https://0x7f.1/", DESTINATION_HOST);
    assert_refused("https://a.0x7f000001/", DESTINATION_HOST);
    assert_refused("https://localhost/", DESTINATION_HOST);
    assert_refused("https://ada:secret@example.net/", DESTINATION_HOST);
    assert_refused("https://ada@example.net/", DESTINATION_HOST);
    assert_refused("https://exa%6Dple.net/", DESTINATION_HOST);
    assert_refused("https://example.net:0/", DESTINATION_HOST);
    assert_refused("https://example.net:65536/", DESTINATION_HOST);
    assert_refused("https://example.net:x/", DESTINATION_HOST);
    assert_refused("https://example.net:1:2/", DESTINATION_HOST);
}

static void other_uris_are_refused(void **state)
{
    (void)state;
    assert_refused("", DESTINATION_SCHEME);
    assert_refused("a@example.net", DESTINATION_SCHEME);
    assert_refused("http://example.net/", DESTINATION_SCHEME);
    assert_refused("file:///etc/passwd", DESTINATION_SCHEME);
    assert_refused("https:example.net/", DESTINATION_SYNTAX);
    assert_refused("https://example.net/a b", DESTINATION_SYNTAX);
    assert_refused("https://example.net/\"", DESTINATION_SYNTAX);
    assert_refused("https://example.net/\\", DESTINATION_SYNTAX);
}

static void two_of_a_host_and_ten_in_all_are_used(void **state)
{
    char uri[64];
    (void)state;
    list.count = 0;
    assert_int_equal(add("mailto:a@example.net"), DESTINATION_FINE);
    assert_int_equal(add("mailto:a@Example.net"), DESTINATION_REPEATED);
    assert_int_equal(add("https://example.net/"), DESTINATION_FINE);
    assert_int_equal(add("mailto:b@example.net"), DESTINATION_CROWDED);
    for (unsigned i = 2; i < RUA_MAX; i++) {
        snprintf(uri, sizeof(uri), "mailto:a@h%u.example.net", i);
        assert_int_equal(add(uri), DESTINATION_FINE);
    }
    assert_int_equal(add("mailto:a@last.example.net"), DESTINATION_TOO_MANY);
    assert_int_equal(list.count, RUA_MAX);
}

static void every_fault_has_its_words(void **state)
{
    (void)state;
    for (int fault = DESTINATION_FINE; fault <= DESTINATION_TOO_MANY; fault++)
        assert_true(strlen(destination_fault_text((enum destination_fault)fault)) > 5);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "destination: a mailto is an address", a_mailto_is_an_address, 0, 0, 0 },
        { "destination: percent signs are decoded (RFC 3986 s.2.1)", percent_signs_are_decoded, 0,
          0, 0 },
        { "destination: its text leads to the same one again",
          a_destination_s_text_leads_to_the_same_again, 0, 0, 0 },
        { "destination: header fields of a mailto are left alone (?bcc=)",
          header_fields_of_a_mailto_are_left_alone, 0, 0, 0 },
        { "destination: a mailto may name several addresses (RFC 6068 s.2)",
          a_mailto_may_name_several_addresses, 0, 0, 0 },
        { "destination: nothing ends a line or goes beyond ASCII",
          nothing_ends_a_line_or_goes_beyond_ascii, 0, 0, 0 },
        { "destination: what is no address is refused", what_is_no_address_is_refused, 0, 0, 0 },
        { "destination: endless ones are refused", endless_ones_are_refused, 0, 0, 0 },
        { "destination: an https URI is host, port and path", an_https_uri_is_host_port_and_path, 0,
          0, 0 },
        { "destination: only names are hosts: no address, no user", only_names_are_hosts, 0, 0, 0 },
        { "destination: other URIs are refused: http, files, none", other_uris_are_refused, 0, 0,
          0 },
        { "destination: two of a host and ten in all are used",
          two_of_a_host_and_ten_in_all_are_used, 0, 0, 0 },
        { "destination: every fault has its words", every_fault_has_its_words, 0, 0, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
