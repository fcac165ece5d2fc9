#include "tests/support/test.h"

#include "smtpd/duties.h"

#include <stdio.h>
#include <string.h>

static struct settings settings;
static struct listener_settings *const listener = &settings.listeners[0];

enum { OUT_MAX = 64 * 1024 };

static const int64_t FRIDAY_MS = INT64_C(1769767200000); /* 2026-01-30 10:00 UTC */

#define DATE "Date: Fri, 30 Jan 2026 10:00:00 +0000\r\n"
#define ID "Message-ID: <19c0e586500.000102030405060708090a0b@relay.example>\r\n"

static int no_duties(void **state)
{
    (void)state;
    memset(&settings, 0, sizeof(settings));
    strcpy(settings.origin, "example.com");
    return 0;
}

static struct duties make_duties(void)
{
    unsigned char random[DUTIES_RANDOM_SIZE];
    struct duties duties;

    for (unsigned i = 0; i < sizeof(random); i++)
        random[i] = (unsigned char)i;
    duties_init(&duties, &settings, listener);
    duties_name_message(&duties, "relay.example", FRIDAY_MS, random);
    return duties;
}

static void check(const char *block, const char *expected)
{
    struct duties duties = make_duties();
    struct buf out;

    buf_init(&out, OUT_MAX);
    assert_true(duties_apply(&duties, span_of(block), &out));
    assert_int_equal(buf_len(&out), strlen(expected));
    assert_memory_equal(buf_span(&out).data ? buf_span(&out).data : "", expected, strlen(expected));
    buf_clear(&out);
}

static void add_rewrite(const char *from, const char *to)
{
    struct rewrite *row = &settings.rewrites.items[settings.rewrites.count++];

    strcpy(row->from, from);
    strcpy(row->to, to);
}

static void without_duties_there_is_nothing_to_hold(void **state)
{
    struct duties duties = make_duties();
    (void)state;
    assert_false(duties_are_any(&duties));
    check("Bcc: a\r\nFrom: root\r\n\r\n", "Bcc: a\r\nFrom: root\r\n\r\n");
    check("", "");
}

static void each_duty_makes_a_header_held(void **state)
{
    struct duties duties;
    (void)state;
    listener->submission_fixes = SWITCH_ON;
    duties = make_duties();
    assert_true(duties_are_any(&duties));
    no_duties(NULL);
    listener->complete_addresses = SWITCH_ON;
    duties = make_duties();
    assert_true(duties_are_any(&duties));
    no_duties(NULL);
    listener->remove_headers.count = 1;
    duties = make_duties();
    assert_true(duties_are_any(&duties));
    no_duties(NULL);
    add_rewrite("a", "b");
    duties = make_duties();
    assert_true(duties_are_any(&duties));
}

static void date_and_message_id_are_added_when_missing(void **state)
{
    (void)state;
    listener->submission_fixes = SWITCH_ON;
    check("From: a@b.example\r\n\r\n", "From: a@b.example\r\n" DATE ID "\r\n");
    check("DATE : then\r\n\r\n", "DATE : then\r\n" ID "\r\n");
    check("message-id: <x@y>\r\n\r\n", "message-id: <x@y>\r\n" DATE "\r\n");
    check("Date: then\r\nMessage-Id:\r\n <x@y>\r\n\r\n",
          "Date: then\r\nMessage-Id:\r\n <x@y>\r\n\r\n");
    check("\r\n", DATE ID "\r\n");
}

static void a_header_that_ends_badly_gets_them_too(void **state)
{
    (void)state;
    listener->submission_fixes = SWITCH_ON;
    check("", DATE ID);
    check("Subject: x", "Subject: x\r\n" DATE ID);
    check("Subject: x\r\n", "Subject: x\r\n" DATE ID);
    check("Subject: x\r\nno field\r\n\r\n", "Subject: x\r\n" DATE ID "no field\r\n\r\n");
    check(" folded onto nothing\r\nA: b\r\n\r\n", " folded onto nothing\r\nA: b\r\n\r\n");
    check("From ada\r\n\tx\r\n\r\n", "From ada\r\n\tx\r\n\r\n");
    check("From ada Fri Jan 30\r\nA: b\r\n\r\n", "From ada Fri Jan 30\r\nA: b\r\n" DATE ID "\r\n");
}

static void bcc_and_return_path_leave(void **state)
{
    (void)state;
    listener->submission_fixes = SWITCH_ON;
    check("Return-Path: <a@b>\r\nBcc: x@y,\r\n z@y\r\n" DATE "BCC :\r\nResent-Bcc: q@r\r\n" ID
          "To: a@b\r\n\r\n",
          DATE ID "To: a@b\r\n\r\n");
    check("Bcc: x@y", DATE ID);
}

static void listed_fields_leave(void **state)
{
    (void)state;
    strcpy(listener->remove_headers.items[0], "X-Mailer");
    strcpy(listener->remove_headers.items[1], "user-agent");
    listener->remove_headers.count = 2;
    check("A: b\r\nx-mailer: y\r\n z\r\nUser-Agent:\r\nX-Mailer-2: c\r\n\r\n",
          "A: b\r\nX-Mailer-2: c\r\n\r\n");
    check("Bcc: a\r\n", "Bcc: a\r\n");
}

static void authors_are_rewritten_and_nobody_else(void **state)
{
    (void)state;
    add_rewrite("root@a.internal", "ops@example.net");
    add_rewrite("a.internal", "example.net");
    check("From: =?utf-8?Q?R=C3=B6t?= (root@a.internal)\r\n <Ada . B@ A.Internal (x) >,\r\n"
          "\troot@a.internal ,\"q@a.internal\"@a.internal\r\n"
          "Sender: root @ a.internal\r\nReply-To: Team: x@a.internal;\r\n"
          "Resent-From: y@a.internal\r\nTo: z@a.internal\r\nSubject: root@a.internal\r\n\r\n",
          "From: =?utf-8?Q?R=C3=B6t?= (root@a.internal)\r\n <Ada . B@ example.net (x) >,\r\n"
          "\tops@example.net ,\"q@a.internal\"@example.net\r\n"
          "Sender: ops@example.net\r\nReply-To: Team: x@example.net;\r\n"
          "Resent-From: y@example.net\r\nTo: z@a.internal\r\nSubject: root@a.internal\r\n\r\n");
    check("From: x@b.example, root, nobody at all\r\n\r\n",
          "From: x@b.example, root, nobody at all\r\n\r\n");
}

static void what_is_too_long_for_an_address_stays(void **state)
{
    char block[512];
    (void)state;
    add_rewrite("a.internal", "example.net");
    snprintf(block, sizeof(block), "From: %0300d@a.internal\r\n\r\n", 0);
    check(block, block);
}

static void bare_names_get_the_origin(void **state)
{
    (void)state;
    listener->complete_addresses = SWITCH_ON;
    check("From: root (Cron)\r\nTo: ada, Bob <bob>, \"c d\", e@f.example,\r\n undisclosed:;\r\n"
          "Cc: Ada Lovelace\r\nX-To: root\r\n\r\n",
          "From: root@example.com (Cron)\r\nTo: ada@example.com, Bob <bob@example.com>,"
          " \"c d\"@example.com, e@f.example,\r\n undisclosed:;\r\n"
          "Cc: Ada Lovelace\r\nX-To: root\r\n\r\n");
}

static void a_name_is_completed_and_then_rewritten(void **state)
{
    char block[512], expected[512];
    (void)state;
    listener->complete_addresses = SWITCH_ON;
    add_rewrite("root@example.com", "ops@example.org");
    add_rewrite("example.com", "example.net");
    check("From: root, <bob>, ada@example.com\r\nTo: root\r\n\r\n",
          "From: ops@example.org, <bob@example.net>, ada@example.net\r\nTo: "
          "root@example.com\r\n\r\n");
    snprintf(block, sizeof(block), "To: %0243d,%0242d\r\n\r\n", 1, 2);
    snprintf(expected, sizeof(expected), "To: %0243d,%0242d@example.com\r\n\r\n", 1, 2);
    check(block, expected);
}

static void what_does_not_fit_is_said(void **state)
{
    struct duties duties;
    struct buf out;
    (void)state;
    listener->submission_fixes = SWITCH_ON;
    duties = make_duties();
    for (size_t cap = 0; cap < 100; cap++) {
        buf_init(&out, cap);
        assert_false(duties_apply(&duties, SPAN("Subject: x\r\n\r\n"), &out));
        buf_clear(&out);
    }
}

static void the_longest_hostname_has_room(void **state)
{
    unsigned char random[DUTIES_RANDOM_SIZE] = { 0 };
    char name[SETTINGS_NAME_SIZE];
    struct duties duties;
    (void)state;
    memset(name, 'x', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    duties_init(&duties, &settings, listener);
    duties_name_message(&duties, name, INT64_MAX, random);
    assert_int_equal(duties.message_id[strlen(duties.message_id) - 1], '>');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "without duties there is nothing to hold, and nothing changes",
          without_duties_there_is_nothing_to_hold, no_duties, NULL, NULL },
        { "each duty makes a header held", each_duty_makes_a_header_held, no_duties, NULL, NULL },
        { "Date and Message-ID are added when missing (RFC 6409 s.8)",
          date_and_message_id_are_added_when_missing, no_duties, NULL, NULL },
        { "a header without an empty line, or with a line that is no field, gets them too",
          a_header_that_ends_badly_gets_them_too, no_duties, NULL, NULL },
        { "Bcc and Return-Path leave (RFC 5322 s.3.6.3, RFC 5321 s.4.4)", bcc_and_return_path_leave,
          no_duties, NULL, NULL },
        { "listed fields leave, whole and in any case", listed_fields_leave, no_duties, NULL,
          NULL },
        { "From, Sender and Reply-To are rewritten, by the addresses' bytes alone",
          authors_are_rewritten_and_nobody_else, no_duties, NULL, NULL },
        { "what is too long for an address stays", what_is_too_long_for_an_address_stays, no_duties,
          NULL, NULL },
        { "bare names get the origin, display names do not", bare_names_get_the_origin, no_duties,
          NULL, NULL },
        { "a name is completed and then rewritten", a_name_is_completed_and_then_rewritten,
          no_duties, NULL, NULL },
        { "what does not fit is said", what_does_not_fit_is_said, no_duties, NULL, NULL },
        { "the longest hostname has room in a Message-ID", the_longest_hostname_has_room, no_duties,
          NULL, NULL },
    };

    return cmocka_run_group_tests_name("duties", tests, NULL, NULL);
}
