#include "tests/support/test.h"

#include "lib/base/json.h"
#include "tests/support/counted.h"
#include "tests/support/session_event.h"
#include "tlsrpt/day.h"
#include "tlsrpt/report.h"

#include <string.h>

static const struct report_facts facts = {
    .organization = { "Relay Test", 10 },
    .contact = { "tlsrpt@relay.test", 17 },
    .domain = { "a.test", 6 },
    .day = 20521, /* 2026-03-09 */
    .id = { "2026-03-09.a.test@relay1.test", 29 },
};

static const struct subject subject = { .day = 20521, .domain = "a.test" };
static struct counted counted;

static int setup(void **state)
{
    (void)state;
    counted_open(&counted);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    counted_close(&counted);
    return 0;
}

static void count(const struct session_event *e, uint64_t sessions)
{
    counted_add(&counted, subject.day, &e->event, sessions);
}

static bool write_day(const Tlsrpt__DayRecord *day, enum report_form form, struct buf *out,
                      struct report_sum *sum)
{
    struct report *report = report_begin(&facts, form, out);

    for (size_t i = 0; i < day->n_policies; i++) {
        report_policy(report, day->policies[i]);
        for (size_t j = 0; j < day->policies[i]->n_failures; j++)
            report_failure(report, day->policies[i]->failures[j]->failure,
                           day->policies[i]->failures[j]->sessions);
    }
    return report_end(&report, sum);
}

static void check_json(const char *policies)
{
    static const char head[] =
        "{\"organization-name\":\"Relay Test\","
        "\"date-range\":{\"start-datetime\":\"2026-03-09T00:00:00Z\","
        "\"end-datetime\":\"2026-03-09T23:59:59Z\"},\"contact-info\":\"tlsrpt@relay.test\","
        "\"report-id\":\"2026-03-09.a.test@relay1.test\",\"policies\":";
    Tlsrpt__DayRecord *day = counted_read(&counted, &subject);
    struct report_sum sum;
    struct json *report = NULL;
    struct buf text;

    buf_init(&text, 8 << 20);
    assert_true(write_day(day, REPORT_PLAIN, &text, &sum));
    assert_null(json_parse(buf_span(&text), &report));
    buf_reset(&text);
    assert_true(json_write(report, JSON_ON_ONE_LINE, &text));
    assert_true(buf_append(&text, (struct span){ "", 1 }));
    assert_memory_equal(buf_span(&text).data, head, sizeof(head) - 1);
    assert_string_equal(buf_span(&text).data + sizeof(head) - 1, policies);
    buf_clear(&text);
    json_free(&report);
    counted_free(&day);
}

static void all_that_was_counted_is_said(void **state)
{
    struct session_event e;
    (void)state;
    event_success(&e, "a.test");
    count(&e, 40);
    event_failure(&e, "a.test", TLS_RESULT_CERTIFICATE_EXPIRED);
    e.failure.mx_helo = event_bytes("helo");
    e.failure.additional = event_bytes("https://x");
    e.failure.reason = event_bytes("X509_V_ERR_CERT_HAS_EXPIRED");
    count(&e, 2);
    check_json("[{\"policy\":{\"policy-type\":\"sts\",\"policy-string\":[\"version: STSv1\","
               "\"mode: enforce\",\"mx: *.mx.test\"],\"policy-domain\":\"a.test\","
               "\"mx-host\":[\"*.mx.test\"]},\"summary\":{"
               "\"total-successful-session-count\":40,\"total-failure-session-count\":2},"
               "\"failure-details\":[{\"result-type\":\"certificate-expired\","
               "\"sending-mta-ip\":\"198.51.100.7\",\"receiving-mx-hostname\":\"a.mx.test\","
               "\"receiving-mx-helo\":\"helo\",\"receiving-ip\":\"192.1.2.10\","
               "\"failed-session-count\":2,\"additional-information\":\"https://x\","
               "\"failure-reason-code\":\"X509_V_ERR_CERT_HAS_EXPIRED\"}]}]}");
}

static void what_is_empty_is_left_out(void **state)
{
    struct session_event e;
    (void)state;
    check_json("[]}");
    event_success(&e, "a.test");
    e.event.policy_type = IPC__POLICY_TYPE__NO_POLICY_FOUND;
    e.event.policy_text = event_bytes("");
    e.event.n_mx_patterns = 0;
    count(&e, 1);
    check_json("[{\"policy\":{\"policy-type\":\"no-policy-found\","
               "\"policy-domain\":\"a.test\"},\"summary\":{"
               "\"total-successful-session-count\":1,\"total-failure-session-count\":0}}]}");
}

static void a_policy_is_given_line_by_line(void **state)
{
    struct session_event e;
    (void)state;
    event_success(&e, "a.test");
    e.event.policy_type = IPC__POLICY_TYPE__TLSA;
    e.event.policy_text = event_bytes("3 1 1 AB\n\n2 0 1 CD");
    e.event.n_mx_patterns = 0;
    count(&e, 1);
    check_json("[{\"policy\":{\"policy-type\":\"tlsa\",\"policy-string\":[\"3 1 1 AB\",\"\","
               "\"2 0 1 CD\"],\"policy-domain\":\"a.test\"},\"summary\":{"
               "\"total-successful-session-count\":1,\"total-failure-session-count\":0}}]}");
}

static void counts_stay_exact_numbers(void **state)
{
    struct session_event e;
    (void)state;
    event_success(&e, "a.test");
    e.event.policy_text = event_bytes("x");
    e.event.n_mx_patterns = 0;
    count(&e, UINT64_MAX);
    check_json("[{\"policy\":{\"policy-type\":\"sts\",\"policy-string\":[\"x\"],"
               "\"policy-domain\":\"a.test\"},\"summary\":{"
               "\"total-successful-session-count\":9007199254740991,"
               "\"total-failure-session-count\":0}}]}");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "report: all that was counted is said, in the words of RFC 8460 s.4.4",
          all_that_was_counted_is_said, setup, teardown, 0 },
        { "report: what is empty is left out, policies is an array always",
          what_is_empty_is_left_out, setup, teardown, 0 },
        { "report: a policy is given line by line (RFC 8460 s.4.5)", a_policy_is_given_line_by_line,
          setup, teardown, 0 },
        { "report: counts stay exact numbers (RFC 7493)", counts_stay_exact_numbers, setup,
          teardown, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
