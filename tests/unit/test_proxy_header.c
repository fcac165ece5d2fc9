#include "lib/mail/proxy_header.h"

#include <string.h>

#include "tests/support/test.h"

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }
#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

static enum proxy_progress parse(struct span bytes, struct proxy_header *h)
{
    return proxy_header_parse(bytes, h);
}

static void assert_endpoint(const struct endpoint *e, const char *expected)
{
    char text[NETWORK_TEXT_SIZE];

    endpoint_format(e, text);
    assert_string_equal(text, expected);
}

static void assert_broken(struct span bytes)
{
    struct proxy_header h;

    if (parse(bytes, &h) != PROXY_BROKEN)
        fail_msg("not refused: \"" SPAN_FMT "\"", SPAN_ARG(bytes));
}

/* Whatever is cut off, more is asked for, and nothing else. */
static void assert_every_cut_waits(struct span whole)
{
    struct proxy_header h;

    for (size_t len = 0; len < whole.len; len++)
        assert_int_equal(parse(span_first(whole, len), &h), PROXY_MORE);
    assert_int_equal(parse(whole, &h), PROXY_WHOLE);
    assert_int_equal(h.length, whole.len);
}

static void a_line_names_client_and_server(void **state)
{
    struct proxy_header h;

    (void)state;
    assert_int_equal(parse(SPAN("PROXY TCP4 192.0.2.7 198.51.100.1 56324 25\r\nEHLO x\r\n"), &h),
                     PROXY_WHOLE);
    assert_true(h.is_proxied);
    assert_int_equal(h.length, 44);
    assert_endpoint(&h.client, "192.0.2.7:56324");
    assert_endpoint(&h.server, "198.51.100.1:25");
    assert_int_equal(parse(SPAN("PROXY TCP6 2001:db8::7 2001:db8::1 0 65535\r\n"), &h),
                     PROXY_WHOLE);
    assert_endpoint(&h.client, "[2001:db8::7]:0");
    assert_endpoint(&h.server, "[2001:db8::1]:65535");
    assert_int_equal(parse(SPAN("PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n"), &h), PROXY_WHOLE);
    assert_endpoint(&h.client, "192.0.2.7:1");
}

static void an_unknown_client_is_the_proxy_itself(void **state)
{
    struct proxy_header h;

    (void)state;
    assert_int_equal(parse(SPAN("PROXY UNKNOWN\r\n"), &h), PROXY_WHOLE);
    assert_false(h.is_proxied);
    assert_int_equal(parse(SPAN("PROXY UNKNOWN ffff::1 x 99999\r\n"), &h), PROXY_WHOLE);
    assert_false(h.is_proxied);
    assert_int_equal(h.length, 31);
}

static void a_line_is_waited_for(void **state)
{
    (void)state;
    assert_every_cut_waits(SPAN("PROXY TCP4 192.0.2.7 198.51.100.1 56324 25\r\n"));
    assert_every_cut_waits(SPAN("PROXY UNKNOWN\r\n"));
}

static void a_line_with_an_error_is_refused(void **state)
{
    (void)state;
    assert_broken(SPAN("EHLO client.test\r\n"));
    assert_broken(SPAN("proxy TCP4"));
    assert_broken(SPAN("PROXY  TCP4 192.0.2.7 192.0.2.1 1 2\r\n"));
    assert_broken(SPAN("PROXY TCP5 192.0.2.7 192.0.2.1 1 2\r\n"));
    assert_broken(SPAN("PROXY UNKNOWNS\r\n"));
    assert_broken(SPAN("PROXY TCP4 192.0.2.7 192.0.2.1 1 2\n"));
    assert_broken(SPAN("PROXY TCP4 192.0.2.7  192.0.2.1 1 2\r\n"));
    assert_broken(SPAN("PROXY TCP4 192.0.2.7 192.0.2.1 1 2 \r\n"));
    assert_broken(SPAN("PROXY TCP4 192.0.2.7 192.0.2.1 1 2 3\r\n"));
    assert_broken(SPAN("PROXY TCP4 192.0.2.7 192.0.2.1 1\r\n"));
    assert_broken(SPAN("PROXY TCP4 192.0.2.7 192.0.2.1\r\n"));
    assert_broken(SPAN("PROXY TCP4 192.0.2.7\r\n"));
    assert_broken(SPAN("PROXY TCP4 \r\n"));
    assert_broken(SPAN("PROXY TCP4 192.0.2.7 192.0.2.1 01 2\r\n"));
    assert_broken(SPAN("PROXY TCP4 192.0.2.7 192.0.2.1 65536 2\r\n"));
    assert_broken(SPAN("PROXY TCP4 192.0.2.7 192.0.2.1 1 -2\r\n"));
    assert_broken(SPAN("PROXY TCP4 192.0.2.07 192.0.2.1 1 2\r\n"));
    assert_broken(SPAN("PROXY TCP4 2001:db8::7 192.0.2.1 1 2\r\n"));
    assert_broken(SPAN("PROXY TCP4 192.0.2.7 ::1 1 2\r\n"));
    assert_broken(SPAN("PROXY TCP6 192.0.2.7 ::1 1 2\r\n"));
}

static void a_line_has_107_bytes_at_most(void **state)
{
    char line[PROXY_LINE_MAX + 2];
    struct proxy_header h;

    (void)state;
    memset(line, 'x', sizeof(line));
    memcpy(line, "PROXY UNKNOWN ", 14);
    assert_int_equal(parse((struct span){ line, PROXY_LINE_MAX - 1 }, &h), PROXY_MORE);
    assert_broken((struct span){ line, PROXY_LINE_MAX });
    line[PROXY_LINE_MAX - 2] = '\r';
    line[PROXY_LINE_MAX - 1] = '\n';
    assert_int_equal(parse((struct span){ line, PROXY_LINE_MAX }, &h), PROXY_WHOLE);
    line[PROXY_LINE_MAX - 2] = 'x';
    line[PROXY_LINE_MAX - 1] = '\r';
    line[PROXY_LINE_MAX] = '\n';
    assert_broken((struct span){ line, PROXY_LINE_MAX + 1 });
}

static void a_binary_header_names_client_and_server(void **state)
{
    struct proxy_header h;

    (void)state;
    assert_int_equal(parse(SPAN(SIGNATURE "\x21\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x01\xdc\x04"
                                          "\0\x19"
                                          "EHLO"),
                           &h),
                     PROXY_WHOLE);
    assert_true(h.is_proxied);
    assert_int_equal(h.length, 28);
    assert_endpoint(&h.client, "192.0.2.7:56324");
    assert_endpoint(&h.server, "198.51.100.1:25");
    assert_int_equal(
        parse(SPAN(SIGNATURE "\x21\x21\0\x24"
                             "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07"
                             "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc6\x33\x64\x01\0\x01\0\x19"),
              &h),
        PROXY_WHOLE);
    assert_endpoint(&h.client, "[2001:db8::7]:1");
    assert_endpoint(&h.server, "198.51.100.1:25");
}

static void what_follows_the_addresses_is_skipped(void **state)
{
    const struct span whole = SPAN(SIGNATURE "\x21\x11\0\x11\xc0\0\x02\x07\xc6\x33\x64\x01\xdc\x04"
                                             "\0\x19\x04\0\x02xx");
    struct proxy_header h;

    (void)state;
    assert_every_cut_waits(whole);
    assert_int_equal(parse(whole, &h), PROXY_WHOLE);
    assert_endpoint(&h.client, "192.0.2.7:56324");
}

static void a_local_header_is_the_proxy_itself(void **state)
{
    struct proxy_header h;

    (void)state;
    assert_every_cut_waits(SPAN(SIGNATURE "\x20\x11\0\x05xxxxx"));
    assert_int_equal(parse(SPAN(SIGNATURE "\x20\0\0\0"), &h), PROXY_WHOLE);
    assert_false(h.is_proxied);
    assert_int_equal(parse(SPAN(SIGNATURE "\x21\0\0\x01x"), &h), PROXY_WHOLE);
    assert_false(h.is_proxied);
    assert_int_equal(h.length, 17);
    assert_int_equal(parse(SPAN(SIGNATURE "\x21\x31\0\0"), &h), PROXY_WHOLE);
    assert_false(h.is_proxied);
}

static void a_binary_header_with_an_error_is_refused(void **state)
{
    (void)state;
    assert_broken(SPAN("\r\n\r\n\0\r\nQUIX"));
    assert_broken(SPAN("\r\n\r\nEHLO"));
    assert_broken(SPAN(SIGNATURE "\x11\x11\0\0"));
    assert_broken(SPAN(SIGNATURE "\x22\x11\0\0"));
    assert_broken(SPAN(SIGNATURE "\x21\x12\0\x0cxxxxxxxxxxxx"));
    assert_broken(SPAN(SIGNATURE "\x21\x11\0\x0bxxxxxxxxxxx"));
    assert_broken(SPAN(SIGNATURE "\x21\x21\0\x0cxxxxxxxxxxxx"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("version 1: a line names client and server", a_line_names_client_and_server),
        TEST("version 1: an unknown client is the proxy itself",
             an_unknown_client_is_the_proxy_itself),
        TEST("version 1: a line is waited for, to its last byte", a_line_is_waited_for),
        TEST("version 1: a line with an error is refused", a_line_with_an_error_is_refused),
        TEST("version 1: a line has 107 bytes at most", a_line_has_107_bytes_at_most),
        TEST("version 2: a header names client and server",
             a_binary_header_names_client_and_server),
        TEST("version 2: what follows the addresses is skipped",
             what_follows_the_addresses_is_skipped),
        TEST("version 2: a LOCAL header is the proxy itself", a_local_header_is_the_proxy_itself),
        TEST("version 2: a header with an error is refused",
             a_binary_header_with_an_error_is_refused),
    };

    return cmocka_run_group_tests_name("proxy_header", tests, NULL, NULL);
}
