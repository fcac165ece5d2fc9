/* The small parts of the reader of TLS reports: times, transfer encodings, what is put together. */
#include "lib/base/clock.h"
#include "tests/support/test.h"
#include "tlsrpt/reader_dates.h"
#include "tlsrpt/reader_decode.h"
#include "tlsrpt/reader_findings.h"

#include <stdio.h>
#include <string.h>

/* --- times ----------------------------------------------------------------------------------- */

static void times_are_read_to_the_second(void **state)
{
    static const struct {
        const char *text;
        enum reader_date verdict;
        const char *means; /* "2026-01-30T10:00:00Z" */
    } rows[] = {
        { "2026-01-30T10:00:00Z", READER_DATE_FINE, "2026-01-30T10:00:00Z" },
        { " 2026-01-30t10:00:00z ", READER_DATE_FINE, "2026-01-30T10:00:00Z" },
        { "2026-01-30T10:00:00.999Z", READER_DATE_FINE, "2026-01-30T10:00:00Z" },
        { "2026-01-30T10:00:00+02:00", READER_DATE_FINE, "2026-01-30T08:00:00Z" },
        { "2026-01-30T10:00:00-02:30", READER_DATE_FINE, "2026-01-30T12:30:00Z" },
        { "2026-01-30T10:00:00+0200", READER_DATE_FORM, "2026-01-30T08:00:00Z" },
        { "2026-01-30T24:00:00Z", READER_DATE_FINE, "2026-01-31T00:00:00Z" },
        { "2026-01-30T10:00:00", READER_DATE_WITHOUT_ZONE, "2026-01-30T10:00:00Z" },
        { "2026-01-30T10:00", READER_DATE_WITHOUT_ZONE, "2026-01-30T10:00:00Z" },
        { "2026-01-30 10:00:00Z", READER_DATE_FORM, "2026-01-30T10:00:00Z" },
        { "2026-01-30T10:00Z", READER_DATE_FORM, "2026-01-30T10:00:00Z" },
        { "2026-01-30 10:00:00 UTC", READER_DATE_FORM, "2026-01-30T10:00:00Z" },
        { "2026-01-30 10:00:00 GMT", READER_DATE_FORM, "2026-01-30T10:00:00Z" },
        { "2026-01-30", READER_DATE_FORM, "2026-01-30T00:00:00Z" },
        { "1769767200", READER_DATE_FORM, "2026-01-30T10:00:00Z" },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[CLOCK_TEXT_SIZE];
        int64_t utc_ms = -1;
        (void)state;
        assert_int_equal(reader_date_read(span_of(rows[i].text), &utc_ms), rows[i].verdict);
        clock_format_rfc3339(utc_ms, text);
        assert_string_equal(text, rows[i].means);
    }
}

static void what_is_no_time_is_not_taken_for_one(void **state)
{
    static const char *const texts[] = {
        "",
        "yesterday",
        "2026-02-30T10:00:00Z",
        "2026-01-30X10:00:00Z",
        "2026-01-30T",
        "2026-01-30T1",
        "2026-01-30T10",
        "2026-01-30T25:00:00Z",
        "2026-01-30T10:60:00Z",
        "2026-01-30T10.00:00Z",
        "2026-01-30T10:00:00+",
        "2026-01-30T10:00:00+2",
        "2026-01-30T10:00:00+25:00",
        "2026-01-30T10:00:00*02:00",
        "2026-01-30T10:00:00+02:99",
        "2026-01-30T10:00:00 CET",
        "2026-01-30T10:00:61Z",
        "99999999999999999",
        "-1",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int64_t utc_ms = 7;
        if (reader_date_read(span_of(texts[i]), &utc_ms) != READER_DATE_UNKNOWN)
            fail_msg("taken for a time: %s", texts[i]);
        assert_int_equal(utc_ms, 7);
    }
}

/* --- transfer encodings ---------------------------------------------------------------------- */

static void encodings_are_known_by_their_names(void **state)
{
    (void)state;
    assert_int_equal(reader_encoding_of(SPAN(" Base64 ; x=y")), ENCODING_BASE64);
    assert_int_equal(reader_encoding_of(SPAN("QUOTED-printable")), ENCODING_QUOTED_PRINTABLE);
    assert_int_equal(reader_encoding_of(SPAN("8bit")), ENCODING_NONE);
    assert_int_equal(reader_encoding_of(SPAN("")), ENCODING_NONE);
}

static void assert_decoded(enum reader_encoding encoding, struct span text, struct span want)
{
    struct buf out;

    buf_init(&out, text.len);
    reader_decode(encoding, text, &out);
    assert_int_equal(buf_len(&out), want.len);
    assert_memory_equal(buf_span(&out).data, want.data, want.len);
    buf_clear(&out);
}

static void base64_is_read_through_all_dirt(void **state)
{
    (void)state;
    assert_decoded(ENCODING_BASE64, SPAN("aGVsbG8="), SPAN("hello"));
    assert_decoded(ENCODING_BASE64, SPAN("aG\r\n> Vs\tbG8=\r\n--"), SPAN("hello"));
    assert_decoded(ENCODING_BASE64, SPAN("aGVsbG8"), SPAN("hello"));
    assert_decoded(ENCODING_BASE64, SPAN("aGVsbG9"), SPAN("hello")); /* a stray bit */
    assert_decoded(ENCODING_BASE64, SPAN("aGVsbA"), SPAN("hell"));
    assert_decoded(ENCODING_BASE64, SPAN("aGVsb"), SPAN("hel"));
    assert_decoded(ENCODING_BASE64, SPAN("+/+/"), SPAN("\xfb\xff\xbf"));
    assert_decoded(ENCODING_BASE64, SPAN("="), SPAN(""));
    assert_decoded(ENCODING_BASE64, SPAN(""), SPAN(""));
}

static void quoted_printable_is_read_through_all_dirt(void **state)
{
    (void)state;
    assert_decoded(ENCODING_QUOTED_PRINTABLE, SPAN("a=3D=3d=C3=BC"), SPAN("a==\xc3\xbc"));
    assert_decoded(ENCODING_QUOTED_PRINTABLE, SPAN("a=\r\nb=\nc= \t\r\nd"), SPAN("abcd"));
    assert_decoded(ENCODING_QUOTED_PRINTABLE, SPAN("a=XYb=4"), SPAN("a=XYb=4"));
    assert_decoded(ENCODING_QUOTED_PRINTABLE, SPAN("a=4G=G4"), SPAN("a=4G=G4"));
    assert_decoded(ENCODING_QUOTED_PRINTABLE, SPAN("a="), SPAN("a"));
    assert_decoded(ENCODING_QUOTED_PRINTABLE, SPAN("a= \t"), SPAN("a"));
    assert_decoded(ENCODING_QUOTED_PRINTABLE, SPAN("a=\rb"), SPAN("a=\rb"));
    assert_decoded(ENCODING_NONE, SPAN("a=3D"), SPAN("a=3D"));
}

/* --- what is put together -------------------------------------------------------------------- */

static struct json *report, *told;

static int begin(void **state)
{
    (void)state;
    report = json_new_object();
    told = json_new_object();
    json_add_array(report, "policies");
    return 0;
}

static int end(void **state)
{
    (void)state;
    json_free(&report);
    json_free(&told);
    return 0;
}

static struct json *add_entry(const char *domain, const char *mode, int64_t good, int64_t bad)
{
    struct json *entry = json_append_object(json_get(report, "policies"));
    struct json *policy = json_add_object(entry, "policy");
    struct json *summary = json_add_object(entry, "summary");

    json_add_string(policy, "policy-type", "sts");
    json_append_text(json_add_array(policy, "policy-string"), SPAN("version: STSv1"));
    json_append_text(json_get(policy, "policy-string"), span_of(mode));
    json_add_string(policy, "policy-domain", domain);
    json_add_number(summary, "total-successful-session-count", good);
    json_add_number(summary, "total-failure-session-count", bad);
    return json_add_array(entry, "failure-details");
}

static void add_detail(struct json *details, const char *result, const char *reason,
                       const char *host, const char *sender, int64_t sessions)
{
    struct json *detail = json_append_object(details);

    json_add_string(detail, "result-type", result);
    if (reason)
        json_add_string(detail, "failure-reason-code", reason);
    if (host)
        json_add_string(detail, "receiving-mx-hostname", host);
    if (sender)
        json_add_string(detail, "sending-mta-ip", sender);
    json_add_number(detail, "failed-session-count", sessions);
}

static const struct json *finding(size_t at)
{
    return json_item(json_get(told, "findings"), at);
}

static void one_cause_is_one_finding(void **state)
{
    struct json *details = add_entry("example.com", "Mode:  enforce ", 1, 9);

    (void)state;
    add_detail(details, "certificate-expired", "a", "mx1.example.com", "192.0.2.1", 2);
    add_detail(details, "starttls-not-supported", NULL, "mx1.example.com", "192.0.2.1", 4);
    add_detail(details, "certificate-expired", "a", "MX1.example.com", "192.0.2.2", 3);
    add_detail(details, "certificate-expired", "b", NULL, NULL, 1);
    reader_findings_add(report, told);
    assert_int_equal(json_count(json_get(told, "findings")), 3);
    assert_true(json_member_is(finding(0), "result", "certificate-expired"));
    assert_int_equal(json_number(json_get(finding(0), "sessions")), 5);
    assert_int_equal(json_number(json_get(finding(0), "details")), 2);
    assert_int_equal(json_count(json_get(finding(0), "receivers")), 1);
    assert_int_equal(json_count(json_get(finding(0), "senders")), 2);
    assert_true(json_member_is(finding(0), "mode", "enforce"));
    assert_true(json_member_is(finding(1), "result", "starttls-not-supported"));
    assert_int_equal(json_count(json_get(finding(2), "receivers")), 0);
}

static void findings_of_two_policies_are_kept_apart(void **state)
{
    (void)state;
    add_detail(add_entry("a.example", "", 0, 1), "tlsa-invalid", "12", "mx", "1.2.3.4", 1);
    add_detail(add_entry("b.example", "", 0, 1), "tlsa-invalid", "12", "mx", "1.2.3.4", 1);
    add_detail(add_entry("c.example", "", 0, 1), "tlsa-invalid12", "", "mx", "1.2.3.4", 1);
    reader_findings_add(report, told);
    assert_int_equal(json_count(json_get(told, "findings")), 3);
    assert_true(json_member_is(finding(0), "domain", "a.example"));
    assert_int_equal(json_number(json_get(finding(1), "policy")), 1);
    assert_null(json_get(finding(0), "mode"));
}

static void few_places_and_the_weightiest_findings_are_told(void **state)
{
    struct json *details = add_entry("example.com", "mode: testing", 0, 100);

    (void)state;
    for (int i = 0; i < 60; i++) {
        char text[32];
        snprintf(text, sizeof(text), "reason %d", i);
        add_detail(details, "validation-failure", text, "mx", "192.0.2.1", i + 1);
    }
    for (int i = 0; i < 7; i++) {
        char host[32], sender[32];
        snprintf(host, sizeof(host), "mx%d", i);
        snprintf(sender, sizeof(sender), "192.0.2.%d", i);
        add_detail(details, "dnssec-invalid", NULL, host, sender, 100);
    }
    reader_findings_add(report, told);
    assert_int_equal(json_count(json_get(told, "findings")), FINDINGS_MAX);
    assert_int_equal(json_number(json_get(told, "findings_left_out")), 11);
    assert_true(json_member_is(finding(0), "result", "dnssec-invalid"));
    assert_int_equal(json_count(json_get(finding(0), "receivers")), FINDING_PLACES_MAX);
    assert_true(json_bool(json_get(finding(0), "more_receivers")));
    assert_true(json_bool(json_get(finding(0), "more_senders")));
    assert_true(json_member_is(finding(1), "reason", "reason 59"));
    assert_false(json_bool(json_get(finding(1), "more_receivers")));
}

static void failures_without_details_are_a_finding(void **state)
{
    (void)state;
    add_entry("example.com", "mode: enforce", 3, 4);
    add_entry("example.net", "mode: enforce", 3, 0);
    reader_findings_add(report, told);
    assert_int_equal(json_count(json_get(told, "findings")), 1);
    assert_int_equal(json_number(json_get(finding(0), "sessions")), 4);
    assert_int_equal(json_number(json_get(told, "succeeded")), 6);
}

static void sums_do_not_overflow(void **state)
{
    (void)state;
    add_entry("example.com", "", INT64_MAX, 0);
    add_entry("example.com", "", 1, 0);
    reader_findings_add(report, told);
    assert_int_equal(json_number(json_get(told, "succeeded")), INT64_MAX);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "reader: times are read to the second", times_are_read_to_the_second, 0, 0, 0 },
        { "reader: what is no time is not taken for one", what_is_no_time_is_not_taken_for_one, 0,
          0, 0 },
        { "reader: transfer encodings are known by their names", encodings_are_known_by_their_names,
          0, 0, 0 },
        { "reader: base64 is read through all dirt", base64_is_read_through_all_dirt, 0, 0, 0 },
        { "reader: quoted-printable is read through all dirt",
          quoted_printable_is_read_through_all_dirt, 0, 0, 0 },
        { "reader: one cause is one finding, however many details it has", one_cause_is_one_finding,
          begin, end, 0 },
        { "reader: findings of two policies are kept apart",
          findings_of_two_policies_are_kept_apart, begin, end, 0 },
        { "reader: a few places and the weightiest findings are told",
          few_places_and_the_weightiest_findings_are_told, begin, end, 0 },
        { "reader: failed sessions without details are a finding",
          failures_without_details_are_a_finding, begin, end, 0 },
        { "reader: sums do not overflow", sums_do_not_overflow, begin, end, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
