#include "tests/support/test.h"

#include "lib/base/base64.h"
#include "lib/io/gzip.h"
#include "tlsrpt/report_mail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct report_facts flawless = {
    .organization = { "Relay Test", 10 },
    .contact = { "tlsrpt@relay.test", 17 },
    .domain = { "a.test", 6 },
    .day = 20521, /* 2026-03-09 */
    .id = { "2026-03-09.a.test@relay1.test", 29 },
};

static struct report_facts facts;
static struct report_sum sum;
static struct report_mail mail;
static struct buf document;
static struct buf text;

static int flawless_mail(void **state)
{
    struct report *report;
    (void)state;
    facts = flawless;
    buf_init(&document, 3 * REPORT_RESERVE);
    buf_init(&text, REPORT_MAIL_MAX);
    report = report_begin(&facts, REPORT_PACKED, &document);
    assert_true(report_end(&report, &sum));
    sum.succeeded = 40;
    mail = (struct report_mail){
        .facts = &facts,
        .sum = &sum,
        .form = REPORT_PACKED,
        .report = buf_span(&document),
        .from = SPAN("reports@relay.test"),
        .to = SPAN("tls@a.test"),
        .hostname = SPAN("relay1.test"),
        .now_ms = 1773100800000,
    };
    return 0;
}

static int clear_mail(void **state)
{
    (void)state;
    buf_clear(&document);
    buf_clear(&text);
    return 0;
}

/* The whole mail as a string. */
static const char *written(void)
{
    buf_reset(&text);
    assert_true(report_mail_write(&mail, &text));
    assert_true(buf_append(&text, (struct span){ "", 1 }));
    return buf_span(&text).data;
}

static void assert_says(const char *words)
{
    if (!strstr(written(), words))
        fail_msg("not said: %s\n%s", words, written());
}

static void assert_does_not_say(const char *words)
{
    if (strstr(written(), words))
        fail_msg("said: %s\n%s", words, written());
}

static void the_header_is_that_of_rfc_8460(void **state)
{
    static const char start[] = "Date: Tue, 10 Mar 2026 00:00:00 +0000\r\n"
                                "From: <reports@relay.test>\r\n"
                                "To: <tls@a.test>\r\n"
                                "Subject: Report Domain: a.test\r\n"
                                " Submitter: relay.test\r\n"
                                " Report-ID: <2026-03-09.a.test@relay1.test>\r\n"
                                "Message-ID: <";
    static const char rest[] = "@relay1.test>\r\n"
                               "TLS-Report-Domain: a.test\r\n"
                               "TLS-Report-Submitter: relay.test\r\n"
                               "TLS-Required: No\r\n"
                               "Auto-Submitted: auto-generated\r\n"
                               "MIME-Version: 1.0\r\n"
                               "Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n"
                               " boundary=\"=_";
    (void)state;
    assert_memory_equal(written(), start, sizeof(start) - 1);
    assert_says(rest);
}

static void a_contact_may_hold_more_than_one_at_sign(void **state)
{
    (void)state;
    facts.contact = SPAN("\"a@b\"@relay.test");
    assert_says("TLS-Report-Submitter: relay.test\r\n");
}

static void the_second_part_is_the_file(void **state)
{
    const char *file, *end;
    struct buf letters, bytes;
    (void)state;
    assert_says("\r\nContent-Type: application/tlsrpt+gzip\r\n"
                "Content-Transfer-Encoding: base64\r\n"
                "Content-Disposition: attachment;\r\n"
                " filename=\"relay.test!a.test!1773014400!1773100799!");
    file = strstr(strstr(written(), "tlsrpt+gzip"), "\r\n\r\n") + 4;
    end = strstr(file, "\r\n\r\n--=_");
    buf_init(&letters, REPORT_BODY_MAX);
    buf_init(&bytes, REPORT_BODY_MAX);
    for (const char *p = file; p < end; p++)
        if (*p != '\r' && *p != '\n')
            assert_true(buf_append(&letters, (struct span){ p, 1 }));
    assert_true(base64_decode(buf_span(&letters), &bytes));
    assert_true(span_equal(buf_span(&bytes), mail.report));
    buf_clear(&letters);
    buf_clear(&bytes);
}

static void a_plain_report_says_so(void **state)
{
    (void)state;
    mail.form = REPORT_PLAIN;
    assert_says("Content-Type: application/tlsrpt+json\r\n");
    assert_says(".json\"\r\n");
}

static void a_person_reads_what_is_in_it(void **state)
{
    (void)state;
    assert_says("encryption of mail to a.test\r\n");
    assert_says("of 2026-03-09 (UTC)");
    assert_says("It comes from Relay Test (relay.test)");
    assert_says("        40 as secure as your policy asks, or encrypted where you have none\r\n"
                "         0 not\r\n");
    assert_says("Nothing went wrong: there is nothing to do.\r\n");
    assert_says("    relay.test!a.test!");
    assert_says("the DNS record _smtp._tls.a.test asks for it");
    assert_says("Questions: tlsrpt@relay.test\r\n");
    assert_does_not_say("What went wrong");
}

static void a_host_s_view_says_that_it_is_one(void **state)
{
    (void)state;
    facts.of_host = true;
    facts.domain = SPAN("mx.a.test");
    assert_says("encryption of mail by way of the mail server mx.a.test\r\n");
}

static void what_went_wrong_is_named_with_its_numbers(void **state)
{
    (void)state;
    sum.failed = 3;
    assert_does_not_say("there is nothing to do");
    assert_does_not_say("What went wrong"); /* failures without details */
    for (int i = TLS_RESULT_SUCCESS + 1; i < TLS_RESULT_COUNT; i++) {
        memset(sum.results, 0, sizeof(sum.results));
        sum.results[i] = 2;
        assert_says("What went wrong, and in how many sessions:\r\n         2 ");
        assert_says(tls_result_name((enum tls_result)i));
        assert_does_not_say("(null)");
    }
}

static void testing_mode_failures_are_named_where_none_failed(void **state)
{
    (void)state;
    sum.results[TLS_RESULT_CERTIFICATE_EXPIRED] = 1;
    assert_says("         1 certificate-expired: a certificate had expired\r\n");
    assert_does_not_say("there is nothing to do");
}

static void names_beyond_ascii_are_quoted(void **state)
{
    (void)state;
    facts.organization = SPAN("Fran\xc3\xa7ois\r\nBcc: x \xff");
    assert_says("Content-Type: text/plain; charset=utf-8\r\n"
                "Content-Transfer-Encoding: quoted-printable\r\n\r\n");
    assert_says("It comes from Fran=C3=A7ois??Bcc: x ? (relay.test)");
    for (const char *p = written(); *p; p++)
        assert_true((unsigned char)*p < 0x80);
}

static void every_line_ends_well_and_is_short_enough(void **state)
{
    size_t column = 0;
    (void)state;
    for (const char *p = written(); *p; p++) {
        column = *p == '\n' ? 0 : column + 1;
        assert_true(column <= 79); /* and its CR; RFC 5322 s.2.1.1 */
        assert_true(*p != '\n' || p[-1] == '\r');
    }
}

static void the_same_report_is_another_mail_to_another_address(void **state)
{
    char *first = strdup(strstr(written(), "Message-ID"));
    (void)state;
    assert_string_equal(strstr(written(), "Message-ID"), first);
    mail.to = SPAN("b@a.test");
    assert_int_not_equal(strncmp(strstr(written(), "Message-ID"), first, 36), 0);
    free(first);
}

static void what_does_not_fit_is_said(void **state)
{
    struct buf small;
    size_t whole = strlen(written());
    (void)state;
    for (size_t room = 0; room < whole; room += 97) {
        buf_init(&small, room);
        assert_false(report_mail_write(&mail, &small));
        buf_clear(&small);
    }
    facts.domain = SPAN("no domain");
    assert_false(report_mail_write(&mail, &text));
}

/* ---- by others' eyes ------------------------------------------------------------------------ */

static void write_file(const char *path)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(written(), file);
    fclose(file);
}

/* Python's email takes the mail apart, its gzip unpacks the file, a JSON schema judges it. */
static void an_independent_reader_takes_it(void **state)
{
    char path[] = "/tmp/test_report_mail.XXXXXX";
    char command[200];
    int fd = mkstemp(path);
    (void)state;
    assert_true(fd >= 0);
    close(fd);
    write_file(path);
    snprintf(command, sizeof(command), "/usr/bin/python3 tests/support/check_report.py %s", path);
    int status = system(command);
    unlink(path);
    assert_int_equal(status, 0);
}

#define MAIL_TEST(title, test)                                                                     \
    {                                                                                              \
        title, test, flawless_mail, clear_mail, NULL                                               \
    }

int main(void)
{
    static const struct CMUnitTest tests[] = {
        MAIL_TEST("report_mail: the header is that of RFC 8460 s.5.3",
                  the_header_is_that_of_rfc_8460),
        MAIL_TEST("report_mail: a contact may hold more than one at sign",
                  a_contact_may_hold_more_than_one_at_sign),
        MAIL_TEST("report_mail: the second part is the file, in base64",
                  the_second_part_is_the_file),
        MAIL_TEST("report_mail: a plain report says so", a_plain_report_says_so),
        MAIL_TEST("report_mail: a person reads what is in it", a_person_reads_what_is_in_it),
        MAIL_TEST("report_mail: a report about an MX host says that it is one",
                  a_host_s_view_says_that_it_is_one),
        MAIL_TEST("report_mail: what went wrong is named with its numbers",
                  what_went_wrong_is_named_with_its_numbers),
        MAIL_TEST("report_mail: failures that stopped nothing are named, too",
                  testing_mode_failures_are_named_where_none_failed),
        MAIL_TEST("report_mail: names beyond ASCII are quoted, controls are not passed on",
                  names_beyond_ascii_are_quoted),
        MAIL_TEST("report_mail: every line ends with CRLF and has at most 78 octets",
                  every_line_ends_well_and_is_short_enough),
        MAIL_TEST("report_mail: the same report is another mail to another address",
                  the_same_report_is_another_mail_to_another_address),
        MAIL_TEST("report_mail: what does not fit is said", what_does_not_fit_is_said),
        MAIL_TEST("report_mail: Python's email, gzip and a JSON schema take it",
                  an_independent_reader_takes_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
