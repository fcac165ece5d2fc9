#include "tests/support/test.h"

#include "lib/mail/dsn.h"
#include "lib/mail/xtext.h"

#include <string.h>

static void check_decoded(const char *text, const char *expected)
{
    char room[100];
    size_t len = 99;

    assert_int_equal(xtext_decode(span_of(text), room, &len), expected != NULL);
    assert_int_equal(xtext_is_valid(span_of(text)), expected != NULL);
    if (expected)
        assert_true(span_equal((struct span){ room, len }, span_of(expected)));
}

static void xtext_is_read_strictly(void **state)
{
    static const char *const bad[] = { "+",    "a+2",    "+2b", "+2G", "a b",      "a=b",
                                       "\x7f", "+0D+0A", "+7F", "+00", "\xc3\xa4", "+C3+A4" };
    (void)state;
    check_decoded("", "");
    check_decoded("QQ+20314+3D1", "QQ 314=1");
    check_decoded("Bob+2Blist@example.com", "Bob+list@example.com");
    check_decoded("!\"#$~", "!\"#$~");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        check_decoded(bad[i], NULL);
}

static void ret_is_full_or_headers(void **state)
{
    struct dsn_request dsn = { .ret_full = false };
    (void)state;
    assert_true(dsn_parse_ret(SPAN("full"), &dsn));
    assert_true(dsn.ret_full && !dsn.ret_headers);
    assert_true(dsn_parse_ret(SPAN("HDRS"), &dsn));
    assert_true(!dsn.ret_full && dsn.ret_headers);
    assert_false(dsn_parse_ret(SPAN("HDR"), &dsn));
    assert_false(dsn_parse_ret(SPAN(""), &dsn));
    assert_true(dsn.ret_headers);
}

static void an_envid_is_kept_byte_for_byte_up_to_100(void **state)
{
    struct dsn_request dsn = { .ret_full = false };
    char text[ENVID_MAX + 1];
    (void)state;
    assert_true(dsn_parse_envid(SPAN("QQ+20314+3D1"), &dsn));
    assert_string_equal(dsn.envid, "QQ+20314+3D1");
    assert_false(dsn_parse_envid(SPAN("a+b"), &dsn));
    assert_false(dsn_parse_envid(SPAN(""), &dsn));
    memset(text, 'x', sizeof(text));
    assert_true(dsn_parse_envid((struct span){ text, ENVID_MAX }, &dsn));
    assert_false(dsn_parse_envid((struct span){ text, ENVID_MAX + 1 }, &dsn));
    assert_int_equal(strlen(dsn.envid), ENVID_MAX);
}

static void check_notify(const char *value, uint32_t expected, const char *written)
{
    char room[DSN_NOTIFY_SIZE];
    uint32_t notify = 0;

    assert_true(dsn_parse_notify(span_of(value), &notify));
    assert_int_equal(notify, expected);
    dsn_format_notify(notify, room);
    assert_string_equal(room, written);
}

static void notify_is_never_or_a_list(void **state)
{
    static const char *const bad[] = { "",      "NEVER,SUCCESS", "SUCCESS,NEVER", "SUCCESS,SUCCESS",
                                       "OFTEN", "SUCCESS,",      ",DELAY",        "SUCCESS;DELAY" };
    uint32_t notify = 99;
    char room[DSN_NOTIFY_SIZE];
    (void)state;
    check_notify("never", NOTIFY_NEVER, "NEVER");
    check_notify("Success", NOTIFY_SUCCESS, "SUCCESS");
    check_notify("DELAY,FAILURE", NOTIFY_FAILURE | NOTIFY_DELAY, "FAILURE,DELAY");
    check_notify("SUCCESS,FAILURE,DELAY", NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY,
                 "SUCCESS,FAILURE,DELAY");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(dsn_parse_notify(span_of(bad[i]), &notify));
    assert_int_equal(notify, 99);
    dsn_format_notify(0, room);
    assert_string_equal(room, "");
    dsn_format_notify(UINT32_MAX, room); /* what no client said stays within the room */
    assert_true(strlen(room) < DSN_NOTIFY_SIZE);
    assert_false(dsn_notify_is_valid(NOTIFY_NEVER | NOTIFY_DELAY));
    assert_false(dsn_notify_is_valid(16));
    assert_true(dsn_notify_is_valid(0));
}

static void an_orcpt_is_a_type_and_an_xtext(void **state)
{
    static const char *const bad[] = { "",         "rfc822",       "rfc822;",        ";a@b.test",
                                       "rf c;a@b", "rfc822;a b",   "rfc822;a+b",     "rfc822;a=b",
                                       "r@c;a@b",  "rfc822;a+0Ab", "rfc822;\xc3\xa4" };
    char orcpt[ORCPT_MAX + 1] = "as it was";
    char text[ORCPT_MAX + 1];
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(dsn_parse_orcpt(span_of(bad[i]), orcpt));
    assert_string_equal(orcpt, "as it was");
    assert_true(dsn_parse_orcpt(SPAN("RFC822;Bob+2Blist@Example.com"), orcpt));
    assert_string_equal(orcpt, "RFC822;Bob+2Blist@Example.com");
    assert_true(dsn_parse_orcpt(SPAN("utf-8;b\\x{E4}r@example.com"), orcpt));
    memset(text, 'x', sizeof(text));
    memcpy(text, "rfc822;", 7);
    assert_true(dsn_parse_orcpt((struct span){ text, ORCPT_MAX }, orcpt));
    assert_false(dsn_parse_orcpt((struct span){ text, ORCPT_MAX + 1 }, orcpt));
    assert_true(dsn_orcpt_is_valid((struct span){ text, ORCPT_MAX })); /* from another role */
    assert_false(dsn_orcpt_is_valid((struct span){ text, ORCPT_MAX + 1 }));
}

static void check_utf8(const char *text, const char *decoded, const char *ascii)
{
    char orcpt[ORCPT_MAX + 1] = "utf-8;", room[ORCPT_MAX + 1];
    struct buf out;

    strcat(orcpt, text);
    buf_init(&out, ORCPT_MAX);
    assert_true(dsn_orcpt_is_valid(span_of(orcpt)));
    assert_true(xtext_utf8_decode(span_of(text), &out));
    assert_true(span_equal(buf_span(&out), span_of(decoded)));
    assert_true(dsn_orcpt_to_ascii(span_of(orcpt), room));
    assert_string_equal(room + 6, ascii);
    buf_clear(&out);
}

/* RFC 6533 s.3 */
static void an_orcpt_of_type_utf_8_may_be_utf_8(void **state)
{
    static const char *const bad[] = { "utf-8;\xc3",
                                       "utf-8;a b",
                                       "utf-8;a=b",
                                       "utf-8;a+b",
                                       "utf-8;\xc2\x9b"
                                       "a",
                                       "utf-8;" };
    char room[ORCPT_MAX + 1];
    char text[ORCPT_MAX + 1] = "utf-8;";
    struct buf out;
    (void)state;
    check_utf8("b\xc3\xa4r@example.com", "b\xc3\xa4r@example.com", "b\\x{E4}r@example.com");
    assert_true(
        dsn_orcpt_is_valid(SPAN("rfc822;j+C3+BCrgen@example.com"))); /* as Postfix says it */
    assert_true(dsn_orcpt_is_valid(SPAN("utf-8;j+C3+BCrgen@example.com")));
    assert_false(dsn_orcpt_is_valid(SPAN("rfc822;a+C3b@example.com")));
    assert_false(dsn_orcpt_is_valid(SPAN("rfc822;a+C2+9Bb@example.com")));
    check_utf8("b\\x{E4}r", "b\xc3\xa4r", "b\\x{E4}r");
    check_utf8("\\x{1F600}\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80\xf0\x9f\x98\x80",
               "\\x{1F600}\\x{1F600}");
    check_utf8("\\x{20AC}+2B\\x{5c}\\x{20}", "\xe2\x82\xac+\\ ", "\\x{20AC}+2B\\x{5c}\\x{20}");
    /* what codes no character of an address stands for itself */
    check_utf8("\\x{41}\\x{D800}\\x{9B}", "\\x{41}\\x{D800}\\x{9B}", "\\x{41}\\x{D800}\\x{9B}");
    check_utf8("\\x{E4\\y\\x{}\\x{GG}\\x{1234567}", "\\x{E4\\y\\x{}\\x{GG}\\x{1234567}",
               "\\x{E4\\y\\x{}\\x{GG}\\x{1234567}");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(dsn_orcpt_is_valid(span_of(bad[i])));
    for (size_t i = 6; i + 2 < sizeof(text); i += 2)
        memcpy(text + i, "\xc3\xa4", 3);
    assert_true(dsn_orcpt_is_valid(span_of(text)));
    assert_false(dsn_orcpt_to_ascii(span_of(text), room)); /* six times as long */
    buf_init(&out, 100);
    assert_false(xtext_utf8_decode(SPAN("a b"), &out));
    assert_false(xtext_utf8_to_ascii(SPAN("a b"), &out));
    buf_clear(&out);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "xtext: upper-case hex, printable ASCII, and nothing else (RFC 3461 s.4)",
          xtext_is_read_strictly, 0, 0, 0 },
        { "dsn: RET is FULL or HDRS", ret_is_full_or_headers, 0, 0, 0 },
        { "dsn: an ENVID is kept byte for byte, up to 100",
          an_envid_is_kept_byte_for_byte_up_to_100, 0, 0, 0 },
        { "dsn: NOTIFY is NEVER, or a list in which nothing stands twice",
          notify_is_never_or_a_list, 0, 0, 0 },
        { "dsn: ORCPT of type utf-8 may be UTF-8, and has a form in ASCII (RFC 6533 s.3)",
          an_orcpt_of_type_utf_8_may_be_utf_8, 0, 0, 0 },
        { "dsn: ORCPT is a type and an xtext, up to 500", an_orcpt_is_a_type_and_an_xtext, 0, 0,
          0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
