#include "tests/support/notify_rig.h"

#include <string.h>

#include "lib/ipc/channel.h"

static void is_a_multipart_report(void **state)
{
    says(*state, "To: <ada@sender.test>\r\n");
    says(*state, "From: Mail Delivery System <postmaster@relay.example>\r\n");
    says(*state, "Auto-Submitted: auto-replied\r\n");
    says(*state, "MIME-Version: 1.0\r\n");
    says(*state, "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"=_");
    says(*state, "Content-Type: message/delivery-status\r\n");
    says(*state, "Content-Type: message/rfc822\r\n");
    says(*state, "Date: Fri, 30 Jan 2026 10:00:10 +0000\r\n");
}

static void every_line_is_short_ascii_and_ends_in_crlf(void **state)
{
    struct notify_rig *f = *state;
    f->result.reply = text_bytes("550 \xc3\xa4rger\r\nBcc: evil\x01\nmore");
    struct span text = written(f);
    size_t column = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        column = c == '\n' ? 0 : column + 1;
        assert_true(column <= 999 && c < 0x7f && (c >= ' ' || c == '\r' || c == '\n' || c == '\t'));
        assert_true(c != '\n' || (i > 0 && text.data[i - 1] == '\r'));
        assert_true(c != '\r' || (i + 1 < text.len && text.data[i + 1] == '\n'));
    }
    assert_false(has(text, "\r\nBcc: evil"));
}

static void status_part_has_the_fields_in_order(void **state)
{
    says(*state, "Reporting-MTA: dns; relay.example\r\n"
                 "Received-From-MTA: dns; laptop.test ([192.1.2.9])\r\n"
                 "Arrival-Date: Fri, 30 Jan 2026 10:00:00 +0000\r\n"
                 "\r\n"
                 "Final-Recipient: rfc822; Bob@Example.NET\r\n"
                 "Action: failed\r\n"
                 "Status: 5.1.1\r\n"
                 "Remote-MTA: dns; mx1.example.net\r\n"
                 "Diagnostic-Code: smtp; 550-5.1.1 no such user\r\n"
                 " 550 5.1.1 see policy page\r\n"
                 "Last-Attempt-Date: Fri, 30 Jan 2026 10:00:03 +0000\r\n"
                 "Final-Log-ID: 3f9c21\r\n");
}

static void a_reply_of_several_lines_stands_as_it_came(void **state)
{
    struct notify_rig *f = *state;
    f->result.reply = text_bytes("550 5.1.1 no such user\nreally\n5.1.1 see policy page");
    says(f, "Diagnostic-Code: smtp; 550-5.1.1 no such user\r\n"
            " 550-really\r\n"
            " 550 5.1.1 see policy page\r\n");
    f->result.reply = text_bytes("550 alone");
    says(f, "Diagnostic-Code: smtp; 550 alone\r\n");
    f->result.reply = text_bytes("nonsense of\ntwo lines");
    says(f, "Diagnostic-Code: smtp; nonsense of\r\n two lines\r\n");
    f->result.remote = false;
    f->result.reply = text_bytes("550 of ours\nin two lines");
    says(f, "Diagnostic-Code: x-waxseal; 550 of ours\r\n in two lines\r\n");
}

static void envid_and_orcpt_come_back_decoded(void **state)
{
    struct notify_rig *f = *state;
    f->envelope.envid = text_bytes("QQ+20314+3D1");
    f->recipient.orcpt = text_bytes("rfc822;Bob+2Blist@Example.com");
    says(f, "Original-Envelope-Id: QQ 314=1\r\n");
    says(f, "Original-Recipient: rfc822; Bob+list@Example.com\r\nFinal-Recipient:");
}

static void absent_envid_and_orcpt_stay_absent(void **state)
{
    struct span text = written(*state);
    assert_false(has(text, "Original-Envelope-Id"));
    assert_false(has(text, "Original-Recipient"));
}

static void without_a_remote_there_is_no_remote_mta(void **state)
{
    struct notify_rig *f = *state;
    f->result.remote = false;
    f->result.status = text_bytes("5.4.4");
    f->result.reply = text_bytes("example.net has no mail servers");
    says(f, "Diagnostic-Code: x-waxseal; example.net has no mail servers\r\n");
    assert_false(has(buf_span(&f->text), "Remote-MTA"));
}

static void an_expired_recipient_has_a_temporary_status(void **state)
{
    struct notify_rig *f = *state;
    f->failed.expired = true;
    f->result.status = text_bytes("4.2.2");
    says(f, "Status: 4.2.2\r\n");
    f->result.status = text_bytes("nonsense");
    says(f, "Status: 4.4.7\r\n");
    says(f, "until the time allowed for it was over");
}

static void a_status_that_is_none_becomes_5_0_0(void **state)
{
    static const char *const wrong[] = { "", "5.1", "5.01.1", "2.1.1", "5.1.1.1", "5.a.1" };
    struct notify_rig *f = *state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        f->result.status = text_bytes(wrong[i]);
        says(f, "Status: 5.0.0\r\n");
    }
}

static void people_are_told_what_whose_and_what_to_do(void **state)
{
    says(*state, "There is no such mailbox.");
    says(*state, "It is the address, not a mail system, that has to be put right.");
    says(*state, "Check the address for typing mistakes");
    says(*state, "The mail server mx1.example.net said:\r\n    550-5.1.1 no such user\r\n");
    says(*state, "write to postmaster@relay.example");
}

static void a_policy_bounce_names_policy_server_and_certificate(void **state)
{
    struct notify_rig *f = *state;
    f->failed.expired = true;
    f->result.remote = false;
    f->result.status = text_bytes("4.7.5");
    f->decision.policy = text_bytes("sts enforce");
    f->decision.policy_id = text_bytes("20260101");
    f->candidate.verdict = text_bytes("certificate expired");
    f->candidate.certificate = text_bytes("CN=mx1.example.net, expired 2026-01-01");
    says(f, "MTA-STS");
    says(f, "20260101");
    says(f, "mx1.example.net: certificate expired\r\n");
    says(f, "its certificate: CN=mx1.example.net, expired 2026-01-01\r\n");
    says(f, "administrator has\r\n  to mend");
}

static void a_small_message_comes_back_whole(void **state)
{
    says(*state, "Subject: lunch\r\nFrom: <ada@sender.test>\r\n\r\nSee you at noon.\r\n");
}

static void a_large_message_comes_back_as_headers(void **state)
{
    struct notify_rig *f = *state;
    while (buf_len(&f->original) <= NOTIFY_WHOLE_MAX)
        assert_true(buf_append(&f->original, SPAN("and so on, and on\r\n")));
    says(f, "Content-Type: text/rfc822-headers\r\n");
    says(f, "Subject: lunch\r\n");
    assert_false(has(buf_span(&f->text), "See you at noon"));
}

static void headers_are_cut_at_a_line_within_16_kib(void **state)
{
    struct notify_rig *f = *state;
    buf_reset(&f->original);
    for (int i = 0; i < 5000; i++)
        assert_true(buf_printf(&f->original, "X-Field-%04d: some words in a header\r\n", i));
    struct span text = written(f);
    assert_true(text.len < NOTIFY_HEADERS_MAX + 4096);
    assert_true(has(text, "X-Field-0400"));
    assert_true(has(text, "words in a header\r\n\r\n--=_"));
}

static void ret_hdrs_and_requiretls_return_headers(void **state)
{
    struct notify_rig *f = *state;
    f->envelope.ret = 2;
    assert_false(has(written(f), "See you at noon"));
    f->envelope.ret = 1;
    assert_true(has(written(f), "See you at noon"));
    f->envelope.requiretls = true; /* RFC 8689 s.5: RET=FULL is disregarded */
    assert_false(has(written(f), "See you at noon"));
}

static void eight_bit_headers_are_quoted(void **state)
{
    struct notify_rig *f = *state;
    buf_reset(&f->original);
    assert_true(buf_append(&f->original, SPAN("Subject: caf\xc3\xa9 = good\r\n\r\nbody\r\n")));
    says(f, "Content-Transfer-Encoding: quoted-printable\r\n");
    says(f, "Subject: caf=C3=A9 =3D good\r\n");
    assert_false(has(buf_span(&f->text), "body"));
}

/* A message with SMTPUTF8 and addresses that need it. */
static struct notify_rig *international(void **state)
{
    struct notify_rig *f = *state;

    f->envelope.smtputf8 = true;
    f->forward_path.text = text_bytes("j\xc3\xb6rg@example.net");
    f->recipient.orcpt = text_bytes("utf-8;J\\x{F6}rg@example.net");
    return f;
}

static void addresses_outside_ascii_make_a_global_report(void **state)
{
    struct notify_rig *f = international(state);
    says(f, "report-type=global-delivery-status;");
    says(f, "Content-Type: message/global-delivery-status\r\n"
            "Content-Description: Delivery report\r\n"
            "Content-Transfer-Encoding: quoted-printable\r\n\r\n");
    says(f, "Original-Recipient: utf-8; J=C3=B6rg@example.net\r\n"
            "Final-Recipient: utf-8; j=C3=B6rg@example.net\r\n");
    says(f, "Content-Type: text/plain; charset=utf-8\r\n"
            "Content-Transfer-Encoding: quoted-printable\r\n");
    says(f, "<j=C3=B6rg@example.net>\r\n");
    says(f, "To: <ada@sender.test>\r\n");
    for (size_t i = 0; i < buf_len(&f->text); i++)
        assert_true((unsigned char)buf_span(&f->text).data[i] < 0x80);
}

static void a_utf8_orcpt_stays_coded_in_a_report_in_ascii(void **state)
{
    struct notify_rig *f = *state;
    f->recipient.orcpt = text_bytes("utf-8;J\\x{F6}rg@example.net");
    says(f, "report-type=delivery-status;");
    says(f, "Original-Recipient: utf-8; J\\x{F6}rg@example.net\r\n");
    f->recipient.orcpt = text_bytes("rfc822;j+C3+B6rg@example.net"); /* as Postfix says it */
    says(f, "Original-Recipient: rfc822; j+C3+B6rg@example.net\r\n");
    f->envelope.smtputf8 = true;
    says(f, "Original-Recipient: utf-8; j=C3=B6rg@example.net\r\n");
    f->recipient.orcpt = text_bytes("utf-8;no\xc3utf8 at all");
    says(f, "Original-Recipient: utf-8; no?utf8 at all\r\n");
}

static void a_sender_outside_ascii_is_told_in_utf8(void **state)
{
    struct notify_rig *f = international(state);
    f->notify.to = SPAN("\xc3\xa1"
                        "da@sender.test");
    says(f, "To: <\xc3\xa1"
            "da@sender.test>\r\n");
    f->notify.to = SPAN("ada@b\xc3\xbc"
                        "cher.test");
    says(f, "To: <ada@xn--bcher-kva.test>\r\n");
}

static void the_original_of_smtputf8_comes_back_as_message_global(void **state)
{
    struct notify_rig *f = international(state);
    buf_reset(&f->original);
    assert_true(buf_append(&f->original, SPAN("Subject: caf\xc3\xa9\r\n\r\nb\xc3\xb6"
                                              "dy\r\n")));
    says(f, "Content-Type: message/global\r\n");
    says(f, "Subject: caf=C3=A9\r\n\r\nb=C3=B6dy\r\n");
    f->envelope.ret = 2;
    says(f, "Content-Type: message/global-headers\r\n");
    assert_false(has(buf_span(&f->text), "dy\r\n"));
}

/* Such content is refused at the door; another queue may bring it in. */
static void lone_crs_and_lfs_are_quoted(void **state)
{
    static const char *const contents[] = { "Subject: a\rb\r\n\r\n", "Subject: a\nb\r\n\r\n" };
    struct notify_rig *f = *state;
    for (size_t i = 0; i < 2; i++) {
        buf_reset(&f->original);
        assert_true(buf_append(&f->original, span_of(contents[i])));
        says(f, i == 0 ? "Subject: a=0Db\r\n" : "Subject: a=0Ab\r\n");
        says(f, "Content-Type: text/rfc822-headers; charset=utf-8\r\n");
    }
}

static void a_line_of_998_octets_is_the_longest_that_stays(void **state)
{
    struct notify_rig *f = *state;
    char line[1001];
    memset(line, 'x', sizeof(line));
    memcpy(line, "A: ", 3);
    memcpy(line + 998, "\r\n", 3);
    buf_reset(&f->original);
    assert_true(buf_append(&f->original, span_of(line)));
    assert_true(buf_append(&f->original, SPAN("\r\nbody\r\n")));
    says(f, "Content-Type: message/rfc822\r\n");
    memcpy(line + 998, "x\r\n", 3);
    buf_reset(&f->original);
    assert_true(buf_append(&f->original, (struct span){ line, 1001 }));
    assert_true(buf_append(&f->original, SPAN("\n\r\nbody\r\n")));
    says(f, "Content-Type: text/rfc822-headers; charset=utf-8\r\n");
}

static void the_boundary_does_not_occur_in_the_original(void **state)
{
    struct notify_rig *f = *state;
    says(f, "boundary=\"=_abc.19c0e588c10.0\"");
    assert_true(buf_append(&f->original, SPAN("--=_abc.19c0e588c10.0\r\n")));
    says(f, "boundary=\"=_abc.19c0e588c10.1\"");
}

static void a_relay_is_told_as_such(void **state)
{
    struct notify_rig *f = *state;
    f->failed.action = ACTION_RELAYED;
    f->envelope.ret = 1;
    f->result.status = text_bytes("2.1.5");
    f->result.reply = text_bytes("250 2.1.5 taken");
    says(f, "Subject: Your message was passed on\r\n");
    says(f, "Action: relayed\r\nStatus: 2.1.5\r\nRemote-MTA: dns; mx1.example.net\r\n");
    says(f, "Nobody will tell you whether it arrives.");
    says(f, "Subject: lunch\r\n");
    assert_false(has(buf_span(&f->text), "could not be delivered"));
    assert_false(has(buf_span(&f->text), "See you at noon")); /* RFC 3461 s.6.2 */
    f->result.status = text_bytes("5.1.1");
    says(f, "Status: 2.0.0\r\n");
}

static void failures_and_relays_come_in_one_notification(void **state)
{
    struct notify_rig *f = *state;
    struct notify_recipient both[] = { f->failed, f->failed };
    both[1].action = ACTION_RELAYED;
    f->notify.recipients = both;
    f->notify.count = 2;
    says(f, "Subject: Your message could not be delivered\r\n");
    says(f, "could not be delivered to the recipient below.");
    says(f, "passed on for the recipient below.");
    says(f, "Action: failed\r\nStatus: 5.1.1");
    says(f, "Action: relayed\r\nStatus: 2.0.0");
    assert_int_equal(notify_count(&f->notify, ACTION_FAILED), 1);
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, notify_rig_open, notify_rig_close, NULL                                   \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("a notification is a multipart/report to the sender (RFC 6522)",
             is_a_multipart_report),
        TEST("every line is short ASCII and ends in CRLF, whatever the remote said",
             every_line_is_short_ascii_and_ends_in_crlf),
        TEST("the status part has its fields in order (RFC 3464 s.2)",
             status_part_has_the_fields_in_order),
        TEST("a reply of several lines stands as it came (RFC 3461 s.9.2)",
             a_reply_of_several_lines_stands_as_it_came),
        TEST("ENVID and ORCPT come back decoded (RFC 3461 s.6.3)",
             envid_and_orcpt_come_back_decoded),
        TEST("without ENVID and ORCPT their fields are absent", absent_envid_and_orcpt_stay_absent),
        TEST("without a remote reply there is no Remote-MTA",
             without_a_remote_there_is_no_remote_mta),
        TEST("a recipient given up at the end of the lifetime has a temporary status",
             an_expired_recipient_has_a_temporary_status),
        TEST("a status that is none becomes 5.0.0", a_status_that_is_none_becomes_5_0_0),
        TEST("people are told what happened, whose side it is, and what to do",
             people_are_told_what_whose_and_what_to_do),
        TEST("a bounce for a policy names policy, server and certificate",
             a_policy_bounce_names_policy_server_and_certificate),
        TEST("a small message comes back whole", a_small_message_comes_back_whole),
        TEST("a large message comes back as its headers", a_large_message_comes_back_as_headers),
        TEST("returned headers end at a line within 16 KiB",
             headers_are_cut_at_a_line_within_16_kib),
        TEST("RET=HDRS and REQUIRETLS return headers only", ret_hdrs_and_requiretls_return_headers),
        TEST("headers with 8-bit bytes are returned quoted-printable",
             eight_bit_headers_are_quoted),
        TEST("addresses outside ASCII make a global delivery report, in 7 bits (RFC 6533)",
             addresses_outside_ascii_make_a_global_report),
        TEST("an ORCPT in UTF-8 stays coded in a report in ASCII (RFC 6533 s.3)",
             a_utf8_orcpt_stays_coded_in_a_report_in_ascii),
        TEST("a sender outside ASCII is told in UTF-8, one with such a domain in A-labels",
             a_sender_outside_ascii_is_told_in_utf8),
        TEST("the original of SMTPUTF8 comes back as message/global, or its headers",
             the_original_of_smtputf8_comes_back_as_message_global),
        TEST("lone CRs and LFs are quoted", lone_crs_and_lfs_are_quoted),
        TEST("a line of 998 octets is the longest that stays",
             a_line_of_998_octets_is_the_longest_that_stays),
        TEST("the boundary does not occur in the original",
             the_boundary_does_not_occur_in_the_original),
        TEST("a relay is told as such, and returns headers only", a_relay_is_told_as_such),
        TEST("failures and relays come in one notification",
             failures_and_relays_come_in_one_notification),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
