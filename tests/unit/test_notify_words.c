#include "tests/support/notify_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/memory.h"
#include "lib/ipc/channel.h"
#include "queue/notify_advice.h"
#include "queue/notify_original.h"
#include "queue/notify_status.h"
#include "queue/notify_words.h"

/* ---- what happened, whose side it is, what to do ------------------------------------------ */

#define ADDRESS "It is the address, not a mail system,"
#define SENDER "This can be put right on your side."
#define OURS "This is for the administrator of this mail system"
#define THEIRS "This has to be put right on the recipient's side."
#define EITHER "It is not certain which side has to put this right."

static const struct row {
    const char *status;
    bool remote;
    const char *what, *side, *todo;
    unsigned classes;
} rows[] = {
    { "5.1.1", true, "There is no such mailbox.", ADDRESS, "typing mistakes", 0 },
    { "5.1.0", true, "There is no such mailbox.", ADDRESS, "ask the recipient", 0 },
    { "5.1.2", false, "does not exist, or takes no mail", ADDRESS, "behind the @", 0 },
    { "5.1.3", true, "cannot read the address", ADDRESS, "typing", 0 },
    { "5.1.6", true, "has moved", ADDRESS, "the new address", 0 },
    { "5.1.7", true, "does not take mail from your address", SENDER, "your own address", 0 },
    { "5.1.8", true, "does not take mail from your domain", SENDER, "your own address", 0 },
    { "5.1.10", false, "takes no mail at all", ADDRESS, "behind the @", 0 },
    { "5.2.0", true, "cannot take mail at present", THEIRS, "later", 0 },
    { "5.2.1", true, "mailbox is closed", THEIRS, "another address", 0 },
    { "5.2.2", true, "mailbox is full", THEIRS, "later", CLASS_RESOURCE },
    { "5.2.3", true, "larger than the recipient's mailbox", SENDER, "smaller message", 0 },
    { "5.3.0", true, "takes no mail at present", THEIRS, "later", CLASS_RESOURCE },
    { "4.3.0", false, "had trouble of its own", OURS, "administrator", CLASS_RESOURCE },
    { "5.3.4", true, "larger than the recipient's mail system", SENDER, "without attachments", 0 },
    { "4.3.5", false, "not set up right", OURS, "administrator", CLASS_RESOURCE },
    { "5.3.5", true, "takes no mail at present", THEIRS, "later", CLASS_RESOURCE },
    { "4.4.1", false, "could not be reached", THEIRS, "later", 0 },
    { "4.4.3", false, "(DNS)", THEIRS, "later", 0 },
    { "5.4.4", false, "names none that can be used", THEIRS, "behind the @", 0 },
    { "4.4.5", true, "too busy", THEIRS, "later", CLASS_RESOURCE },
    { "5.4.6", false, "round in circles", EITHER, "administrator", CLASS_PROTOCOL },
    { "4.4.7", true, "could not be reached", THEIRS, "later", 0 },
    { "5.5.0", true, "did not understand each other", EITHER, "administrator", CLASS_PROTOCOL },
    { "5.5.3", true, "so many at a time", THEIRS, "fewer recipients", CLASS_PROTOCOL },
    { "5.6.0", true, "messages of this form", SENDER, "another form", 0 },
    { "5.6.0", false, "is damaged", OURS, "administrator", CLASS_RESOURCE },
    { "5.6.7", true, "letters beyond ASCII", THEIRS, "another address", 0 },
    { "5.6.9", true, "no headers with letters beyond ASCII", THEIRS, "without such letters", 0 },
    { "5.7.1", true, "takes it for spam", EITHER, "server's words", CLASS_POLICY },
    { "5.7.0", true, "takes it for spam", EITHER, "server's words", CLASS_POLICY },
    { "5.7.5", false, "is set up to ask for", OURS, "administrator", CLASS_POLICY },
    { "5.7.5", true, "takes it for spam", EITHER, "server's words", CLASS_POLICY },
    { "5.7.8", true, "could not log in", OURS, "administrator", CLASS_POLICY },
    { "5.7.10", false, "Encryption that the message asked for", EITHER, "REQUIRETLS",
      CLASS_POLICY },
    { "5.7.20", true, "not sure that the message is from you", SENDER, "DKIM", CLASS_POLICY },
    { "5.7.23", true, "not sure that the message is from you", SENDER, "SPF", CLASS_POLICY },
    { "5.7.25", true, "does not trust the address of ours", OURS, "administrator", CLASS_POLICY },
    { "5.7.26", true, "not sure that the message is from you", SENDER, "DKIM", CLASS_POLICY },
    { "5.7.27", true, "says that it takes no mail", SENDER, "your own address", CLASS_POLICY },
    { "5.7.30", true, "protection (REQUIRETLS)", EITHER, "by other means", CLASS_POLICY },
    { "5.0.0", true, "did not take the message", EITHER, "cause is gone", 0 },
    { "", true, "did not take the message", EITHER, "cause is gone", 0 },
    { "nonsense", true, "did not take the message", EITHER, "cause is gone", 0 },
};

static void each_class_of_cause_has_its_words(void **state)
{
    struct notify_rig *f = *state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        f->result.status = text_bytes(rows[i].status);
        f->result.remote = rows[i].remote;
        const struct advice *advice = advice_of(&f->failed);
        if (!has(span_of(advice->what), rows[i].what) ||
            !has(span_of(advice->side), rows[i].side) || !has(span_of(advice->todo), rows[i].todo))
            fail_msg("%s: \"%s\" \"%s\" \"%s\"", rows[i].status, advice->what, advice->side,
                     advice->todo);
        assert_int_equal(advice->classes, rows[i].classes);
        assert_int_equal(advice_classes(&f->failed), rows[i].classes | CLASS_BOUNCE);
        assert_true(notify_write(&f->notify, &f->text)); /* whatever it is, it can be written */
    }
}

static void of_a_host_that_a_setting_names_it_is_our_side(void **state)
{
    static const char *const hops[] = { "relayhost", "route:inside", "to:[mx.example]:26" };
    static const char *const domains[] = { "example.net", "route:mx/example.net" };
    struct notify_rig *f = *state;
    f->result.status = text_bytes("4.4.1");
    f->result.remote = false;
    for (size_t i = 0; i < 3; i++) {
        f->record.next_hop = text_bytes(hops[i]);
        tells(f, "could not reach the mail server that it is set up to hand such mail to");
        tells(f, OURS);
    }
    f->result.status = text_bytes("5.7.5");
    tells(f, "was not as secure as it has to be.");
    tells(f, OURS);
    f->result.remote = true; /* in its own words */
    f->result.status = text_bytes("4.4.1");
    tells(f, THEIRS);
    f->result.remote = false;
    for (size_t i = 0; i < 2; i++) {
        f->record.next_hop = text_bytes(domains[i]);
        tells(f, THEIRS);
    }
}

static void who_asks_for_security_is_who_mends_it(void **state)
{
    static const char *const policies[] = { "sts enforce", "dane" };
    struct notify_rig *f = *state;
    f->result.status = text_bytes("4.7.5");
    f->result.remote = false;
    for (size_t i = 0; i < 2; i++) {
        f->decision.policy = text_bytes(policies[i]);
        tells(f, "as secure as it has to be.");
        tells(f, THEIRS);
    }
    f->decision.policy = text_bytes("sts testing"); /* which binds nobody */
    tells(f, OURS);
    f->candidate.tlsa_base = text_bytes("mx1.example.net");
    tells(f, THEIRS);
    f->failed.decision = NULL; /* it is not known who did */
    tells(f, THEIRS);
}

static void a_route_or_an_operator_counts_before_the_status(void **state)
{
    struct notify_rig *f = *state;
    f->result.remote = false;
    f->result.reply = text_bytes("no mail to competitors");
    f->result.cause = IPC__CAUSE__ROUTE;
    says(f, "This mail system is set up not to send mail there.");
    tells(f, "This is for the administrator of this mail system, named below, to put right.");
    says(f, "In detail:\r\n    no mail to competitors\r\n");
    f->result.cause = IPC__CAUSE__OPERATOR;
    says(f, "The administrator of this mail system sent the message back.");
    says(f, "The reason that was given:\r\n    no mail to competitors\r\n");
    assert_int_equal(advice_classes(&f->failed), CLASS_BOUNCE);
}

static void an_operators_words_are_told_as_they_are(void **state)
{
    struct notify_rig *f = *state;
    f->result.remote = false;
    f->result.reply = text_bytes("zu fr\xc3\xbch \xe2\x82\xac\x1b\xff");
    f->result.cause = IPC__CAUSE__OPERATOR;
    says(f, "Content-Type: text/plain; charset=utf-8\r\n"
            "Content-Transfer-Encoding: quoted-printable\r\n");
    says(f, "The reason that was given:\r\n    zu fr=C3=BCh =E2=82=AC??\r\n");
    says(f, "report-type=delivery-status;");
    says(f, "Diagnostic-Code: x-waxseal; zu fr\\x{FC}h \\x{20AC}??\r\n");
    char longest[1001];
    for (size_t i = 0; i < 1000; i++)
        longest[i] = i % 2 == 0 ? '\xc3' : '\xbc';
    longest[1000] = '\0';
    f->result.reply = text_bytes(longest);
    says(f, "Delivery report\r\n\r\nReporting-MTA:"); /* no encoding: each line is short enough */
    f->result.reply = text_bytes("zu fr\xc3\xbch \xe2\x82\xac\x1b\xff");
    f->result.cause = IPC__CAUSE__ROUTE;
    says(f, "    zu fr??h ?????\r\n");
}

static void successes_are_of_no_class(void **state)
{
    struct notify_rig *f = *state;
    f->result.status = text_bytes("5.7.1");
    f->failed.action = ACTION_DELAYED;
    assert_int_equal(advice_classes(&f->failed), CLASS_DELAY | CLASS_POLICY);
    f->failed.action = ACTION_RELAYED;
    assert_int_equal(advice_classes(&f->failed), 0);
    f->failed.action = ACTION_DELIVERED;
    assert_int_equal(advice_classes(&f->failed), 0);
}

/* ---- delays and deliveries ---------------------------------------------------------------- */

static void a_delay_says_how_long_it_will_be_tried(void **state)
{
    struct notify_rig *f = *state;
    f->failed.action = ACTION_DELAYED;
    f->failed.until_ms = INT64_C(1770199200000);
    f->result.status = text_bytes("4.4.1");
    f->result.remote = false;
    says(f, "Subject: Your message has not been delivered yet\r\n");
    tells(f, "This is a warning only: you need not send it again.");
    tells(f, "It will be tried again until Wed, 04 Feb 2026 10:00:00 +0000.");
    says(f, "The recipient's mail servers could not be reached.");
    says(f, "If it is urgent, tell the recipient by other means.");
    says(f, "Action: delayed\r\nStatus: 4.4.1\r\n");
    says(f, "Will-Retry-Until: Wed, 04 Feb 2026 10:00:00 +0000\r\n");
    says_not(f, "could not be delivered");
    says_not(f, "See you at noon");
    f->result.status = text_bytes("5.1.1");
    says(f, "Action: delayed\r\nStatus: 4.0.0\r\n");
}

static void only_delays_will_be_retried(void **state)
{
    struct notify_rig *f = *state;
    f->failed.until_ms = INT64_C(1770199200000);
    says_not(f, "Will-Retry-Until");
    f->failed.action = ACTION_RELAYED;
    says_not(f, "Will-Retry-Until");
    f->failed.action = ACTION_DELIVERED;
    says_not(f, "Will-Retry-Until");
}

static void what_a_route_discards_is_told_for_what_it_is(void **state)
{
    struct notify_rig *f = *state;
    f->failed.action = ACTION_DELIVERED;
    f->result.status = text_bytes("2.0.0");
    f->result.reply = text_bytes("");
    says(f, "Subject: Your message was passed on\r\n");
    says(f, "It has been taken for the recipient below.");
    tells(f, "set up not to pass on what is sent there.");
    says(f, "Action: delivered\r\nStatus: 2.0.0\r\n");
}

/* ---- several ------------------------------------------------------------------------------ */

enum { MANY = 1000 };

struct many {
    Ipc__Mailbox paths[MANY];
    Ipc__Recipient recipients[MANY];
    Queue__RecipientRecord records[MANY];
    Ipc__Result results[MANY];
    struct notify_recipient told[MANY];
    char names[MANY][40];
};

/* All failed alike, until the test says otherwise. */
static struct many *several(struct notify_rig *f, size_t count)
{
    static struct many many;
    for (size_t i = 0; i < count; i++) {
        snprintf(many.names[i], sizeof(many.names[i]), "u%zu@example.net", i);
        many.paths[i] = f->forward_path;
        many.paths[i].text = text_bytes(many.names[i]);
        many.recipients[i] = f->recipient;
        many.recipients[i].forward_path = &many.paths[i];
        many.records[i] = f->record;
        many.records[i].recipient = &many.recipients[i];
        many.results[i] = f->result;
        many.told[i] = f->failed;
        many.told[i].record = &many.records[i];
        many.told[i].result = &many.results[i];
    }
    f->notify.recipients = many.told;
    f->notify.count = count;
    return &many;
}

static size_t occurrences(struct span text, const char *words)
{
    size_t count = 0;
    for (const char *at; (at = memmem(text.data, text.len, words, strlen(words))); count++)
        text = span_from(text, (size_t)(at - text.data) + strlen(words));
    return count;
}

static void those_of_whom_the_same_is_to_be_said_stand_together(void **state)
{
    struct notify_rig *f = *state;
    struct many *many = several(f, 4);
    many->results[2].status = text_bytes("5.2.2");
    says(f, "to the recipients below.");
    says(f,
         "<u0@example.net>\r\n<u1@example.net>\r\n<u3@example.net>\r\n  There is no such mailbox.");
    says(f, "<u2@example.net>\r\n  The recipient's mailbox is full.");
    assert_int_equal(occurrences(written(f), "There is no such mailbox."), 1);
    assert_int_equal(occurrences(written(f), "Final-Recipient: "), 4);
}

static void one_difference_makes_another_story(void **state)
{
    struct notify_rig *f = *state;
    struct many *many = several(f, 2);
    static Ipc__Decision other = IPC__DECISION__INIT;
    assert_int_equal(occurrences(written(f), "no such mailbox."), 1);
    many->told[1].expired = true;
    assert_int_equal(occurrences(written(f), "no such mailbox."), 2);
    many = several(f, 2);
    many->told[1].decision = &other;
    assert_int_equal(occurrences(written(f), "no such mailbox."), 2);
    many = several(f, 2);
    many->results[1].reply = text_bytes("550 other words");
    assert_int_equal(occurrences(written(f), "no such mailbox."), 2);
    many = several(f, 2);
    many->results[1].cause = IPC__CAUSE__ROUTE;
    assert_int_equal(occurrences(written(f), "no such mailbox."), 1);
    assert_int_equal(occurrences(written(f), "set up not to send"), 1);
    many = several(f, 2);
    many->told[0].action = many->told[1].action = ACTION_DELAYED;
    many->told[1].until_ms = 1;
    assert_int_equal(occurrences(written(f), "It will be tried again until"), 2);
}

static void a_thousand_recipients_make_a_short_text_and_a_whole_report(void **state)
{
    struct notify_rig *f = *state;
    struct many *many = several(f, MANY);
    for (size_t i = 0; i < MANY; i++)
        many->results[i].reply = text_bytes(many->names[i]); /* each with words of its own */
    struct span text = written(f);
    assert_int_equal(occurrences(text, "Final-Recipient: "), MANY);
    assert_int_equal(occurrences(text, "@example.net>\r\n"), 100);
    assert_true(has(text, "There are 900 more recipients"));
    assert_true(text.len < 512 * 1024);
}

static void endless_replies_of_many_make_a_bounded_notification(void **state)
{
    struct notify_rig *f = *state;
    struct many *many = several(f, MANY);
    char *reply = memory_new(SMTP_REPLY_BYTES_MAX + 1);
    memset(reply, 'x', SMTP_REPLY_BYTES_MAX);
    for (size_t i = 500; i < SMTP_REPLY_BYTES_MAX; i += 500)
        reply[i] = '\n';
    for (size_t i = 0; i < MANY; i++)
        many->results[i].reply = text_bytes(reply);
    assert_true(written(f).len < 1024 * 1024);
    f->notify.count = 1; /* and one alone keeps twenty lines */
    assert_int_equal(occurrences(written(f), "\r\n xxx"), 19);
    free(reply);
}

/* ---- what comes from outside -------------------------------------------------------------- */

static void hostile_replies_are_lines_of_ascii(void **state)
{
    static const char *const replies[] = {
        "550 a\r\n--=_abc.19c0e588c10.0--\r\nSubject: forged",
        "550 \xff\xfe\xc3\x28 \x1b[31m \x7f \x01",
        "\n\n\n",
        "   \n\t\n",
        "550",
        "550-\n550-\n550 ",
    };
    struct notify_rig *f = *state;
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        f->result.reply = text_bytes(replies[i]);
        struct span text = written(f);
        for (size_t j = 0; j < text.len; j++) {
            unsigned char c = (unsigned char)text.data[j];
            assert_true((c >= ' ' && c <= '~') || c == '\r' || c == '\n' || c == '\t');
            assert_true(c != '\n' || text.data[j - 1] == '\r');
        }
        assert_false(has(text, "\r\nSubject: forged"));
        assert_int_equal(occurrences(text, "\r\n--=_abc.19c0e588c10.0"), 4);
    }
}

static void hostile_envids_and_orcpts_make_no_lines(void **state)
{
    struct notify_rig *f = *state;
    f->envelope.envid = text_bytes("a+0D+0ABcc:+20eve");
    f->recipient.orcpt = text_bytes("rfc822;a+0D+0AAction:+20delivered+00@b");
    says(f, "Original-Envelope-Id: a");
    says_not(f, "\r\nBcc: eve");
    says_not(f, "\r\nAction: delivered");
    f->envelope.envid = text_bytes("+G1+"); /* no xtext: as it came */
    says(f, "Original-Envelope-Id: +G1+\r\n");
    f->recipient.orcpt = text_bytes("no semicolon");
    says_not(f, "Original-Recipient");
}

static void a_subject_that_people_can_read_is_named(void **state)
{
    struct notify_rig *f = *state;
    says(f, "Its subject is: lunch\r\n");
    buf_reset(&f->original);
    assert_true(buf_append(&f->original, SPAN("Subject: =?utf-8?q?caf=C3=A9?=\r\n\r\n")));
    says_not(f, "Its subject is");
    buf_reset(&f->original);
    assert_true(buf_append(&f->original, SPAN("Subject: caf\xc3\xa9\r\n\r\n")));
    says_not(f, "Its subject is");
    buf_reset(&f->original);
    assert_true(buf_append(&f->original, SPAN("Subject: \r\n\r\n")));
    says_not(f, "Its subject is");
    buf_reset(&f->original);
    assert_true(buf_append(&f->original, SPAN("Subject: a\r\n b\tc\r\n\r\n")));
    says(f, "Its subject is: a   b c\r\n");
    buf_reset(&f->original);
    says_not(f, "Its subject is");
}

/* ---- room --------------------------------------------------------------------------------- */

typedef bool write_fn(const struct notify_facts *facts, struct buf *out);

static void try_every_room(struct notify_rig *f, write_fn *write)
{
    struct buf whole, part;
    buf_init(&whole, NOTIFY_TEXT_MAX);
    assert_true(write(&f->notify, &whole));
    for (size_t room = 0; room < buf_len(&whole); room++) {
        buf_init(&part, room);
        assert_false(write(&f->notify, &part));
        assert_true(buf_len(&part) <= room);
        buf_clear(&part);
    }
    buf_clear(&whole);
}

static void what_does_not_fit_is_said_not_to(void **state)
{
    struct notify_rig *f = *state;
    struct many *many = several(f, 5);
    for (int i = 0; i < 5; i++)
        many->told[i].action = (enum notify_action)i;
    many->told[0].expired = true;
    many->results[0].remote = false;
    f->decision.policy = text_bytes("sts enforce");
    f->candidate.certificate = text_bytes("CN=mx1.example.net");
    f->envelope.envid = text_bytes("order-77");
    many->recipients[1].orcpt = text_bytes("rfc822;bob@example.net");
    f->notify.silent_until = f->notify.now_ms;
    written(f); /* sets the original */
    try_every_room(f, notify_write);
    try_every_room(f, notify_write_words);
    try_every_room(f, notify_write_status);
    try_every_room(f, notify_write_original);
    f->notify.for_postmaster = f->notify.is_copy = true;
    f->envelope.smtputf8 = true;
    f->notify.original = SPAN("Subject: caf\xc3\xa9\r\nX: =\r\n");
    try_every_room(f, notify_write_words);
    try_every_room(f, notify_write_original);
    f->notify.is_copy = false;
    f->notify.original_is_whole = true;
    try_every_room(f, notify_write_original);
}

/* ---- what stands around ------------------------------------------------------------------- */

static void the_last_of_an_hour_says_so(void **state)
{
    struct notify_rig *f = *state;
    says_not(f, "told nothing more");
    f->notify.silent_until = INT64_C(1769770800000);
    tells(f, "told nothing more until Fri, 30 Jan 2026 11:00:00 +0000.");
    tells(f, "The administrator named below can say what became of your messages meanwhile.");
}

static void a_copy_says_for_whom_and_of_what_it_is(void **state)
{
    struct notify_rig *f = *state;
    f->notify.to = SPAN("postmaster@relay.example");
    f->notify.for_postmaster = f->notify.is_copy = true;
    says(f, "To: <postmaster@relay.example>\r\n");
    says(f, "Subject: For the postmaster: a message could not be delivered\r\n");
    tells(f, "This is a copy for the postmaster of what was told to <ada@sender.test>.");
    says(f, "This is about a message of Fri, 30 Jan 2026");
    says_not(f, "See you at noon");
    f->notify.is_copy = false;
    says(f, "There is nobody else to tell of this");
    says(f, "See you at noon");
}

static void help_is_had_at_our_name_where_no_mailbox_is_set(void **state)
{
    struct notify_rig *f = *state;
    f->settings.postmaster[0] = '\0';
    says(f, "If you need help, write to postmaster@relay.example and quote");
    says(f, "From: Mail Delivery System <MAILER-DAEMON@relay.example>\r\n");
}

static void a_policy_that_is_not_the_cause_is_not_named(void **state)
{
    struct notify_rig *f = *state;
    f->decision.policy = text_bytes("sts enforce");
    says_not(f, "MTA-STS"); /* refused by the server, over a session that satisfied the policy */
    f->result.remote = false;
    says(f, "MTA-STS");
    f->decision.policy = text_bytes("sts testing");
    says_not(f, "MTA-STS");
    says_not(f, "DANE");
    f->candidate.tlsa_base = text_bytes("mx1.example.net");
    f->candidate.tlsa = text_bytes("unusable");
    tells(f, "how the recipient's servers are to be known (TLSA records, DANE).");
    f->decision.policy = text_bytes("sts enforce");
    says_not(f, "DANE");
    f->candidate.tlsa = text_bytes("usable");
    says_not(f, "MTA-STS");
    tells(f, "how the recipient's servers are to be known (TLSA records, DANE).");
    tells(f, "their administrator has to mend servers or records.");
    f->result.remote = true;
    says_not(f, "DANE");
    f->failed.decision = NULL;
    says_not(f, "MTA-STS");
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, notify_rig_open, notify_rig_close, NULL                                   \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("each class of cause has its words: what, whose side, what to do",
             each_class_of_cause_has_its_words),
        TEST("of a host that a setting names it is our side",
             of_a_host_that_a_setting_names_it_is_our_side),
        TEST("who asks for security is who mends it", who_asks_for_security_is_who_mends_it),
        TEST("a route's or an operator's doing counts before the status",
             a_route_or_an_operator_counts_before_the_status),
        TEST("an operator's words are told as they are, and in the report in ASCII",
             an_operators_words_are_told_as_they_are),
        TEST("successes are of no class for the postmaster", successes_are_of_no_class),
        TEST("a delay is a warning, and says how long the message will be tried",
             a_delay_says_how_long_it_will_be_tried),
        TEST("Will-Retry-Until stands with delays only (RFC 3464 s.2.3.9)",
             only_delays_will_be_retried),
        TEST("what a route discards is told for what it is",
             what_a_route_discards_is_told_for_what_it_is),
        TEST("those of whom the same is to be said stand together",
             those_of_whom_the_same_is_to_be_said_stand_together),
        TEST("one difference makes another story", one_difference_makes_another_story),
        TEST("a thousand recipients make a short text and a whole report",
             a_thousand_recipients_make_a_short_text_and_a_whole_report),
        TEST("endless replies of many make a bounded notification",
             endless_replies_of_many_make_a_bounded_notification),
        TEST("hostile replies become lines of ASCII, and no part's end",
             hostile_replies_are_lines_of_ascii),
        TEST("hostile ENVIDs and ORCPTs make no lines of their own",
             hostile_envids_and_orcpts_make_no_lines),
        TEST("what does not fit is said not to, and nothing is written beyond the room",
             what_does_not_fit_is_said_not_to),
        TEST("a subject that people can read is named", a_subject_that_people_can_read_is_named),
        TEST("the last notification of an hour says so", the_last_of_an_hour_says_so),
        TEST("a copy says for whom and of what it is", a_copy_says_for_whom_and_of_what_it_is),
        TEST("help is had at our name where no mailbox is set",
             help_is_had_at_our_name_where_no_mailbox_is_set),
        TEST("a policy that is not the cause is not named",
             a_policy_that_is_not_the_cause_is_not_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
