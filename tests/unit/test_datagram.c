#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/memory.h"
#include "lib/ipc/channel.h"
#include "lib/mail/tls_result.h"
#include "tlsrpt/counts.h"
#include "tlsrpt/datagram.h"

/* The example of rfc/tls-rpt.md, RPT-105. */
static const char documented[] =
    "{\"dpv\":\"1\",\"d\":\"example.com\",\"pr\":\"v=TLSRPTv1;rua=mailto:t@example.com\","
    "\"policies\":[{\"policy-type\":2,\"policy-domain\":\"example.com\","
    "\"policy-string\":[\"version: STSv1\",\"mode: enforce\",\"mx: mx1.example.com\","
    "\"max_age: 86400\"],\"mx-host\":[\"mx1.example.com\"],\"failure-details\":[{\"c\":204,"
    "\"s\":\"192.0.2.7\",\"n\":\"mx1.example.com\",\"r\":\"198.51.100.25\"}],\"t\":1,\"f\":1}]}";

static struct datagram *read_fine(const char *text)
{
    struct datagram *datagram = NULL;
    const char *why = NULL;
    enum datagram_verdict verdict = datagram_read(span_of(text), &datagram, &why);

    if (verdict != DATAGRAM_FINE)
        fail_msg("%s: %s", why, text);
    assert_null(why);
    return datagram;
}

static void assert_refused(const char *text)
{
    struct datagram *datagram = NULL;
    const char *why = NULL;

    if (datagram_read(span_of(text), &datagram, &why) != DATAGRAM_MALFORMED)
        fail_msg("taken: %s", text);
    assert_null(datagram);
    assert_non_null(why);
}

static void assert_field(ProtobufCBinaryData bytes, const char *text)
{
    assert_true(span_equal(span_of_bytes(bytes), span_of(text)));
}

static void the_documented_one_is_a_session_that_failed(void **state)
{
    struct datagram *d = read_fine(documented);
    const Ipc__SessionEvent *event = datagram_event(d, 0);

    (void)state;
    assert_int_equal(datagram_count(d), 1);
    assert_int_equal(datagram_unfinished(d), 0);
    assert_true(span_equal(datagram_record(d), SPAN("v=TLSRPTv1;rua=mailto:t@example.com")));
    assert_true(counts_is_valid(event));
    assert_field(event->domain, "example.com");
    assert_field(event->policy_domain, "example.com");
    assert_int_equal(event->policy_type, IPC__POLICY_TYPE__STS);
    assert_field(event->policy_text,
                 "version: STSv1\nmode: enforce\nmx: mx1.example.com\nmax_age: 86400\n");
    assert_int_equal(event->n_mx_patterns, 1);
    assert_field(event->mx_patterns[0], "mx1.example.com");
    assert_true(event->failed);
    assert_int_equal(event->n_failures, 1);
    assert_int_equal(event->failures[0]->result, TLS_RESULT_CERTIFICATE_EXPIRED);
    assert_field(event->failures[0]->mx_host, "mx1.example.com");
    assert_int_equal(event->failures[0]->sending_ip.len, 4);
    assert_memory_equal(event->failures[0]->sending_ip.data, "\xc0\x00\x02\x07", 4);
    assert_memory_equal(event->failures[0]->receiving_ip.data, "\xc6\x33\x64\x19", 4);
    assert_field(event->failures[0]->mx_helo, "");
    datagram_free(&d);
    assert_null(d);
}

/* ---- one thing changed ------------------------------------------------------------------------
 */

static char changed_text[4096];

/* The documented one with one part of it replaced. */
static const char *with(const char *part, const char *other)
{
    const char *at = strstr(documented, part);

    assert_non_null(at);
    snprintf(changed_text, sizeof(changed_text), "%.*s%s%s", (int)(at - documented), documented,
             other, at + strlen(part));
    return changed_text;
}

static void every_code_has_its_result(void **state)
{
    static const struct {
        int code;
        enum tls_result result;
    } codes[] = {
        { 201, TLS_RESULT_STARTTLS_NOT_SUPPORTED },
        { 202, TLS_RESULT_CERTIFICATE_HOST_MISMATCH },
        { 203, TLS_RESULT_CERTIFICATE_NOT_TRUSTED },
        { 204, TLS_RESULT_CERTIFICATE_EXPIRED },
        { 205, TLS_RESULT_VALIDATION_FAILURE },
        { 301, TLS_RESULT_STS_POLICY_FETCH_ERROR },
        { 302, TLS_RESULT_STS_POLICY_INVALID },
        { 303, TLS_RESULT_STS_WEBPKI_INVALID },
        { 304, TLS_RESULT_TLSA_INVALID },
        { 305, TLS_RESULT_DNSSEC_INVALID },
        { 306, TLS_RESULT_DANE_REQUIRED },
    };
    char text[32];

    (void)state;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        snprintf(text, sizeof(text), "\"c\":%d", codes[i].code);
        struct datagram *d = read_fine(with("\"c\":204", text));
        assert_int_equal(datagram_event(d, 0)->failures[0]->result, codes[i].result);
        datagram_free(&d);
    }
    assert_int_equal(sizeof(codes) / sizeof(codes[0]), TLS_RESULT_COUNT - 1);
    assert_refused(with("\"c\":204", "\"c\":200"));
    assert_refused(with("\"c\":204", "\"c\":206"));
    assert_refused(with("\"c\":204", "\"c\":300"));
    assert_refused(with("\"c\":204", "\"c\":307"));
    assert_refused(with("\"c\":204", "\"c\":0"));
    assert_refused(with("\"c\":204", "\"c\":\"204\""));
    assert_refused(with("\"c\":204,", ""));
}

static void every_type_of_policy_is_known(void **state)
{
    struct datagram *d = read_fine(with("\"policy-type\":2", "\"policy-type\":1"));

    (void)state;
    assert_int_equal(datagram_event(d, 0)->policy_type, IPC__POLICY_TYPE__TLSA);
    datagram_free(&d);
    d = read_fine("{\"dpv\":\"1\",\"d\":\"EXAMPLE.com\",\"policies\":[{\"policy-type\":9,"
                  "\"f\":0,\"t\":0}]}");
    assert_int_equal(datagram_event(d, 0)->policy_type, IPC__POLICY_TYPE__NO_POLICY_FOUND);
    assert_field(datagram_event(d, 0)->domain, "example.com");
    assert_field(datagram_event(d, 0)->policy_domain, "");
    assert_false(datagram_event(d, 0)->failed);
    assert_null(datagram_record(d).data); /* then we look for it ourselves */
    datagram_free(&d);
    assert_refused(with("\"policy-type\":2", "\"policy-type\":3"));
    assert_refused(with("\"policy-type\":2", "\"policy-type\":\"sts\""));
    assert_refused(with("\"policy-type\":2,", ""));
}

static void a_policy_has_what_its_type_has(void **state)
{
#define MEMBERS "\"policy-string\":[\"x\"],\"mx-host\":[\"m\"],\"f\":0}"
    struct datagram *d = read_fine("{\"dpv\":\"1\",\"d\":\"a.test\",\"policies\":["
                                   "{\"policy-type\":1," MEMBERS ",{\"policy-type\":2," MEMBERS
                                   ",{\"policy-type\":9," MEMBERS "]}");

    (void)state;
    assert_field(datagram_event(d, 0)->policy_text, "x\n");
    assert_int_equal(datagram_event(d, 0)->n_mx_patterns, 0);
    assert_int_equal(datagram_event(d, 1)->n_mx_patterns, 1);
    assert_field(datagram_event(d, 2)->policy_text, "");
    assert_int_equal(datagram_event(d, 2)->n_mx_patterns, 0);
    datagram_free(&d);
}

static void a_session_may_list_failures_and_end_well(void **state)
{
    struct datagram *d = read_fine(with("\"f\":1}]}", "\"f\":0}]}"));

    (void)state;
    assert_false(datagram_event(d, 0)->failed);
    assert_int_equal(datagram_event(d, 0)->n_failures, 1);
    datagram_free(&d);
    assert_refused(with("\"f\":1}]}", "\"f\":2}]}"));
    assert_refused(with("\"f\":1}]}", "\"f\":\"1\"}]}"));
    assert_refused(with(",\"f\":1}]}", "}]}"));
}

/* RPT-104: 901 is never reported, whether it stands as a failure or as the result. */
static void what_was_not_finished_is_not_counted(void **state)
{
    struct datagram *d = read_fine(with("\"f\":1}]}", "\"f\":901}]}"));

    (void)state;
    assert_int_equal(datagram_count(d), 0);
    assert_int_equal(datagram_unfinished(d), 1);
    datagram_free(&d);
    d = read_fine(with("{\"c\":204,", "{\"c\":901},{\"c\":204,"));
    assert_int_equal(datagram_count(d), 0);
    assert_int_equal(datagram_unfinished(d), 1);
    datagram_free(&d);
    d = read_fine("{\"dpv\":\"1\",\"d\":\"example.com\",\"policies\":["
                  "{\"policy-type\":1,\"policy-domain\":\"mx.example.com\",\"f\":901},"
                  "{\"policy-type\":2,\"f\":0},{\"policy-type\":9,\"f\":1}]}");
    assert_int_equal(datagram_count(d), 2);
    assert_int_equal(datagram_unfinished(d), 1);
    assert_int_equal(datagram_event(d, 0)->policy_type, IPC__POLICY_TYPE__STS);
    assert_field(datagram_event(d, 0)->policy_domain, "");
    assert_int_equal(datagram_event(d, 0)->policy_text.len, 0);
    assert_int_equal(datagram_event(d, 1)->policy_type, IPC__POLICY_TYPE__NO_POLICY_FOUND);
    datagram_free(&d);
}

static void addresses_are_read_and_what_is_none_is_left_out(void **state)
{
    struct datagram *d = read_fine(with("\"s\":\"192.0.2.7\"", "\"s\":\"2001:db8::7\""));

    (void)state;
    assert_int_equal(datagram_event(d, 0)->failures[0]->sending_ip.len, 16);
    datagram_free(&d);
    d = read_fine(with("\"s\":\"192.0.2.7\"", "\"s\":\"unix:lmtp\""));
    assert_int_equal(datagram_event(d, 0)->failures[0]->sending_ip.len, 0);
    datagram_free(&d);
    d = read_fine(with("\"s\":\"192.0.2.7\",", "\"a\":\"https://x\",\"f\":\"why\",\"h\":\"me\","));
    assert_int_equal(datagram_event(d, 0)->failures[0]->sending_ip.len, 0);
    assert_field(datagram_event(d, 0)->failures[0]->additional, "https://x");
    assert_field(datagram_event(d, 0)->failures[0]->reason, "why");
    assert_field(datagram_event(d, 0)->failures[0]->mx_helo, "me");
    datagram_free(&d);
}

static void only_version_1_is_read(void **state)
{
    static const char *const others[] = { "\"dpv\":\"2\"", "\"dpv\":1", "\"dpv\":\"\"",
                                          "\"version\":\"1\"" };
    struct datagram *d = NULL;
    const char *why;

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct span text = span_of(with("\"dpv\":\"1\"", others[i]));
        assert_int_equal(datagram_read(text, &d, &why), DATAGRAM_OTHER_VERSION);
        assert_null(d);
    }
}

static void members_of_another_kind_are_refused(void **state)
{
    (void)state;
    assert_refused(with("\"d\":\"example.com\"", "\"d\":7"));
    assert_refused(with("\"d\":\"example.com\",", ""));
    assert_refused(with("\"d\":\"example.com\"", "\"d\":\"[192.0.2.1]\""));
    assert_refused(with("\"d\":\"example.com\"", "\"d\":\"a b\""));
    assert_refused(with("\"pr\":\"v=TLSRPTv1;rua=mailto:t@example.com\"", "\"pr\":[]"));
    assert_refused(with("\"policy-domain\":\"example.com\"", "\"policy-domain\":{}"));
    assert_refused(with("\"policy-domain\":\"example.com\"", "\"policy-domain\":\"..\""));
    assert_refused(with("[\"version: STSv1\",", "[1,"));
    assert_refused(with("[\"version: STSv1\",", "[\"version: STSv1\\nmode: none\","));
    assert_refused(with("\"mx-host\":[\"mx1.example.com\"]", "\"mx-host\":\"mx1.example.com\""));
    assert_refused(with("\"mx-host\":[\"mx1.example.com\"]", "\"mx-host\":[null]"));
    assert_refused(with("\"failure-details\":[{", "\"failure-details\":[[],{"));
    assert_refused(with("\"s\":\"192.0.2.7\"", "\"s\":1"));
    assert_refused(with("\"r\":\"198.51.100.25\"", "\"r\":{}"));
    assert_refused(with("\"n\":\"mx1.example.com\"", "\"n\":1"));
    assert_refused(with("\"n\":\"mx1.example.com\"", "\"h\":1"));
    assert_refused(with("\"n\":\"mx1.example.com\"", "\"a\":1"));
    assert_refused(with("\"n\":\"mx1.example.com\"", "\"f\":1"));
    assert_refused("{\"dpv\":\"1\",\"d\":\"example.com\"}");
    assert_refused("{\"dpv\":\"1\",\"d\":\"example.com\",\"policies\":[]}");
    assert_refused("{\"dpv\":\"1\",\"d\":\"example.com\",\"policies\":{}}");
    assert_refused("{\"dpv\":\"1\",\"d\":\"example.com\",\"policies\":[1]}");
}

static void what_is_no_json_object_is_refused(void **state)
{
    (void)state;
    assert_refused("");
    assert_refused("\1\2\3");
    assert_refused("[]");
    assert_refused("\"dpv\"");
    assert_refused("{\"dpv\":\"1\"");
    assert_refused("{\"dpv\":\"1\",\"dpv\":\"1\"}");
    assert_refused(with("\"f\":1}]}", "\"f\":1}]}x"));
    struct datagram *d = read_fine(with("\"f\":1}]}", "\"f\":1}]} \n"));
    datagram_free(&d);
    const char *why;
    struct span with_nul = { documented, sizeof(documented) };
    assert_int_equal(datagram_read(with_nul, &d, &why), DATAGRAM_FINE);
    datagram_free(&d);
}

/* A policy that begins well and ends badly takes the ones before it along. */
static void nothing_of_one_that_is_wrong_counts(void **state)
{
    (void)state;
    assert_refused("{\"dpv\":\"1\",\"d\":\"example.com\",\"policies\":["
                   "{\"policy-type\":9,\"f\":0},{\"policy-type\":2,\"f\":7}]}");
}

/* ---- bounds -----------------------------------------------------------------------------------
 */

/* `count` times `item` between brackets, inside of a text of the form "head %s tail". */
static char *repeated(const char *head, const char *item, size_t count, const char *tail)
{
    size_t len = strlen(item) + 1;
    char *text = memory_new(strlen(head) + count * len + strlen(tail) + 1);
    char *at = text + sprintf(text, "%s", head);

    for (size_t i = 0; i < count; i++)
        at += sprintf(at, "%s%s", i > 0 ? "," : "", item);
    sprintf(at, "%s", tail);
    return text;
}

#define HEAD "{\"dpv\":\"1\",\"d\":\"example.com\",\"policies\":["
#define POLICY "{\"policy-type\":9,\"f\":0}"

static void assert_count(char *text, int policies)
{
    struct datagram *d = NULL;
    const char *why;
    enum datagram_verdict verdict = datagram_read(span_of(text), &d, &why);

    assert_int_equal(verdict, policies < 0 ? DATAGRAM_MALFORMED : DATAGRAM_FINE);
    if (d)
        assert_int_equal(datagram_count(d), policies);
    datagram_free(&d);
    free(text);
}

static void policies_hosts_and_lines_are_bounded(void **state)
{
    char *line = memory_new(70000);

    (void)state;
    assert_count(repeated(HEAD, POLICY, DATAGRAM_POLICIES_MAX, "]}"), DATAGRAM_POLICIES_MAX);
    assert_count(repeated(HEAD, POLICY, DATAGRAM_POLICIES_MAX + 1, "]}"), -1);
    assert_count(repeated(HEAD "{\"policy-type\":2,\"f\":0,\"mx-host\":[", "\"m\"",
                          COUNTS_PATTERNS_MAX, "]}]}"),
                 1);
    assert_count(repeated(HEAD "{\"policy-type\":2,\"f\":0,\"mx-host\":[", "\"m\"",
                          COUNTS_PATTERNS_MAX + 1, "]}]}"),
                 -1);
    memset(line, 'x', 69999);
    assert_count(
        repeated(HEAD "{\"policy-type\":2,\"f\":0,\"policy-string\":[\"", line, 1, "\"]}]}"), -1);
    assert_count(repeated(HEAD "{\"policy-type\":2,\"f\":0,\"mx-host\":[\"", line, 1, "\"]}]}"),
                 -1);
    free(line);
}

static void of_very_many_failures_the_first_are_kept(void **state)
{
    char *text = repeated(HEAD "{\"policy-type\":2,\"f\":1,\"failure-details\":[", "{\"c\":204}",
                          5 * COUNTS_FAILURES_MAX, "]}]}");
    struct datagram *d = read_fine(text);

    (void)state;
    assert_int_equal(datagram_event(d, 0)->n_failures, COUNTS_FAILURES_MAX);
    assert_true(counts_is_valid(datagram_event(d, 0)));
    datagram_free(&d);
    free(text);
    assert_count(repeated(HEAD "{\"policy-type\":2,\"f\":1,\"failure-details\":[", "{\"c\":204}",
                          DATAGRAM_VALUES_MAX, "]}]}"),
                 -1);
}

#define T(title, function)                                                                         \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        T("the documented datagram is a session that failed (RPT-105)",
          the_documented_one_is_a_session_that_failed),
        T("every code has its result, and there is no other (RPT-104)", every_code_has_its_result),
        T("every type of policy is known, and no other (RPT-102)", every_type_of_policy_is_known),
        T("a policy has what its type has: hosts are those of MTA-STS alone (RFC 8460 s.4.4)",
          a_policy_has_what_its_type_has),
        T("a session may list failures and end well (RPT-107)",
          a_session_may_list_failures_and_end_well),
        T("a policy that was not finished is not counted (RPT-104)",
          what_was_not_finished_is_not_counted),
        T("addresses are read, and what is none is left out",
          addresses_are_read_and_what_is_none_is_left_out),
        T("only version 1 of the protocol is read (RPT-109)", only_version_1_is_read),
        T("members of another kind are refused", members_of_another_kind_are_refused),
        T("what is no JSON object is refused", what_is_no_json_object_is_refused),
        T("nothing counts of a datagram that is wrong in part",
          nothing_of_one_that_is_wrong_counts),
        T("policies, hosts and lines are bounded", policies_hosts_and_lines_are_bounded),
        T("of very many failures the first are kept", of_very_many_failures_the_first_are_kept),
    };

    return cmocka_run_group_tests_name("datagram", tests, NULL, NULL);
}
