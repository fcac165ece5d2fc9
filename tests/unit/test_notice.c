#include "smtpd/pickup/notice.h"

#include <string.h>

#include "tests/support/test.h"

struct notice {
    struct buf commands;
    struct buf content;
};

static bool write_it(struct notice *notice, const char *sender, bool partly)
{
    const struct notice_facts facts = {
        .hostname = "relay.example",
        .sender = span_of(sender),
        .refusals = SPAN("<b@c.test>: 550 5.1.1 Nobody\n<d@e.test>: 501 5.1.3 No\n"),
        .partly = partly,
        .now_utc_ms = INT64_C(1769767200000), /* Fri, 30 Jan 2026 10:00:00 */
    };

    buf_init(&notice->commands, NOTICE_MAX);
    buf_init(&notice->content, NOTICE_MAX);
    return notice_write(&facts, &notice->commands, &notice->content);
}

static const char *text_of(struct buf *buf)
{
    static char text[4096];

    assert_true(span_to_string(buf_span(buf), text, sizeof(text)));
    return text;
}

static void clear(struct notice *notice)
{
    buf_clear(&notice->commands);
    buf_clear(&notice->content);
}

static void the_sender_is_told_who_did_not_get_it_and_why(void **state)
{
    struct notice notice;

    (void)state;
    assert_true(write_it(&notice, "<ada@example.net>", true));
    assert_string_equal(text_of(&notice.commands),
                        "MAIL FROM:<> BODY=8BITMIME\nRCPT TO:<ada@example.net>\n");
    const char *text = text_of(&notice.content);
    assert_non_null(strstr(text, "To: <ada@example.net>\r\n"));
    assert_non_null(strstr(text, "From: Mail Delivery System <MAILER-DAEMON@relay.example>\r\n"));
    assert_non_null(strstr(text, "Auto-Submitted: auto-replied\r\n"));
    assert_non_null(strstr(text, "Date: Fri, 30 Jan 2026 10:00:00 +0000\r\n"));
    assert_non_null(strstr(text, "\r\n    <b@c.test>: 550 5.1.1 Nobody\r\n"
                                 "    <d@e.test>: 501 5.1.3 No\r\n"));
    assert_non_null(strstr(text, "The others will get it."));
    for (const char *at = strchr(text, '\n'); at; at = strchr(at + 1, '\n'))
        assert_int_equal(at[-1], '\r');
    clear(&notice);
}

static void nobody_got_it_is_said_where_it_is_so(void **state)
{
    struct notice notice;

    (void)state;
    assert_true(write_it(&notice, "<ada@example.net>", false));
    assert_non_null(strstr(text_of(&notice.content), "Nobody got it."));
    clear(&notice);
}

static void without_a_sender_there_is_nobody_to_tell(void **state)
{
    struct notice notice;

    (void)state;
    assert_false(write_it(&notice, "<>", false));
    clear(&notice);
    assert_false(write_it(&notice, "", false));
    clear(&notice);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "the sender is told who did not get it and why",
          the_sender_is_told_who_did_not_get_it_and_why, NULL, NULL, NULL },
        { "that nobody got it is said where it is so", nobody_got_it_is_said_where_it_is_so, NULL,
          NULL, NULL },
        { "without a sender there is nobody to tell", without_a_sender_there_is_nobody_to_tell,
          NULL, NULL, NULL },
    };

    return cmocka_run_group_tests_name("notice", tests, NULL, NULL);
}
