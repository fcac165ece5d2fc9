#include "tests/support/test.h"

#include "queue/notify_due.h"

#include "lib/ipc/channel.h"
#include "lib/mail/envelope.h"

struct facts {
    Ipc__Mailbox reverse_path;
    Ipc__Envelope envelope;
    Queue__MessageRecord message;
    Ipc__Recipient recipient;
    Queue__RecipientRecord record;
};

/* A message of a sender we know. */
static struct facts *flawless(void)
{
    static struct facts f;
    ipc__mailbox__init(&f.reverse_path);
    f.reverse_path.text = bytes_of_span(SPAN("ada@sender.test"));
    ipc__envelope__init(&f.envelope);
    f.envelope.reverse_path = &f.reverse_path;
    queue__message_record__init(&f.message);
    f.message.envelope = &f.envelope;
    ipc__recipient__init(&f.recipient);
    queue__recipient_record__init(&f.record);
    f.record.recipient = &f.recipient;
    return &f;
}

static void the_sender_of_a_message_is_told(void **state)
{
    struct facts *f = flawless();
    (void)state;
    assert_int_equal(notify_audience(&f->message), AUDIENCE_SENDER);
}

static void the_null_sender_and_notifications_are_never_answered(void **state)
{
    struct facts *f = flawless();
    (void)state;
    f->reverse_path.text.len = 0;
    assert_int_equal(notify_audience(&f->message), AUDIENCE_NOBODY);
    f->envelope.from_stranger = true;
    assert_int_equal(notify_audience(&f->message), AUDIENCE_NOBODY);
    f = flawless();
    f->message.notification = true;
    assert_int_equal(notify_audience(&f->message), AUDIENCE_NOBODY);
}

static void strangers_are_not_told(void **state)
{
    struct facts *f = flawless();
    (void)state;
    f->envelope.from_stranger = true;
    assert_int_equal(notify_audience(&f->message), AUDIENCE_STRANGER);
}

/* Every value that NOTIFY can have, and each thing that can happen. */
static void notify_decides_who_is_told_of_what(void **state)
{
    enum { N = NOTIFY_NEVER, S = NOTIFY_SUCCESS, F = NOTIFY_FAILURE, D = NOTIFY_DELAY };
    static const struct {
        uint32_t notify;
        bool failed, delayed, relayed;
    } rows[] = {
        { 0, true, true, false },     { N, false, false, false },   { S, false, false, true },
        { F, true, false, false },    { D, false, true, false },    { S | F, true, false, true },
        { S | D, false, true, true }, { F | D, true, true, false }, { S | F | D, true, true, true },
    };
    struct facts *f = flawless();
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        f->recipient.notify = rows[i].notify;
        assert_int_equal(notify_is_wanted(&f->record, ACTION_FAILED), rows[i].failed);
        assert_int_equal(notify_is_wanted(&f->record, ACTION_DELAYED), rows[i].delayed);
        assert_int_equal(notify_is_wanted(&f->record, ACTION_RELAYED), rows[i].relayed);
        assert_int_equal(notify_is_wanted(&f->record, ACTION_DELIVERED), rows[i].relayed);
        assert_int_equal(notify_is_wanted(&f->record, ACTION_EXPANDED), rows[i].relayed);
        assert_int_equal(notify_asked_of_delay(&f->record), (rows[i].notify & D) != 0);
    }
}

static void what_machines_and_lists_send_is_known(void **state)
{
    static const struct {
        const char *header;
        bool automatic;
    } rows[] = {
        { "Subject: lunch\r\nFrom: <ada@sender.test>\r\n", false },
        { "Auto-Submitted: no\r\n", false },
        { "Auto-Submitted: No (a person wrote this)\r\n", false },
        { "auto-submitted: auto-generated\r\n", true },
        { "Subject: x\r\nAuto-Submitted: auto-replied; owner-email=\"a@b\"\r\n", true },
        { "Precedence: bulk\r\n", true },
        { "Precedence: LIST\r\n", true },
        { "Precedence: junk\r\n", true },
        { "Precedence: first-class\r\n", false },
        { "List-Id: <friends.sender.test>\r\n", true },
        { "Subject: a\r\n\r\nAuto-Submitted: auto-generated\r\n", false },
        { "", false },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(notify_is_automatic(span_of(rows[i].header)), rows[i].automatic);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "the sender of a message is told", the_sender_of_a_message_is_told, 0, 0, 0 },
        { "the null sender and notifications are never answered (RFC 5321 s.6.1)",
          the_null_sender_and_notifications_are_never_answered, 0, 0, 0 },
        { "strangers are not told: their reverse-paths may be anybody's", strangers_are_not_told, 0,
          0, 0 },
        { "NOTIFY decides who is told of what (RFC 3461 s.5.2)", notify_decides_who_is_told_of_what,
          0, 0, 0 },
        { "what machines and lists send is known by its header (RFC 3834 s.2)",
          what_machines_and_lists_send_is_known, 0, 0, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
