/* What waxseal tlsrpt read shows to people. */
#include "supervisor/tlsrpt_read_text.h"

#include "tests/support/test.h"
#include "tlsrpt/reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *shown;

static int end(void **state)
{
    (void)state;
    free(shown);
    shown = NULL;
    return 0;
}

static void show(const char *report)
{
    struct json *told = NULL;
    size_t size;
    FILE *out;

    free(shown); /* of the story's last report */
    out = open_memstream(&shown, &size);
    assert_null(reader_read(span_of(report), &told));
    tlsrpt_read_tell(told, out);
    fclose(out);
    json_free(&told);
}

static void assert_shown(const char *part)
{
    if (!strstr(shown, part))
        fail_msg("\"%s\" is not in:\n%s", part, shown);
}

#define RANGE(begin, end)                                                                          \
    "\"date-range\":{\"start-datetime\":\"" begin "\",\"end-datetime\":\"" end "\"}"
#define DAY RANGE("2026-01-30T00:00:00Z", "2026-01-30T23:59:59Z")
#define POLICY(type, mode)                                                                         \
    "{\"policy\":{\"policy-type\":\"" type "\",\"policy-string\":[\"mode: " mode                   \
    "\"],\"policy-domain\":\"example.com\"},\"summary\":{\"total-successful-session-count\":1,"    \
    "\"total-failure-session-count\":"

static void report_is_told_from_its_sender_to_the_command_that_helps(void **state)
{
    (void)state;
    show("{\"organization-name\":\"Relay Test Ltd\"," DAY
         ",\"contact-info\":\"tlsrpt@relay.example\",\"report-id\":\"7@relay.example\","
         "\"policies\":[" POLICY("sts", "enforce") "1},\"failure-details\":[{\"result-type\":"
                                                   "\"starttls-not-supported\",\"sending-mta-ip\":"
                                                   "\"192.0.2.7\",\"receiving-mx-hostname\":"
                                                   "\"mx1.example.com\",\"receiving-mx-helo\":"
                                                   "\"mail\",\"receiving-ip\":\"198.51.100.25\","
                                                   "\"failed-session-count\":1,\"additional-"
                                                   "information\":\"https://x.example/\"}]}]}");
    assert_string_equal(
        shown,
        "TLS report about example.com, by Relay Test Ltd\n"
        "  day         2026-01-30 (UTC)\n"
        "  contact     tlsrpt@relay.example\n"
        "  report id   7@relay.example\n"
        "\n"
        "1 session succeeded, 1 failed.\n"
        "- MTA-STS policy of example.com, mode enforce: 1 succeeded, 1 failed\n"
        "\n"
        "1. starttls-not-supported: 1 session, MTA-STS policy of example.com, mode enforce\n"
        "  at          mx1.example.com [198.51.100.25], which calls itself mail; see "
        "https://x.example/\n"
        "  seen from   192.0.2.7\n"
        "  cause       mx1.example.com did not offer STARTTLS, or something between it\n"
        "              and the sender took the offer out.\n"
        "  effect      No mail went over these sessions: it waited, or took another MX\n"
        "              host.\n"
        "  whose turn  whoever runs mx1.example.com\n"
        "  to do       Switch STARTTLS on at mx1.example.com, port 25, for every address\n"
        "              it has. If it is on, look for a firewall or proxy that changes\n"
        "              SMTP: a greeting full of asterisks is a sign.\n"
        "  look        openssl s_client -starttls smtp -connect mx1.example.com:25 -servername "
        "mx1.example.com </dev/null\n");
}

static void a_report_is_about_the_domain_not_its_mx_host(void **state)
{
    (void)state;
    show("{\"organization-name\":\"R\"," DAY ",\"policies\":[{\"policy\":{\"policy-type\":\"tlsa\","
         "\"policy-domain\":\"mx1.provider.example\"}}," POLICY("sts", "enforce") "0}}]}");
    assert_shown("TLS report about example.com, by R\n");
    show("{\"organization-name\":\"R\"," DAY ",\"policies\":[{\"policy\":{\"policy-type\":\"tlsa\","
         "\"policy-domain\":\"mx1.provider.example\"}}]}");
    assert_shown("TLS report about mx1.provider.example, by R\n");
}

static void controls_of_a_report_reach_no_terminal(void **state)
{
    (void)state;
    show("{\"organization-name\":\"\\u001b]0;x\\u0007\\u009b1m\\u202e\",\"report-id\":\"a\\nb\","
         "\"policies\":[" POLICY(
             "sts",
             "\\u001b[2J") "1},\"failure-details\":[{\"result-type\":"
                           "\"\\u001b[31m\",\"failure-reason-code\":\"\\r\",\"receiving-mx-"
                           "hostname\":\"\\u001b\","
                           "\"receiving-mx-helo\":\"\\u001b\",\"sending-mta-ip\":\"\\u001b\"}]}]}");
    for (const char *c = shown; *c; c++)
        if ((unsigned char)*c < ' ')
            assert_int_equal(*c, '\n');
    assert_null(strstr(shown, "\xc2\x9b"));
    assert_null(strstr(shown, "\xe2\x80\xae"));
    assert_shown("\\x1b]0;x\\x07");
    assert_shown("a\\x0ab");
}

static void what_differs_from_the_rfc_is_told(void **state)
{
    (void)state;
    show("{\"organization-name\":\"R\"," RANGE(
        "2026-01-30T00:00:00Z",
        "2026-01-31T12:00:00Z") ",\"contact-info\":\"a@b.example\",\"report-id\":\"1\","
                                "\"policies\":[" POLICY("tlsa",
                                                        "") "\"2\"}},{\"policy\":{\"policy-type\":"
                                                            "\"no-policy-found\",\"policy-domain\":"
                                                            "\"a.example\"},"
                                                            "\"summary\":{\"total-successful-"
                                                            "session-count\":\"5\",\"total-failure-"
                                                            "session-count\":0}}"
                                                            ",{\"policy\":{\"policy-type\":\"new\","
                                                            "\"policy-domain\":\"a.example\"},"
                                                            "\"summary\":"
                                                            "{\"total-successful-session-count\":5,"
                                                            "\"total-failure-session-count\":0}}]"
                                                            "}");
    assert_shown("  period      2026-01-30T00:00:00Z to 2026-01-31T12:00:00Z\n");
    assert_shown("- TLSA records (DANE) of example.com: 1 succeeded, 2 failed\n");
    assert_shown("- no policy of a.example: 5 succeeded, 0 failed\n"
                 "              The sender found no policy");
    assert_shown("- another policy of a.example: 5");
    assert_shown("\n1. not said what: 2 sessions, TLSA records (DANE) of example.com\n");
    assert_shown("\nWhere it differs from RFC 8460:\n- ");
    assert_shown("- a count is written as text (2 times)\n");
}

static void mail_around_a_report_is_told(void **state)
{
    (void)state;
    show("From: reports@relay.example\r\nContent-Type: message/rfc822\r\n\r\n"
         "From: tlsrpt@relay.example\r\nContent-Type: application/tlsrpt+json; name=\"a.json\"\r\n"
         "\r\n{\"policies\":[]}");
    assert_shown("TLS report\n");
    assert_shown("  came in     a forwarded mail from tlsrpt@relay.example, as a.json\n");
    end(NULL);
    show("From: tlsrpt@relay.example\r\nContent-Type: application/tlsrpt+json\r\n\r\n"
         "{\"policies\":[]}");
    assert_shown("  came in     a mail from tlsrpt@relay.example\n");
}

/* Appends as many failures of different reasons, each seen at another host. */
static void append_failures(char *text, size_t size, int count)
{
    for (int i = 0; i < count; i++) {
        size_t len = strlen(text);
        snprintf(text + len, size - len,
                 "%s{\"result-type\":\"tlsa-invalid\",\"failure-reason-code\":\"%d\","
                 "\"receiving-mx-hostname\":\"mx%d\",\"receiving-ip\":\"192.0.2.%d\","
                 "\"sending-mta-ip\":\"192.0.2.%d\",\"failed-session-count\":1}",
                 i > 0 ? "," : "", i < 60 ? i : 0, i, i % 200, i % 200);
    }
}

static void what_is_left_out_is_said(void **state)
{
    static char text[64 * 1024];

    (void)state;
    strcpy(text, "{\"policies\":[" POLICY("tlsa", "") "70},\"failure-details\":[");
    append_failures(text, sizeof(text), 70);
    strcat(text, "]}");
    for (int i = 0; i < 101; i++)
        strcat(text, ",{\"summary\":{}}");
    strcat(text, "]}");
    show(text);
    assert_shown("\nand 10 more kinds of failures, with fewer sessions\n");
    assert_shown("              and others\n  seen from ");
    assert_shown("              and others\n  cause ");
    assert_shown("- and 2 more\n");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "tlsrpt read: a report is told from its sender to the command that helps",
          report_is_told_from_its_sender_to_the_command_that_helps, 0, end, 0 },
        { "tlsrpt read: a report is about the domain, not about its MX host",
          a_report_is_about_the_domain_not_its_mx_host, 0, end, 0 },
        { "tlsrpt read: controls of a report reach no terminal",
          controls_of_a_report_reach_no_terminal, 0, end, 0 },
        { "tlsrpt read: in what a report differs from the RFC is told",
          what_differs_from_the_rfc_is_told, 0, end, 0 },
        { "tlsrpt read: the mail around a report is told", mail_around_a_report_is_told, 0, end,
          0 },
        { "tlsrpt read: what is left out is said", what_is_left_out_is_said, 0, end, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
