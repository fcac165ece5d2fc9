#include "tests/support/test.h"

#include "lib/base/json.h"
#include "lib/io/gzip.h"
#include "tests/support/session_event.h"
#include "tlsrpt/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Unlike test_report, which looks at what is said, this looks at how: forms, bounds, names. */

enum { MANY = 100000, UNPACKED_MAX = 128 * 1024 * 1024 };

static const struct report_facts facts = {
    .organization = { "Relay Test", 10 },
    .contact = { "tlsrpt@relay.test", 17 },
    .domain = { "a.test", 6 },
    .day = 20521, /* 2026-03-09 */
    .id = { "2026-03-09.a.test@relay1.test", 29 },
};

static struct session_event session;
static struct report_sum sum;
static struct buf out;
static struct buf plain;

static int setup(void **state)
{
    (void)state;
    event_failure(&session, "a.test", TLS_RESULT_CERTIFICATE_EXPIRED);
    buf_init(&plain, UNPACKED_MAX);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_clear(&out);
    buf_clear(&plain);
    return 0;
}

static void add_policy(struct report *report, uint64_t succeeded, uint64_t failed)
{
    Tlsrpt__PolicyCount policy = TLSRPT__POLICY_COUNT__INIT;

    policy.type = IPC__POLICY_TYPE__STS;
    policy.domain = event_bytes("a.test");
    policy.text = event_bytes("version: STSv1\r\nmode: enforce\r\nmx: *.mx.test\r\n");
    policy.succeeded = succeeded;
    policy.failed = failed;
    report_policy(report, &policy);
}

static void put_word(char room[10], unsigned number)
{
    for (unsigned k = 0; k < 10; k++, number /= 10)
        room[k] = (char)('0' + number % 10);
}

/* So many failures, each of another host and with `words` words of HELO. */
static bool write_failures(enum report_form form, size_t cap, unsigned count, unsigned words)
{
    struct report *report;
    char host[64], helo[1200];

    buf_clear(&out);
    buf_init(&out, cap);
    report = report_begin(&facts, form, &out);
    add_policy(report, 1, count);
    for (unsigned i = 0; i < count; i++) {
        snprintf(host, sizeof(host), "mx%u.a.test", i);
        for (unsigned j = 0; j < words; j++)
            put_word(helo + 10 * j, (i * 31 + j) * 2654435761u);
        helo[10 * words] = '\0';
        session.failure.mx_host = event_bytes(host);
        session.failure.mx_helo = event_bytes(words ? helo : "");
        report_failure(report, &session.failure, 2);
    }
    add_policy(report, 5, 0);
    return report_end(&report, &sum);
}

static void unpack(void)
{
    size_t used;
    buf_reset(&plain);
    assert_int_equal(gzip_unpack(buf_span(&out), &plain, &used), GZIP_WHOLE);
    assert_int_equal(used, buf_len(&out));
}

static size_t count_of(struct span text, const char *words)
{
    size_t count = 0;
    for (const char *at; (at = memmem(text.data, text.len, words, strlen(words))); count++)
        text = span_from(text, (size_t)(at - text.data) + strlen(words));
    return count;
}

/* The documents of others' eyes: tests/support/check_report.py. */
static void assert_document(struct span body)
{
    char path[] = "/tmp/test_report_form.XXXXXX";
    char command[200];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, body.data, body.len), body.len);
    close(fd);
    snprintf(command, sizeof(command), "/usr/bin/python3 tests/support/check_report.py %s", path);
    int status = system(command);
    unlink(path);
    assert_int_equal(status, 0);
}

static void a_packed_report_is_the_plain_one(void **state)
{
    struct buf first;
    (void)state;
    assert_true(write_failures(REPORT_PACKED, REPORT_BODY_MAX, 3, 1));
    unpack();
    first = plain;
    buf_init(&plain, UNPACKED_MAX);
    assert_true(write_failures(REPORT_PLAIN, REPORT_BODY_MAX, 3, 1));
    assert_true(span_equal(buf_span(&out), buf_span(&first)));
    assert_document(buf_span(&out));
    buf_clear(&first);
}

static void the_same_counts_give_the_same_bytes(void **state)
{
    struct buf first;
    (void)state;
    assert_true(write_failures(REPORT_PACKED, REPORT_BODY_MAX, 100, 3));
    first = out;
    out = (struct buf){ .cap = 0 };
    assert_true(write_failures(REPORT_PACKED, REPORT_BODY_MAX, 100, 3));
    assert_true(span_equal(buf_span(&out), buf_span(&first)));
    buf_clear(&first);
}

static void no_failures_are_a_report(void **state)
{
    (void)state;
    assert_true(write_failures(REPORT_PACKED, REPORT_BODY_MAX, 0, 0));
    assert_int_equal(sum.succeeded, 6);
    assert_int_equal(sum.failed, 0);
    assert_int_equal(sum.policies, 2);
    assert_int_equal(sum.details, 0);
    assert_document(buf_span(&out));
}

static void a_hundred_thousand_failures_fit(void **state)
{
    (void)state;
    assert_true(write_failures(REPORT_PACKED, REPORT_BODY_MAX, MANY, 2));
    assert_int_equal(sum.details, MANY);
    assert_int_equal(sum.left_out, 0);
    assert_int_equal(sum.results[TLS_RESULT_CERTIFICATE_EXPIRED], 2 * MANY);
    unpack();
    assert_int_equal(count_of(buf_span(&plain), "\"result-type\":\"certificate-expired\""), MANY);
    assert_int_equal(count_of(buf_span(&plain), "\n"), MANY + 4);
    assert_non_null(memmem(buf_span(&plain).data, buf_len(&plain), "\"mx99999.a.test\"", 16));
}

static void what_does_not_fit_is_counted_and_the_rest_is_whole(void **state)
{
    struct json *report = NULL;
    const struct json *details;
    (void)state;
    assert_true(write_failures(REPORT_PLAIN, REPORT_RESERVE + 65536, 2000, 10));
    assert_in_range(sum.left_out, 1, 1999);
    assert_int_equal(sum.details, 2000);
    assert_int_equal(sum.results[TLS_RESULT_CERTIFICATE_EXPIRED], 4000);
    assert_int_equal(sum.failed, 2000);
    assert_null(json_parse(buf_span(&out), &report));
    details = json_get(json_item(json_get(report, "policies"), 0), "failure-details");
    assert_int_equal(json_count(details), 2000 - sum.left_out);
    assert_int_equal(json_count(json_get(report, "policies")), 2);
    json_free(&report);
}

static void policies_without_number_leave_their_texts_out(void **state)
{
    static char text[64 * 1024];
    Tlsrpt__PolicyCount policy = TLSRPT__POLICY_COUNT__INIT;
    ProtobufCBinaryData pattern = event_bytes("*.mx.test");
    struct report *report;
    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    policy.type = IPC__POLICY_TYPE__STS;
    policy.domain = event_bytes("a.test");
    policy.text = event_bytes(text);
    policy.n_mx_patterns = 1;
    policy.mx_patterns = &pattern;
    policy.succeeded = 3;
    buf_init(&out, REPORT_RESERVE + 1024 * 1024);
    report = report_begin(&facts, REPORT_PLAIN, &out);
    for (int i = 0; i < 64; i++)
        report_policy(report, &policy);
    assert_true(report_end(&report, &sum));
    assert_int_equal(sum.succeeded, 192);
    assert_int_equal(count_of(buf_span(&out), "\"policy\":"), 64);
    assert_in_range(count_of(buf_span(&out), "\"policy-string\":"), 10, 20);
    assert_int_equal(count_of(buf_span(&out), "\"policy-string\":"),
                     count_of(buf_span(&out), "\"mx-host\":"));
    assert_document(buf_span(&out));
}

static void a_packed_one_has_its_bound_in_both_forms(void **state)
{
    (void)state;
    assert_true(write_failures(REPORT_PACKED, REPORT_RESERVE + 65536, 20000, 20));
    assert_in_range(sum.left_out, 1, 19999);
    assert_true(buf_len(&out) < REPORT_RESERVE + 65536);
    assert_true(write_failures(REPORT_PACKED, 128 * 1024 * 1024, MANY, 80));
    assert_in_range(sum.left_out, 1, MANY - 1);
    unpack();
    assert_in_range(buf_len(&plain), REPORT_JSON_MAX, REPORT_JSON_MAX + 8192);
}

static void a_document_that_does_not_fit_at_all_is_said(void **state)
{
    (void)state;
    assert_false(write_failures(REPORT_PLAIN, 100, 1, 1));
    assert_false(write_failures(REPORT_PACKED, 50, 1, 1));
    assert_false(write_failures(REPORT_PLAIN, 100 + 300, 0, 0)); /* the second policy */
}

static void a_policy_that_cannot_be_written_spoils_the_report(void **state)
{
    static char text[3 * 1024 * 1024];
    Tlsrpt__PolicyCount policy = TLSRPT__POLICY_COUNT__INIT;
    struct report *report;
    (void)state;
    memset(text, 1, sizeof(text) - 1);
    policy.text = event_bytes(text);
    buf_init(&out, UNPACKED_MAX);
    report = report_begin(&facts, REPORT_PLAIN, &out);
    report_policy(report, &policy);
    assert_false(report_end(&report, &sum));
}

static void what_remote_hosts_said_stays_text(void **state)
{
    static const char *const helos[] = { "\xff\xfe", "a\"b\\c", "a\r\nb\x01\x7f", "<script>",
                                         "caf\xc3\xa9\xc3" };
    struct report *report;
    (void)state;
    buf_init(&out, REPORT_BODY_MAX);
    report = report_begin(&facts, REPORT_PACKED, &out);
    add_policy(report, 0, 5);
    for (size_t i = 0; i < sizeof(helos) / sizeof(helos[0]); i++) {
        session.failure.mx_helo = event_bytes(helos[i]);
        session.failure.reason = event_bytes(helos[i]);
        report_failure(report, &session.failure, 1);
    }
    assert_true(report_end(&report, &sum));
    assert_document(buf_span(&out));
}

static void an_id_names_day_domain_and_relay(void **state)
{
    char id[REPORT_ID_SIZE], other[REPORT_ID_SIZE];
    (void)state;
    report_make_id(20521, SPAN("a.test"), false, SPAN("relay1.test"), id);
    assert_string_equal(id, "2026-03-09.a.test@relay1.test");
    report_make_id(20521, SPAN("a.test"), true, SPAN("relay1.test"), other);
    assert_string_equal(other, "2026-03-09-host.a.test@relay1.test");
}

static void names_of_forms_and_submitters(void **state)
{
    struct report_facts none = { .contact = SPAN("postmaster") };
    (void)state;
    assert_string_equal(report_media_type(REPORT_PACKED), "application/tlsrpt+gzip");
    assert_string_equal(report_media_type(REPORT_PLAIN), "application/tlsrpt+json");
    assert_true(span_equal(report_submitter(&facts), SPAN("relay.test")));
    none.contact = SPAN("\"a@b\"@c.test");
    assert_true(span_equal(report_submitter(&none), SPAN("c.test")));
}

#define REPORT_TEST(title, test)                                                                   \
    {                                                                                              \
        "report: " title, test, setup, teardown, 0                                                 \
    }

int main(void)
{
    static const struct CMUnitTest tests[] = {
        REPORT_TEST("a packed one is the plain one", a_packed_report_is_the_plain_one),
        REPORT_TEST("the same counts give the same bytes", the_same_counts_give_the_same_bytes),
        REPORT_TEST("no failures are a report, too", no_failures_are_a_report),
        REPORT_TEST("a hundred thousand failures fit", a_hundred_thousand_failures_fit),
        REPORT_TEST("failures that do not fit are counted, and the rest is whole",
                    what_does_not_fit_is_counted_and_the_rest_is_whole),
        REPORT_TEST("policies without number leave their texts out",
                    policies_without_number_leave_their_texts_out),
        REPORT_TEST("a packed one has its bounds, packed and unpacked",
                    a_packed_one_has_its_bound_in_both_forms),
        REPORT_TEST("one that does not fit at all is said",
                    a_document_that_does_not_fit_at_all_is_said),
        REPORT_TEST("a policy that cannot be written spoils it",
                    a_policy_that_cannot_be_written_spoils_the_report),
        REPORT_TEST("what remote hosts said stays text, in UTF-8 (RFC 7493)",
                    what_remote_hosts_said_stays_text),
        REPORT_TEST("an id names day, domain and relay, and whose view it is",
                    an_id_names_day_domain_and_relay),
        REPORT_TEST("media types and submitters have their names", names_of_forms_and_submitters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
