#include "smtpd/replies.h"

#include <string.h>

#include "lib/base/limits.h"
#include "tests/support/test.h"

static struct span written(enum reply_id id, const struct reply_facts *facts, char room[REPLY_ROOM])
{
    return (struct span){ room, reply_write(id, facts, room) };
}

static const struct reply_facts plain = {
    .hostname = "relay.example", .detail = "", .size_max = 26214400, .recipients_max = 1000
};

static bool has_fault(int id)
{
    return id != REPLY_FAULTS; /* COMMAND_FINE is no fault */
}

static void assert_one_line(struct span text, int code)
{
    assert_true(text.len >= 6 && text.len <= 512);
    assert_int_equal((text.data[0] - '0') * 100 + (text.data[1] - '0') * 10 + text.data[2] - '0',
                     code);
    assert_int_equal(text.data[3], ' ');
    assert_memory_equal(text.data + text.len - 2, "\r\n", 2);
    assert_true(span_is_printable(span_first(text, text.len - 2)));
}

static void every_reply_is_one_line_with_its_code(void **state)
{
    char room[REPLY_ROOM];

    (void)state;
    for (int id = REPLY_GREETING; id < REPLY_COUNT; id++) {
        if (id == REPLY_EHLO || !has_fault(id))
            continue;
        assert_one_line(written((enum reply_id)id, &plain, room), reply_code((enum reply_id)id));
    }
}

static void enhanced_status_fits_the_code(void **state)
{
    char room[REPLY_ROOM];

    (void)state;
    for (int id = REPLY_GREETING; id < REPLY_COUNT; id++) {
        if (!has_fault(id))
            continue;
        struct span text = written((enum reply_id)id, &plain, room);
        bool wants_one = id != REPLY_GREETING && id != REPLY_HELO && id != REPLY_EHLO &&
                         id != REPLY_SEND_DATA && id != REPLY_BEGIN_AUTH &&
                         id != REPLY_ROUTE_REFUSES; /* the route's words begin with it */
        assert_int_equal(ascii_is_digit(text.data[4]) && text.data[5] == '.', wants_one);
        if (wants_one)
            assert_int_equal(text.data[4], text.data[0]);
    }
}

static void every_421_closes(void **state)
{
    (void)state;
    for (int id = REPLY_GREETING; id < REPLY_COUNT; id++)
        if (has_fault(id) &&
            (reply_code((enum reply_id)id) == 421 || reply_code((enum reply_id)id) == 221))
            assert_int_equal(reply_next((enum reply_id)id), NEXT_CLOSE);
}

static void ehlo_lists_what_there_is(void **state)
{
    char room[REPLY_ROOM];
    struct reply_facts facts = plain;
    struct span text = written(REPLY_EHLO, &facts, room);

    (void)state;
    assert_true(span_equal(text, SPAN("250-relay.example\r\n250-PIPELINING\r\n250-SIZE 26214400\r\n"
                                      "250-LIMITS "
                                      "RCPTMAX=1000\r\n250-ENHANCEDSTATUSCODES\r\n250-"
                                      "8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n250 "
                                      "CHUNKING\r\n")));
    facts.offers_starttls = true;
    text = written(REPLY_EHLO, &facts, room);
    assert_true(span_equal(
        text, SPAN("250-relay.example\r\n250-PIPELINING\r\n250-SIZE 26214400\r\n"
                   "250-STARTTLS\r\n250-LIMITS RCPTMAX=1000\r\n250-ENHANCEDSTATUSCODES\r\n250-"
                   "8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n250 CHUNKING\r\n")));
    facts.offers_priority = true;
    facts.offers_xclient = true;
    facts.is_secure = true; /* RFC 8689 s.2 */
    text = written(REPLY_EHLO, &facts, room);
    assert_non_null(memmem(text.data, text.len, "\r\n250-REQUIRETLS\r\n", 18));
    assert_non_null(memmem(text.data, text.len, "\r\n250-MT-PRIORITY MIXER\r\n", 25));
    assert_non_null(memmem(text.data, text.len, "\r\n250-XCLIENT NAME ADDR PORT ", 27));
}

static void details_stand_behind_the_text(void **state)
{
    char room[REPLY_ROOM];
    struct reply_facts facts = plain;

    (void)state;
    facts.detail = "3f9c21";
    assert_true(span_equal(written(REPLY_QUEUED, &facts, room),
                           SPAN("250 2.0.0 Ok: queued as 3f9c21\r\n")));
    facts.detail = "5.7.9 not any more";
    assert_true(
        span_equal(written(REPLY_ROUTE_REFUSES, &facts, room), SPAN("550 5.7.9 not any more\r\n")));
    facts.detail = "bare LF";
    assert_true(span_equal(written(REPLY_BAD_CONTENT, &facts, room),
                           SPAN("550 5.6.0 Only CRLF may end a line; message has a bare LF\r\n")));
}

static void the_longest_host_name_fits(void **state)
{
    char name[DOMAIN_MAX + 1], room[REPLY_ROOM];
    struct reply_facts facts = plain;

    (void)state;
    memset(name, 'x', DOMAIN_MAX);
    name[DOMAIN_MAX] = '\0';
    facts.hostname = name;
    facts.size_max = UINT64_MAX;
    facts.offers_starttls = true;
    for (int id = REPLY_GREETING; id < REPLY_COUNT; id++)
        if (has_fault(id))
            assert_true(written((enum reply_id)id, &facts, room).len <= 512);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "every reply is one line with its code (RFC 5321 s.4.2)",
          every_reply_is_one_line_with_its_code, NULL, NULL, NULL },
        { "the enhanced status is of the code's class, and missing where RFC 2034 s.4 wants none",
          enhanced_status_fits_the_code, NULL, NULL, NULL },
        { "after 421 and 221 the connection is closed", every_421_closes, NULL, NULL, NULL },
        { "EHLO lists STARTTLS only where it can be done", ehlo_lists_what_there_is, NULL, NULL,
          NULL },
        { "queue id and reason stand behind the text", details_stand_behind_the_text, NULL, NULL,
          NULL },
        { "the longest host name fits", the_longest_host_name_fits, NULL, NULL, NULL },
    };
    return cmocka_run_group_tests_name("replies", tests, NULL, NULL);
}
