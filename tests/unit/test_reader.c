/* What postmasters are sent by large mail systems, in the forms in which each writes it. */
#include "lib/base/base64.h"
#include "lib/io/gzip.h"
#include "tests/support/test.h"
#include "tlsrpt/reader.h"
#include "tlsrpt/report_mail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A report without a fault, whose parts are broken one by one. */
#define HEAD                                                                                       \
    "{\"organization-name\":\"Relay Test Ltd\",\"date-range\":{\"start-datetime\":"                \
    "\"2026-01-30T00:00:00Z\",\"end-datetime\":\"2026-01-30T23:59:59Z\"},"                         \
    "\"contact-info\":\"tlsrpt@relay.example\",\"report-id\":\"1@relay.example\",\"policies\":"
#define POLICY                                                                                     \
    "{\"policy\":{\"policy-type\":\"sts\",\"policy-string\":[\"version: STSv1\","                  \
    "\"mode: enforce\",\"mx: mx1.example.com\",\"max_age: 86400\"],"                               \
    "\"policy-domain\":\"example.com\",\"mx-host\":[\"mx1.example.com\"]},"
#define SUMMARY(good, bad)                                                                         \
    "\"summary\":{\"total-successful-session-count\":" good                                        \
    ",\"total-failure-session-count\":" bad "}"
#define FAILURE                                                                                    \
    "{\"result-type\":\"certificate-expired\",\"sending-mta-ip\":\"192.0.2.7\","                   \
    "\"receiving-mx-hostname\":\"mx1.example.com\",\"receiving-ip\":\"198.51.100.25\","            \
    "\"failed-session-count\":2,\"failure-reason-code\":\"X509_V_ERR_CERT_HAS_EXPIRED\"}"
#define WELL HEAD "[" POLICY SUMMARY("40", "0") "}]}"
#define FAILED HEAD "[" POLICY SUMMARY("40", "2") ",\"failure-details\":[" FAILURE "]}]}"

static struct json *told;

static int end(void **state)
{
    (void)state;
    json_free(&told);
    return 0;
}

static void read_text(struct span text)
{
    struct error *err;

    json_free(&told);
    err = reader_read(text, &told);
    if (err)
        fail_msg("not read: %s", error_text(err));
}

static void assert_refused(struct span text, const char *why)
{
    struct json *none = NULL;
    struct error *err = reader_read(text, &none);

    assert_non_null(err);
    assert_null(none);
    if (!strstr(error_text(err), why))
        fail_msg("\"%s\" is not in: %s", why, error_text(err));
    error_free(&err);
}

static bool has_note(const char *words)
{
    const struct json *notes = json_get(told, "notes");

    for (size_t i = 0; i < json_count(notes); i++) {
        char text[256];
        assert_true(
            span_to_string(json_member_text(json_item(notes, i), "note"), text, sizeof(text)));
        if (strstr(text, words))
            return true;
    }
    return false;
}

/* That note and no other one. */
static void assert_only_note(const char *words)
{
    if (!has_note(words))
        fail_msg("no note says \"%s\"", words);
    assert_int_equal(json_count(json_get(told, "notes")), 1);
}

static void assert_no_notes(void)
{
    const struct json *notes = json_get(told, "notes");

    if (json_count(notes) > 0)
        fail_msg("noted: %.200s", json_member_text(json_item(notes, 0), "note").data);
}

static const struct json *policy_at(size_t at)
{
    return json_item(json_get(json_get(told, "report"), "policies"), at);
}

static const struct json *failure_at(size_t at)
{
    return json_item(json_get(policy_at(0), "failure-details"), at);
}

static void assert_member(const struct json *object, const char *key, const char *text)
{
    struct span is = json_member_text(object, key);

    if (!json_member_is(object, key, text))
        fail_msg("%s is \"%.*s\", not \"%s\"", key, (int)is.len, is.data, text);
}

static void assert_counts(int64_t good, int64_t bad)
{
    assert_int_equal(json_number(json_get(told, "succeeded")), good);
    assert_int_equal(json_number(json_get(told, "failed")), bad);
}

static void assert_read_as(const struct json *is, const char *want)
{
    struct buf text;

    buf_init(&text, 1 << 16);
    assert_true(json_write(is, JSON_ON_ONE_LINE, &text) && buf_append(&text, SPAN("\0")));
    assert_string_equal(buf_span(&text).data, want);
    buf_clear(&text);
}

static struct buf packed(struct span text)
{
    struct buf out;
    struct gzip *gzip;

    buf_init(&out, 1 << 20);
    gzip = gzip_new(&out);
    assert_true(gzip_write(gzip, text));
    assert_true(gzip_end(&gzip));
    return out;
}

/* --- without a fault ------------------------------------------------------------------------- */

static void flawless_report_is_told_without_notes(void **state)
{
    (void)state;
    read_text(SPAN(FAILED));
    assert_no_notes();
    assert_counts(40, 2);
    assert_false(reader_is_well(told));
    assert_read_as(json_get(told, "report"), FAILED);
    assert_null(json_get(told, "mail"));
    read_text(SPAN(WELL));
    assert_no_notes();
    assert_true(reader_is_well(told));
}

static void packed_report_is_unpacked(void **state)
{
    struct buf once = packed(SPAN(FAILED));
    struct buf twice = packed(buf_span(&once));
    struct buf thrice, more;

    (void)state;
    read_text(buf_span(&once));
    assert_no_notes();
    assert_counts(40, 2);
    read_text(buf_span(&twice));
    assert_only_note("packed more than once");
    assert_counts(40, 2);
    thrice = packed(buf_span(&twice));
    more = packed(buf_span(&thrice));
    assert_refused(buf_span(&more), "neither JSON");
    assert_true(buf_append(&once, SPAN("\r\n")));
    read_text(buf_span(&once));
    assert_no_notes();
    assert_true(buf_append(&once, SPAN("trailer")));
    read_text(buf_span(&once));
    assert_only_note("behind the packed report");
    buf_clear(&once);
    buf_clear(&twice);
    buf_clear(&thrice);
    buf_clear(&more);
}

static void damaged_packing_gives_what_came_out(void **state)
{
    struct buf whole = packed(SPAN(FAILED));
    struct span text = buf_span(&whole);

    (void)state;
    read_text(span_first(text, text.len - 4)); /* the length is gone, the report is not */
    assert_only_note("damaged or cut off");
    assert_refused(span_first(text, text.len / 2), "damaged or cut off: JSON line");
    assert_refused(span_first(text, 11), "nothing of it can be read");
    buf_clear(&whole);
}

/* --- as others write it ---------------------------------------------------------------------- */

static void report_as_google_shapes_it_is_fine(void **state)
{
    (void)state;
    read_text(SPAN(
        "{\"organization-name\":\"Large Mail Inc.\",\"date-range\":{\"start-datetime\":"
        "\"2026-01-30T00:00:00Z\",\"end-datetime\":\"2026-01-30T23:59:59Z\"},\"contact-info\":"
        "\"smtp-tls-reporting@large.example\",\"report-id\":\"2026-01-30T00:00:00Z_example.com\","
        "\"policies\":[{\"policy\":{\"policy-type\":\"sts\",\"policy-string\":[\"version: STSv1\","
        "\"mode: testing\",\"mx: mx1.example.com\",\"max_age: 86400\"],\"policy-domain\":"
        "\"example.com\",\"mx-host\":[\"mx1.example.com\"]},\"summary\":"
        "{\"total-successful-session-count\":11,\"total-failure-session-count\":0}}]}"));
    assert_no_notes();
    assert_counts(11, 0);
    assert_member(json_item(json_get(told, "policies"), 0), "mode", "testing");
    assert_non_null(json_get(json_item(json_get(told, "policies"), 0), "hint"));
}

static void report_as_microsoft_shapes_it_is_fine(void **state)
{
    (void)state;
    read_text(SPAN(
        "{\"organization-name\":\"Office Mail Corporation\",\"date-range\":{\"start-datetime\":"
        "\"2026-01-30T00:00:00Z\",\"end-datetime\":\"2026-01-30T23:59:59Z\"},\"contact-info\":"
        "\"tlsrpt-noreply@office.example\",\"report-id\":\"134141712345678901+example.com\","
        "\"policies\":[{\"policy\":{\"policy-type\":\"no-policy-found\",\"policy-domain\":"
        "\"example.com\"},\"summary\":{\"total-successful-session-count\":3,"
        "\"total-failure-session-count\":1},\"failure-details\":[{\"result-type\":"
        "\"starttls-not-supported\",\"sending-mta-ip\":\"2001:db8::1\",\"receiving-mx-hostname\":"
        "\"mx1.example.com\",\"failed-session-count\":1}]}]}"));
    assert_no_notes();
    assert_counts(3, 1);
    assert_member(failure_at(0), "sending-mta-ip", "2001:db8::1");
}

static void mx_host_as_text_is_a_list_of_one(void **state)
{
    (void)state;
    read_text(SPAN(HEAD
                   "[{\"policy\":{\"policy-type\":\"sts\",\"policy-string\":\"version: STSv1\\r\\n"
                   "mode: enforce\\n\",\"policy-domain\":\"example.com\",\"mx-host\":"
                   "\"*.example.com\"}," SUMMARY("1", "0") "}]}"));
    assert_true(has_note("a list of texts belongs"));
    assert_true(has_note("in one text"));
    assert_read_as(json_get(json_get(policy_at(0), "policy"), "mx-host"), "[\"*.example.com\"]");
    assert_read_as(json_get(json_get(policy_at(0), "policy"), "policy-string"),
                   "[\"version: STSv1\",\"mode: enforce\"]");
}

static void counts_written_as_text_count(void **state)
{
    (void)state;
    read_text(
        SPAN(HEAD "[" POLICY SUMMARY("\"40\"", "\" 2 \"") ",\"failure-details\":[" FAILURE "]}]}"));
    assert_only_note("a count is written as text");
    assert_counts(40, 2);
    read_text(SPAN(HEAD "[" POLICY SUMMARY("4e1", "0.0") "}]}"));
    assert_no_notes();
    assert_counts(40, 0);
}

static void counts_that_are_none_are_zero(void **state)
{
    static const char *const counts[] = { "-1",   "1.5", "\"many\"",        "true",
                                          "null", "[1]", "9007199254740993" };
    char text[2048];

    (void)state;
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        snprintf(text, sizeof(text), HEAD "[" POLICY SUMMARY("%s", "0") "}]}", counts[i]);
        read_text(span_of(text));
        assert_only_note("a count is no whole number");
        assert_counts(0, 0);
        assert_false(reader_is_well(told));
    }
}

static void times_are_read_in_other_forms(void **state)
{
    static const struct {
        const char *begin, *end, *note;
    } rows[] = {
        { "2026-01-30T00:00:00", "2026-01-30T23:59:59", "no zone" },
        { "2026-01-30", "2026-01-31", "as RFC 3339 has it" },
        { "1769731200", "1769817599", "as RFC 3339 has it" },
        { "2026-01-30 00:00:00Z", "2026-01-30 23:59:59Z", "as RFC 3339 has it" },
    };
    char text[2048];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        snprintf(text, sizeof(text),
                 "{\"organization-name\":\"R\",\"date-range\":{\"start-datetime\":\"%s\","
                 "\"end-datetime\":\"%s\"},\"contact-info\":\"a@b.example\",\"report-id\":\"1\","
                 "\"policies\":[" POLICY SUMMARY("1", "0") "}]}",
                 rows[i].begin, rows[i].end);
        read_text(span_of(text));
        assert_only_note(rows[i].note);
        assert_member(json_get(json_get(told, "report"), "date-range"), "start-datetime",
                      "2026-01-30T00:00:00Z");
    }
}

static void time_that_nobody_understands_stands_as_it_was(void **state)
{
    (void)state;
    read_text(SPAN("{\"organization-name\":\"R\",\"date-range\":{\"start-datetime\":\"yesterday\","
                   "\"end-datetime\":1769817599},\"contact-info\":\"a@b.example\",\"report-id\":1,"
                   "\"policies\":[" POLICY SUMMARY("1", "0") "}]}"));
    assert_true(has_note("in no form that is known"));
    assert_true(has_note("a number stands where a text belongs"));
    assert_member(json_get(json_get(told, "report"), "date-range"), "start-datetime", "yesterday");
    assert_member(json_get(told, "report"), "report-id", "1");
}

static void period_that_is_no_day_is_noted(void **state)
{
    (void)state;
    read_text(
        SPAN("{\"organization-name\":\"R\",\"date-range\":{\"start-datetime\":"
             "\"2026-01-30T00:00:00+01:00\",\"end-datetime\":\"2026-01-30T23:59:59+01:00\"},"
             "\"contact-info\":\"a@b.example\",\"report-id\":\"1\",\"policies\":[" POLICY SUMMARY(
                 "1", "0") "}]}"));
    assert_only_note("not about one full day");
    assert_member(json_get(json_get(told, "report"), "date-range"), "start-datetime",
                  "2026-01-29T23:00:00Z");
}

static void one_policy_needs_no_list(void **state)
{
    (void)state;
    read_text(SPAN(HEAD POLICY SUMMARY("40", "2") ",\"failure-details\":" FAILURE "}}"));
    assert_only_note("where a list belongs");
    assert_int_equal(json_number(json_get(json_item(json_get(told, "notes"), 0), "times")), 2);
    assert_read_as(json_get(told, "report"), FAILED);
}

static void policy_beside_its_counts_is_found(void **state)
{
    (void)state;
    read_text(SPAN(HEAD "[{\"policy-type\":\"tlsa\",\"policy-string\":[\"3 1 1 AB\"],"
                        "\"policy-domain\":\"mx1.example.com\"," SUMMARY("1", "0") "}]}"));
    assert_only_note("beside its counts");
    assert_member(json_get(policy_at(0), "policy"), "policy-type", "tlsa");
}

static void keys_and_words_are_known_in_other_spellings(void **state)
{
    (void)state;
    read_text(SPAN(HEAD "[{\"Policy\":{\"policy_type\":\"STS\",\"policy-domain\":\"example.com\"},"
                        "\"summary\":{\"total_successful_session_count\":1,"
                        "\"total-failed-session-count\":3},\"failure-details\":[{\"result-type\":"
                        "\"Certificate_Expired\",\"additional-info-uri\":\"https://x\","
                        "\"failed-session-count\":3}]}]}"));
    assert_true(has_note("a key is spelled in another way"));
    assert_true(has_note("result-type is spelled in another way"));
    assert_int_equal(json_count(json_get(told, "notes")), 2);
    assert_counts(1, 3);
    assert_member(json_get(policy_at(0), "policy"), "policy-type", "sts");
    assert_member(failure_at(0), "result-type", "certificate-expired");
    assert_member(failure_at(0), "additional-information", "https://x");
}

static void the_right_key_beats_the_other_spelling(void **state)
{
    (void)state;
    read_text(SPAN("{\"Organization-Name\":\"wrong\",\"organization-name\":\"right\","
                   "\"organisation-name\":\"wrong\",\"policies\":[]}"));
    assert_member(json_get(told, "report"), "organization-name", "right");
}

static void what_is_unknown_is_left_out_and_noted(void **state)
{
    (void)state;
    read_text(
        SPAN(HEAD "[" POLICY SUMMARY("1", "0") ",\"x-score\":[1,{}],\"failure-details\":null}]}"));
    assert_only_note("RFC 8460 does not have was left out");
    assert_null(json_get(policy_at(0), "x-score"));
    read_text(SPAN(
        HEAD "[{\"policy\":{\"policy-type\":\"arc\",\"policy-domain\":\"example.com\"}," SUMMARY(
            "0", "1") ",\"failure-details\":[{\"result-type\":\"success\","
                      "\"failed-session-count\":1}]}]}"));
    assert_true(has_note("policy-type that RFC 8460 does not have"));
    assert_true(has_note("result-type that RFC 8460 does not have"));
    assert_member(failure_at(0), "result-type", "success");
}

static void things_of_another_kind_are_left_out(void **state)
{
    (void)state;
    read_text(SPAN("{\"organization-name\":{},\"date-range\":[],\"contact-info\":false,"
                   "\"report-id\":null,\"policies\":[7,{\"policy\":\"sts\",\"summary\":3,"
                   "\"failure-details\":[\"x\",{\"receiving-ip\":[1]}]},null]}"));
    assert_true(has_note("of another kind"));
    assert_true(has_note("is missing"));
    assert_counts(0, 0);
    assert_int_equal(json_count(json_get(json_get(told, "report"), "policies")), 1);
    assert_int_equal(json_count(json_get(policy_at(0), "failure-details")), 1);
    assert_false(reader_is_well(told));
    read_text(SPAN(HEAD "\"none\"}"));
    assert_true(has_note("there is no policy in it"));
    assert_false(reader_is_well(told));
    read_text(SPAN(HEAD "[" POLICY SUMMARY("1", "0") ",\"failure-details\":7}]}"));
    assert_only_note("of another kind");
    read_text(SPAN(HEAD "[{\"policy\":{\"policy-type\":7,\"policy-domain\":\"example.com\","
                        "\"mx-host\":[1,{}]}," SUMMARY("1", "0") "}]}"));
    assert_read_as(json_get(json_get(policy_at(0), "policy"), "mx-host"), "[\"1\"]");
}

static void counts_without_details_are_noted(void **state)
{
    (void)state;
    read_text(SPAN(HEAD "[" POLICY SUMMARY("1", "5") "}]}"));
    assert_only_note("failed sessions have no details");
    read_text(SPAN(HEAD "[" POLICY SUMMARY("1", "0") ",\"failure-details\":[" FAILURE "]}]}"));
    assert_only_note("failed sessions have no details");
    assert_false(reader_is_well(told));
}

static void addresses_are_brought_into_one_form(void **state)
{
    (void)state;
    read_text(SPAN(HEAD "[" POLICY SUMMARY(
        "1", "1") ",\"failure-details\":[{\"result-type\":"
                  "\"tlsa-invalid\",\"sending-mta-ip\":\"[IPv6:2001:DB8:0:0::1]\","
                  "\"receiving-ip\":\"mx1\",\"failed-session-count\":1}]}]}"));
    assert_true(has_note("written in another way than it should"));
    assert_true(has_note("that is none"));
    assert_member(failure_at(0), "sending-mta-ip", "2001:db8::1");
    assert_member(failure_at(0), "receiving-ip", "mx1");
    read_text(SPAN(HEAD "[" POLICY SUMMARY(
        "1", "1") ",\"failure-details\":[{\"result-type\":"
                  "\"tlsa-invalid\",\"sending-mta-ip\":\"\",\"failed-session-count\":1}]}]}"));
    assert_no_notes();
}

static void long_texts_are_cut_between_characters(void **state)
{
    struct buf text;

    (void)state;
    buf_init(&text, 1 << 16);
    assert_true(buf_append(&text, SPAN("{\"policies\":[],\"report-id\":\"x")));
    for (int i = 0; i < 2000; i++)
        assert_true(buf_append(&text, SPAN("\xc3\xbc")));
    assert_true(buf_append(&text, SPAN("\"}")));
    read_text(buf_span(&text));
    assert_true(has_note("very long and was cut"));
    assert_int_equal(json_member_text(json_get(told, "report"), "report-id").len, 1023);
    buf_clear(&text);
}

/* --- the text around ------------------------------------------------------------------------- */

static void marks_trailers_and_wrong_bytes_do_no_harm(void **state)
{
    (void)state;
    read_text(SPAN("\xef\xbb\xbf" WELL));
    assert_only_note("byte order mark");
    read_text(SPAN(" \r\n\t" WELL " \r\n\r\n"));
    assert_no_notes();
    read_text(SPAN(WELL "\n-- \nsent by a script"));
    assert_only_note("behind the JSON");
    read_text(SPAN("[" WELL "]"));
    assert_only_note("stands in a list");
    read_text(SPAN("{\"policies\":[],\"report-id\":\"1\",\"report-id\":\"2\"}"));
    assert_true(has_note("a key stands twice"));
    assert_member(json_get(told, "report"), "report-id", "2");
    read_text(SPAN("{\"policies\":[],\"organization-name\":\"M\xfcller\"}"));
    assert_true(has_note("not UTF-8"));
    assert_member(json_get(told, "report"), "organization-name", "M?ller");
}

static void what_is_no_report_is_refused_with_the_reason(void **state)
{
    (void)state;
    assert_refused(SPAN(""), "there is nothing in it");
    assert_refused(SPAN("PK\x03\x04rest"), "ZIP archive");
    assert_refused(SPAN("\xff\xfe{\0"), "UTF-16");
    assert_refused(SPAN("\xfe\xff\0{"), "UTF-16");
    assert_refused(SPAN("hello"), "neither JSON");
    assert_refused(SPAN("{\"policies\":["), "JSON line 1");
    assert_refused(SPAN("{\"dmarc\":1}"), "no TLS report");
    assert_refused(SPAN("[]"), "no TLS report");
    assert_refused(SPAN("[[]]"), "no TLS report");
    assert_refused(SPAN("Subject: lunch\r\n\r\nAt noon?\r\n"), "no TLS report in this mail");
}

/* --- mails ----------------------------------------------------------------------------------- */

#define FIELDS                                                                                     \
    "From: Reports <tlsrpt@relay.example>\r\nTLS-Report-Domain: example.com\r\n"                   \
    "TLS-Report-Submitter: relay.example\r\nMIME-Version: 1.0\r\n"
#define IN_PARTS "Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n boundary=\"b1\"\r\n"
#define PROSE "--b1\r\nContent-Type: text/plain\r\n\r\nThis is a report.\r\n\r\n"
#define PLAIN_PART                                                                                 \
    "--b1\r\nContent-Type: application/tlsrpt+json\r\nContent-Disposition: attachment;\r\n"        \
    " filename=\"a!b!1!2.json\"\r\n\r\n"
#define MAIL FIELDS IN_PARTS "\r\n" PROSE PLAIN_PART WELL "\r\n--b1--\r\n"

static void mail_as_the_rfc_has_it_is_read(void **state)
{
    const struct json *mail;

    (void)state;
    read_text(SPAN(MAIL));
    assert_no_notes();
    mail = json_get(told, "mail");
    assert_member(mail, "from", "tlsrpt@relay.example");
    assert_member(mail, "tls-report-domain", "example.com");
    assert_member(mail, "tls-report-submitter", "relay.example");
    assert_member(mail, "media-type", "application/tlsrpt+json");
    assert_member(mail, "file-name", "a!b!1!2.json");
    assert_false(json_bool(json_get(mail, "forwarded")));
}

/* Appends a packed report in base64, with lines of 76 letters. */
static void append_packed(struct buf *mail)
{
    struct buf report = packed(SPAN(FAILED)), letters;
    struct span rest;

    buf_init(&letters, 1 << 16);
    assert_true(base64_encode(buf_span(&report), &letters));
    for (rest = buf_span(&letters); rest.len > 0; rest = span_from(rest, 76))
        assert_true(buf_append(mail, span_first(rest, 76)) && buf_append(mail, SPAN("\r\n")));
    buf_clear(&letters);
    buf_clear(&report);
}

static void packed_part_in_base64_is_read(void **state)
{
    struct buf mail;

    (void)state;
    buf_init(&mail, 1 << 16);
    assert_true(
        buf_append(&mail, SPAN("From MAILER Fri Jan 30 10:00:00 2026\n" FIELDS IN_PARTS "\r\n" PROSE
                               "--b1\r\nContent-Type: application/tlsrpt+gzip; name=x\r\n"
                               "Content-Transfer-Encoding: BASE64\r\n\r\n")));
    append_packed(&mail);
    read_text(buf_span(&mail)); /* its end is cut off */
    assert_no_notes();
    assert_member(json_get(told, "mail"), "file-name", "x");
    assert_true(buf_append(&mail, SPAN("--b1--\r\nbehind")));
    read_text(buf_span(&mail));
    assert_no_notes();
    assert_counts(40, 2);
    buf_clear(&mail);
}

static void mail_of_our_own_is_read_without_a_note(void **state)
{
    struct buf report = packed(SPAN(FAILED)), text;
    const struct report_facts facts = { .organization = SPAN("Relay Test Ltd"),
                                        .contact = SPAN("tlsrpt@relay.example"),
                                        .domain = SPAN("example.com"),
                                        .day = 20483, /* 2026-01-30 */
                                        .id = SPAN("1@relay.example") };
    const struct report_sum sum = { .succeeded = 40, .failed = 2 };
    const struct report_mail mail = { .facts = &facts,
                                      .sum = &sum,
                                      .form = REPORT_PACKED,
                                      .report = buf_span(&report),
                                      .from = SPAN("tlsrpt@relay.example"),
                                      .to = SPAN("tls@example.com"),
                                      .hostname = SPAN("relay.example"),
                                      .now_ms = 1773100800000 };

    (void)state;
    buf_init(&text, REPORT_MAIL_MAX);
    assert_true(report_mail_write(&mail, &text));
    read_text(buf_span(&text));
    assert_no_notes();
    assert_counts(40, 2);
    assert_member(json_get(told, "mail"), "tls-report-submitter", "relay.example");
    buf_clear(&text);
    buf_clear(&report);
}

static void report_alone_in_a_mail_is_read(void **state)
{
    struct buf mail;

    (void)state;
    buf_init(&mail, 1 << 16);
    assert_true(buf_append(&mail, SPAN(FIELDS "Content-Type: application/gzip\n"
                                              "Content-Transfer-Encoding: base64\n\n")));
    append_packed(&mail);
    read_text(buf_span(&mail));
    assert_true(has_note("no multipart/report"));
    assert_true(has_note("media type is neither"));
    assert_int_equal(json_count(json_get(told, "notes")), 2);
    assert_counts(40, 2);
    buf_clear(&mail);
}

static void forwarded_mail_is_looked_into(void **state)
{
    (void)state;
    read_text(SPAN("From: ada@example.com\r\nSubject: Fwd\r\nContent-Type: multipart/mixed;\r\n"
                   " boundary=\"b0 x\"\r\n\r\n--b0 x\r\n\r\nlook {at} this\r\n--b0 x\r\n"
                   "Content-Type: message/rfc822\r\n\r\n" MAIL "\r\n--b0 x--\r\n"));
    assert_only_note("a mail within the mail");
    assert_member(json_get(told, "mail"), "from", "tlsrpt@relay.example");
    assert_true(json_bool(json_get(json_get(told, "mail"), "forwarded")));
}

static void quoted_printable_report_is_read(void **state)
{
    (void)state;
    read_text(SPAN(FIELDS IN_PARTS "\r\n--b1\r\nContent-Type: application/tlsrpt+json\r\n"
                                   "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
                                   "{=22policies=22:[], =  \r\n=22report-id=22:=\r\n=22=C3=bc=22}"
                                   "\r\n--b1--\r\n"));
    assert_member(json_get(told, "report"), "report-id", "\xc3\xbc");
}

static void mail_and_report_that_differ_are_noted(void **state)
{
    (void)state;
    read_text(SPAN("From: x\r\nTLS-Report-Domain: other.example\r\nTLS-Report-Submitter: b.example"
                   "\r\n" IN_PARTS "\r\n" PLAIN_PART WELL "\r\n--b1--\r\n"));
    assert_true(has_note("TLS-Report-Submitter is not"));
    assert_true(has_note("TLS-Report-Domain is not"));
    assert_int_equal(json_count(json_get(told, "notes")), 2);
    read_text(SPAN("From: x@y\r\n" IN_PARTS "\r\n--b1\r\nContent-Type: application/tlsrpt+gzip\r\n"
                   "\r\n" WELL
                   "\r\n--b1\r\nContent-Disposition: attachment; filename=b.json\r\n\r\n" WELL
                   "\r\n--b1--\r\n"));
    assert_true(has_note("lacks the field TLS-Report-Domain"));
    assert_true(has_note("says packed where it is not"));
    assert_true(has_note("holds more reports"));
    assert_int_equal(json_count(json_get(told, "notes")), 3);
    read_text(SPAN(
        FIELDS IN_PARTS
        "\r\n" PLAIN_PART HEAD
        "[{\"policy\":{\"policy-type\":\"tlsa\",\"policy-domain\":\"mx.host.example\"}," SUMMARY(
            "1", "0") "}]}\r\n--b1--\r\n"));
    assert_no_notes(); /* DANE's domain is the host's */
}

static void forms_of_fields_do_not_matter(void **state)
{
    (void)state;
    read_text(SPAN("From: \r\nTLS-Report-Domain: example.com\r\nContent-Type: multipart/report ; "
                   "report-type=dsn; boundary=b1 ; x\r\n\r\n--b1x\r\n--b1\r\nContent-Type: "
                   "text/plain; name=\"a\\\"b.JSON\"\r\n\r\n\xef\xbb\xbf [" WELL "]\r\n--b1--"));
    assert_true(has_note("no multipart/report"));
    assert_true(has_note("lacks the field"));
    assert_true(has_note("byte order mark"));
    assert_true(has_note("stands in a list"));
    assert_member(json_get(told, "mail"), "file-name", "a\"b.JSON");
    assert_member(json_get(told, "mail"), "from", "");
    read_text(SPAN("Content-Type: multipart/mixed\r\n\r\n" WELL)); /* without a boundary */
    assert_counts(40, 0);
    read_text(SPAN("Content-Type: message/global\r\n\r\n" MAIL));
    assert_only_note("a mail within the mail");
}

static void long_names_and_wrong_bytes_in_fields_are_cut(void **state)
{
    struct buf mail;

    (void)state;
    buf_init(&mail, 1 << 16);
    assert_true(buf_append(&mail, SPAN("TLS-Report-Submitter: relay\0.example\r\nFrom: ")));
    for (int i = 0; i < 400; i++)
        assert_true(buf_append(&mail, SPAN("x")));
    assert_true(buf_append(&mail, SPAN("@example.com\r\nContent-Type: text/plain; name=")));
    for (int i = 0; i < 400; i++)
        assert_true(buf_append(&mail, SPAN("x")));
    assert_true(buf_append(&mail, SPAN("\r\n\r\n" WELL)));
    read_text(buf_span(&mail));
    assert_int_equal(json_member_text(json_get(told, "mail"), "file-name").len, 255);
    assert_member(json_get(told, "mail"), "from", "");
    assert_member(json_get(told, "mail"), "tls-report-submitter", "");
    buf_clear(&mail);
}

static void prose_that_begins_with_a_bracket_is_no_report(void **state)
{
    (void)state;
    assert_refused(SPAN("Subject: x\r\n\r\n[automatic answer] out of office\r\n"),
                   "no TLS report in this mail");
    assert_refused(SPAN("Content-Type: application/tlsrpt+json\r\n\r\nsorry, no report today\r\n"),
                   "neither JSON");
}

static void of_several_parts_the_best_and_then_the_first_is_taken(void **state)
{
    (void)state;
    read_text(SPAN(FIELDS IN_PARTS "\r\n--b1\r\n\r\n{\"report-id\":\"prose\"}\r\n" PLAIN_PART
                                   "{\"report-id\":\"first\"}\r\n" PLAIN_PART
                                   "{\"report-id\":\"second\"}\r\n--b1--\r\n"));
    assert_true(has_note("holds more reports"));
    assert_member(json_get(told, "report"), "report-id", "first");
}

static void mail_nested_too_deep_is_not_followed(void **state)
{
    struct buf mail;

    (void)state;
    buf_init(&mail, 1 << 16);
    for (int i = 0; i < 20; i++)
        assert_true(buf_append(&mail, SPAN("Content-Type: message/rfc822\r\n\r\n")));
    assert_true(buf_append(&mail, SPAN(MAIL)));
    assert_refused(buf_span(&mail), "no TLS report in this mail");
    buf_reset(&mail);
    assert_true(buf_append(&mail, SPAN(FIELDS IN_PARTS "\r\n" PLAIN_PART WELL "\r\n")));
    for (int i = 0; i < 300; i++)
        assert_true(buf_append(&mail, SPAN("--b1\r\n\r\nx\r\n")));
    read_text(buf_span(&mail));
    assert_only_note("than were looked at");
    buf_clear(&mail);
}

/* --- bombs ----------------------------------------------------------------------------------- */

static struct buf repeated(const char *front, const char *item, size_t times, const char *behind)
{
    struct buf text;

    buf_init(&text, 64 * 1024 * 1024);
    assert_true(buf_append(&text, span_of(front)));
    for (size_t i = 0; i < times; i++)
        assert_true(buf_append(&text, span_of(item)));
    assert_true(buf_append(&text, span_of(behind)));
    return text;
}

static void bombs_are_refused(void **state)
{
    struct buf text = repeated("{\"policies\":", "[", 100000, "");
    struct buf bomb;
    struct gzip *gzip;
    char *zeros;

    (void)state;
    assert_refused(buf_span(&text), "nested too deep");
    buf_clear(&text);
    text = repeated("{\"policies\":[", "{},", 2000000, "{}]}");
    assert_refused(buf_span(&text), "too large");
    buf_clear(&text);
    buf_init(&bomb, 1 << 20);
    gzip = gzip_new(&bomb);
    zeros = calloc(1, 1 << 20);
    for (int i = 0; i < 73; i++)
        assert_true(gzip_write(gzip, (struct span){ zeros, 1 << 20 }));
    assert_true(gzip_end(&gzip));
    assert_refused(buf_span(&bomb), "larger than 72 MiB");
    free(zeros);
    buf_clear(&bomb);
}

static void a_text_of_very_many_lines_is_not_taken_apart_to_its_end(void **state)
{
    struct buf text = repeated(HEAD "[{\"policy\":{\"policy-string\":\"mode: enforce", "\\n",
                               500000, "\"}," SUMMARY("3", "0") "}]}");
    const struct json *policy;

    (void)state;
    read_text(buf_span(&text));
    policy = json_get(json_item(json_get(json_get(told, "report"), "policies"), 0), "policy");
    assert_int_equal(json_count(json_get(policy, "policy-string")), 100);
    assert_true(has_note("more than 100 lines"));
    assert_member(json_item(json_get(told, "policies"), 0), "mode", "enforce");
    buf_clear(&text);
    text = repeated(HEAD "[{\"policy\":{\"policy-string\":[\"\"", ",\"a\\nb\"", 10005,
                    "]}," SUMMARY("3", "0") "}]}");
    read_text(buf_span(&text));
    policy = json_get(json_item(json_get(json_get(told, "report"), "policies"), 0), "policy");
    assert_int_equal(json_count(json_get(policy, "policy-string")), 20001);
    assert_true(has_note("more than 100 lines"));
    buf_clear(&text);
}

static void encoded_mails_within_mails_are_bounded_as_a_whole(void **state)
{
    struct buf text = repeated("",
                               "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: "
                               "quoted-printable\r\n\r\n",
                               3, MAIL);

    (void)state;
    read_text(buf_span(&text));
    assert_counts(40, 0);
    buf_clear(&text);
    text = repeated("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: quoted-printable"
                    "\r\n\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: "
                    "quoted-printable\r\n\r\n" MAIL,
                    "xxxxxxx\r\n", 5000000, "");
    assert_refused(buf_span(&text), "no TLS report in this mail");
    buf_clear(&text);
}

static void of_many_policies_all_are_summed_and_few_are_told(void **state)
{
    struct buf text = repeated(HEAD "[", "{},", 9999, POLICY SUMMARY("3", "0") "}]}");

    (void)state;
    read_text(buf_span(&text));
    assert_counts(3, 0);
    assert_int_equal(json_count(json_get(told, "policies")), 100);
    assert_int_equal(json_number(json_get(told, "policies_left_out")), 9900);
    assert_true(json_count(json_get(told, "notes")) < 10);
    assert_false(has_note("10,000 policies"));
    buf_clear(&text);
}

static void policies_and_failures_without_number_are_left_out(void **state)
{
    struct buf text = repeated(HEAD "[", "{},", 10000, "{}]}");

    (void)state;
    read_text(buf_span(&text));
    assert_true(has_note("10,000 policies"));
    assert_int_equal(json_count(json_get(json_get(told, "report"), "policies")), 10000);
    buf_clear(&text);
    text = repeated(HEAD "[{\"failure-details\":[", "{},", 199999,
                    "{}]},{\"failure-details\":[{}]}]}");
    read_text(buf_span(&text));
    assert_true(has_note("200,000 failure details"));
    assert_int_equal(json_count(json_get(policy_at(0), "failure-details")), 200000);
    assert_int_equal(json_count(json_get(policy_at(1), "failure-details")), 0);
    buf_clear(&text);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "reader: a flawless report is told without a note", flawless_report_is_told_without_notes,
          0, end, 0 },
        { "reader: a packed report is unpacked, also one packed twice", packed_report_is_unpacked,
          0, end, 0 },
        { "reader: of a damaged packing what came out is read", damaged_packing_gives_what_came_out,
          0, end, 0 },
        { "reader: a report as Google shapes it is fine", report_as_google_shapes_it_is_fine, 0,
          end, 0 },
        { "reader: a report as Microsoft shapes it is fine", report_as_microsoft_shapes_it_is_fine,
          0, end, 0 },
        { "reader: mx-host and policy-string as text are lists (RPT-41)",
          mx_host_as_text_is_a_list_of_one, 0, end, 0 },
        { "reader: counts written as text count (RPT-41)", counts_written_as_text_count, 0, end,
          0 },
        { "reader: counts that are no numbers are 0, and noted", counts_that_are_none_are_zero, 0,
          end, 0 },
        { "reader: times without zone and in other forms are read (RPT-41)",
          times_are_read_in_other_forms, 0, end, 0 },
        { "reader: a time that nobody understands stands as it was written",
          time_that_nobody_understands_stands_as_it_was, 0, end, 0 },
        { "reader: a period that is no UTC day is noted", period_that_is_no_day_is_noted, 0, end,
          0 },
        { "reader: one policy, and one failure, needs no list", one_policy_needs_no_list, 0, end,
          0 },
        { "reader: a policy beside its counts is found", policy_beside_its_counts_is_found, 0, end,
          0 },
        { "reader: keys and words are known in other spellings",
          keys_and_words_are_known_in_other_spellings, 0, end, 0 },
        { "reader: the right key beats its other spellings", the_right_key_beats_the_other_spelling,
          0, end, 0 },
        { "reader: what is unknown is left out or stands as it is, and is noted",
          what_is_unknown_is_left_out_and_noted, 0, end, 0 },
        { "reader: things of another kind are left out", things_of_another_kind_are_left_out, 0,
          end, 0 },
        { "reader: failed sessions without details, and details without them, are noted",
          counts_without_details_are_noted, 0, end, 0 },
        { "reader: addresses are brought into one form", addresses_are_brought_into_one_form, 0,
          end, 0 },
        { "reader: long texts are cut between characters", long_texts_are_cut_between_characters, 0,
          end, 0 },
        { "reader: a mark in front, trailing text and wrong bytes do no harm",
          marks_trailers_and_wrong_bytes_do_no_harm, 0, end, 0 },
        { "reader: what is no report is refused with the reason",
          what_is_no_report_is_refused_with_the_reason, 0, end, 0 },
        { "reader: a mail as RFC 8460 s.5.3 has it is read", mail_as_the_rfc_has_it_is_read, 0, end,
          0 },
        { "reader: a packed part in base64 is read, though the mail's end is missing",
          packed_part_in_base64_is_read, 0, end, 0 },
        { "reader: a mail of our own is read without a note",
          mail_of_our_own_is_read_without_a_note, 0, end, 0 },
        { "reader: a report that is the whole mail is read", report_alone_in_a_mail_is_read, 0, end,
          0 },
        { "reader: a forwarded mail is looked into", forwarded_mail_is_looked_into, 0, end, 0 },
        { "reader: a report in quoted-printable is read", quoted_printable_report_is_read, 0, end,
          0 },
        { "reader: where mail and report differ the report counts (RFC 8460 s.5.6)",
          mail_and_report_that_differ_are_noted, 0, end, 0 },
        { "reader: how a mail's fields are written does not matter", forms_of_fields_do_not_matter,
          0, end, 0 },
        { "reader: long names and wrong bytes in fields are cut",
          long_names_and_wrong_bytes_in_fields_are_cut, 0, end, 0 },
        { "reader: prose that begins with a bracket is no report",
          prose_that_begins_with_a_bracket_is_no_report, 0, end, 0 },
        { "reader: of several parts the one that most speaks for is taken, then the first",
          of_several_parts_the_best_and_then_the_first_is_taken, 0, end, 0 },
        { "reader: mails nested too deep, and parts without number, are not followed",
          mail_nested_too_deep_is_not_followed, 0, end, 0 },
        { "reader: bombs are refused", bombs_are_refused, 0, end, 0 },
        { "reader: a text of very many lines is not taken apart to its end",
          a_text_of_very_many_lines_is_not_taken_apart_to_its_end, 0, end, 0 },
        { "reader: encoded mails within mails are bounded as a whole",
          encoded_mails_within_mails_are_bounded_as_a_whole, 0, end, 0 },
        { "reader: of many policies all are summed and few are told",
          of_many_policies_all_are_summed_and_few_are_told, 0, end, 0 },
        { "reader: policies and failures without number are left out",
          policies_and_failures_without_number_are_left_out, 0, end, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
