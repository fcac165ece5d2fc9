/*
 * What becomes of a report: the name of its file, the message around it, the POST, and where it
 * goes.  The message is taken apart as a receiver would; the POST goes through tlsrpt/post to a
 * host that answers as the vector says.
 */
#include "lib/base/json.h"
#include "lib/io/gzip.h"
#include "lib/mail/dkim_signature.h"
#include "lib/mail/dkim_tags.h"
#include "lib/mail/header_fields.h"
#include "tests/vectors/fake_net.h"
#include "tests/vectors/vectors.h"
#include "tlsrpt/day.h"
#include "tlsrpt/destination.h"
#include "tlsrpt/draft.h"
#include "tlsrpt/file_name.h"
#include "tlsrpt/post.h"
#include "tlsrpt/report_mail.h"

#include <stdlib.h>
#include <string.h>

enum { ROOM = 4 * 1024 * 1024 };

static struct span member(const json_t *given, const char *key)
{
    return text_of(json_object_get(given, key));
}

static json_t *text_value(struct span text)
{
    return json_stringn(text.data, text.len);
}

static uint32_t day_in(struct span time)
{
    uint32_t day = 0;

    ensure(day_parse(span_first(time, 10), &day));
    return day;
}

/* --- the name of the file */

static json_t *judge_file_name(const json_t *given)
{
    struct file_name name;
    char text[FILE_NAME_SIZE];

    if (!file_name_of_day(member(given, "submitter"), member(given, "policy_domain"),
                          day_in(member(given, "start")),
                          json_is_true(json_object_get(given, "compressed")), &name))
        return json_object();
    ensure(span_to_string(member(given, "unique_id"), name.unique, sizeof(name.unique)));
    file_name_format(&name, text);
    return json_pack("{s:s}", "filename", text);
}

static json_t *judge_file_name_read(const json_t *given)
{
    struct file_name name;

    if (!file_name_parse(member(given, "filename"), &name))
        return json_pack("{s:b}", "valid", 0);
    return json_pack("{s:b, s:s, s:s, s:I, s:I, s:s, s:s}", "valid", 1, "sender", name.sender,
                     "policy_domain", name.domain, "begin", (json_int_t)name.begin_s, "end",
                     (json_int_t)name.end_s, "unique_id", name.unique, "extension",
                     name.packed ? "json.gz" : "json");
}

/* --- a report to send */

static enum report_form form_of(const json_t *given)
{
    return json_is_false(json_object_get(given, "compressed")) ? REPORT_PLAIN : REPORT_PACKED;
}

/* One policy, one session: what is in it does not matter here. */
static void write_report(const struct report_facts *facts, enum report_form form, struct buf *out,
                         struct report_sum *sum)
{
    Tlsrpt__PolicyCount policy = TLSRPT__POLICY_COUNT__INIT;
    struct report *report = report_begin(facts, form, out);

    policy.succeeded = 1;
    report_policy(report, &policy);
    ensure(report_end(&report, sum));
}

/* --- the message */

/* A field's body in one line; "" when it is not there, or more than once. */
static json_t *unfolded(struct span block, const char *name)
{
    struct header_fields fields;
    struct header_field field;
    struct buf text;
    unsigned found = 0;
    json_t *value;

    buf_init(&text, ROOM);
    header_fields_init(&fields, block);
    while (header_fields_next(&fields, &field)) {
        if (!span_equal_nocase(field.name, span_of(name)) || found++ > 0)
            continue;
        for (size_t i = 0; i < field.body.len; i++)
            if (field.body.data[i] != '\r' && field.body.data[i] != '\n')
                ensure(buf_append(&text, span_first(span_from(field.body, i), 1)));
    }
    value = text_value(found == 1 ? span_trim(buf_span(&text)) : SPAN(""));
    buf_clear(&text);
    return value;
}

/* Cuts what stands in front of `mark`, and the mark, off; all of it when there is no mark. */
static struct span cut_at(struct span *rest, struct span mark)
{
    const char *at = rest->len ? memmem(rest->data, rest->len, mark.data, mark.len) : NULL;
    struct span piece = at ? span_first(*rest, (size_t)(at - rest->data)) : *rest;

    *rest = span_from(*rest, piece.len + mark.len);
    return piece;
}

/* A parameter of a Content-Type, without its quotes. */
static struct span parameter(struct span type, const char *name)
{
    struct span piece, value;

    while (span_cut(&type, ';', &piece)) {
        value = span_trim(piece);
        if (!span_starts_with_nocase(value, span_of(name)))
            continue;
        value = span_from(value, strlen(name) + 1);
        return value.len > 1 && value.data[0] == '"'
                   ? span_first(span_from(value, 1), value.len - 2)
                   : value;
    }
    return SPAN("");
}

static json_t *types_of_parts(struct span body, struct span boundary)
{
    json_t *types = json_array();
    char mark[200];

    snprintf(mark, sizeof(mark), "--" SPAN_FMT, SPAN_ARG(boundary));
    cut_at(&body, span_of(mark));
    while (body.len > 2 && !span_starts_with(body, SPAN("--"))) {
        struct span part = cut_at(&body, span_of(mark));
        struct span block = cut_at(&part, SPAN("\r\n\r\n"));
        json_t *type = unfolded(span_from(block, 2), "Content-Type");
        struct span whole = text_of(type);
        json_array_append_new(types, text_value(span_first(whole, span_find(whole, ';'))));
        json_decref(type);
    }
    return types;
}

static void add_names(json_t *dkim, struct span h)
{
    json_t *names = json_array();
    struct span name;

    while (span_cut(&h, ':', &name))
        json_array_append_new(names, text_value(dkim_trim(name)));
    json_object_set_new(dkim, "names", names);
}

/* What a signature of the submitter's over this header says. */
static json_t *signature_of(struct span block, struct span submitter)
{
    char digest[DKIM_SHA256_SIZE] = "";
    const struct dkim_signing signing = {
        .algorithm = DKIM_ED25519_SHA256,
        .header = DKIM_RELAXED,
        .body = DKIM_RELAXED,
        .domain = submitter,
        .selector = SPAN("s"),
        .signed_utc_s = 1,
        .expires_utc_s = 2,
        .body_sha256 = { digest, sizeof(digest) },
    };
    json_t *dkim = json_object();
    struct dkim_tags tags;
    struct span value;
    struct buf field;

    buf_init(&field, DKIM_FIELD_MAX);
    if (!dkim_signature_open(&signing, block, &field) &&
        dkim_tags_parse(span_from(buf_span(&field), strlen("DKIM-Signature:")), &tags)) {
        json_object_set_new(dkim, "signed", json_true());
        json_object_set_new(dkim, "l_tag", json_boolean(dkim_tags_find(&tags, "l", &value)));
        if (dkim_tags_find(&tags, "d", &value))
            json_object_set_new(dkim, "d", text_value(value));
        if (dkim_tags_find(&tags, "h", &value))
            add_names(dkim, value);
    }
    buf_clear(&field);
    return dkim;
}

static json_t *take_apart(struct span mail, struct span submitter)
{
    static const char *const names[] = { "TLS-Report-Domain",
                                         "TLS-Report-Submitter",
                                         "TLS-Required",
                                         "Auto-Submitted",
                                         "MIME-Version",
                                         "From",
                                         "To",
                                         "Date",
                                         "Message-ID" };
    struct span body = mail;
    struct span block = cut_at(&body, SPAN("\r\n\r\n"));
    json_t *headers = json_object();
    json_t *type = unfolded(block, "Content-Type");
    struct span whole = text_of(type);
    json_t *got;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        json_object_set_new(headers, names[i], unfolded(block, names[i]));
    got = json_pack("{s:o, s:o, s:o, s:{s:o}, s:o, s:o}", "headers", headers, "subject_unfolded",
                    unfolded(block, "Subject"), "content_type",
                    text_value(span_first(whole, span_find(whole, ';'))), "parameters",
                    "report-type", text_value(parameter(whole, "report-type")), "parts",
                    types_of_parts(body, parameter(whole, "boundary")), "dkim",
                    signature_of(block, submitter));
    json_decref(type);
    return got;
}

static json_t *judge_mail(const json_t *given)
{
    const json_t *who = json_object_get(given, "submitter");
    const struct report_facts facts = {
        .organization = member(who, "organization"),
        .contact = member(who, "contact"),
        .domain = member(given, "policy_domain"),
        .day = day_in(SPAN("2026-03-09")),
        .id = member(who, "report_id"),
    };
    struct span from = member(given, "from_address");
    struct report_sum sum;
    struct report_mail mail = {
        .facts = &facts,
        .sum = &sum,
        .form = form_of(given),
        .from = from.len > 0 ? from : facts.contact,
        .to = member(given, "to"),
        .hostname = SPAN("relay1.example"),
        .now_ms = 1773100800000,
    };
    struct buf report, text;
    json_t *got;

    buf_init(&report, ROOM);
    buf_init(&text, ROOM);
    write_report(&facts, mail.form, &report, &sum);
    mail.report = buf_span(&report);
    got = report_mail_write(&mail, &text) ? take_apart(buf_span(&text), report_submitter(&facts))
                                          : json_object();
    buf_clear(&report);
    buf_clear(&text);
    return got;
}

/* --- the POST */

struct posting {
    struct loop *loop;
    struct http_answer answer;
    struct post_result result;
};

static void on_dns(void *ctx, struct span name, enum dns_type type, struct dns_answer *out)
{
    (void)ctx;
    (void)name;
    if (type != DNS_A)
        return;
    out->outcome = DNS_ANSWER;
    out->records = calloc(1, sizeof(*out->records));
    out->count = 1;
    ensure(ip_address_parse(SPAN("192.1.2.3"), &out->records[0].address));
}

static void on_https(void *ctx, const char *host, struct http_answer *out)
{
    struct posting *posting = ctx;

    (void)host;
    *out = posting->answer;
}

static void on_posted(void *ctx, const struct post_result *result)
{
    struct posting *posting = ctx;

    posting->result = *result;
    loop_stop(posting->loop);
}

static const char *name_of_body(struct span body)
{
    struct json *report = NULL;
    struct error *err;
    struct buf text;
    size_t used;
    const char *name = "";

    buf_init(&text, ROOM);
    if (gzip_unpack(body, &text, &used) == GZIP_WHOLE && used == body.len) {
        err = json_parse(buf_span(&text), &report);
        name = err ? "" : "gzip of the JSON report";
        error_free(&err);
        json_free(&report);
    }
    buf_clear(&text);
    return name;
}

static json_t *post_one(struct posting *posting, const struct destination *to,
                        enum report_form form, struct span body)
{
    struct resolver *resolver = fake_resolver_new(posting->loop, on_dns, posting);
    struct http *http = fake_https_new(posting->loop, on_https, posting);
    const struct post_tools tools = { .loop = posting->loop, .resolver = resolver, .http = http };
    const struct http_post *asked;
    json_t *got;

    post_start(&tools, to, form, body, on_posted, posting);
    loop_run(posting->loop);
    asked = fake_https_posted(http);
    got = json_pack("{s:s, s:s, s:s, s:b, s:b}", "method", "POST", "content_type",
                    asked->content_type, "body", name_of_body(asked->body), "delivered",
                    posting->result.taken, "retry", !posting->result.taken);
    fake_https_free(&http);
    fake_resolver_free(&resolver);
    return got;
}

static json_t *judge_post(const json_t *given)
{
    const struct report_facts facts = { .domain = SPAN("example.net"),
                                        .day = day_in(SPAN("2026-03-09")) };
    const json_t *status = json_object_get(given, "status");
    struct destinations to = { .count = 0 };
    struct posting posting = { .loop = loop_new() };
    struct report_sum sum;
    struct buf report;
    json_t *got;

    posting.answer.outcome = HTTP_GOT;
    posting.answer.status = status ? (int)json_integer_value(status) : 200;
    buf_init(&report, ROOM);
    write_report(&facts, form_of(given), &report, &sum);
    got = destinations_add(&to, member(given, "rua")) == DESTINATION_FINE
              ? post_one(&posting, &to.items[0], form_of(given), buf_span(&report))
              : json_pack("{s:b}", "delivered", 0);
    buf_clear(&report);
    loop_free(&posting.loop);
    return got;
}

/* --- where it goes */

/* Of a whole record, or of URIs one by one; false: neither is given. */
static bool destinations_in(const json_t *given, struct destinations *out)
{
    const json_t *uris = json_object_get(given, "rua");
    struct draft draft;
    json_t *uri;
    size_t i;

    draft_read(member(given, "record"), &draft);
    *out = draft.to;
    json_array_foreach(uris, i, uri) destinations_add(out, text_of(uri));
    return uris || json_object_get(given, "record");
}

/* RFC 8460 s.3: each is tried; it is delivered when one has taken it. */
static json_t *judge_destinations(const json_t *given)
{
    const json_t *results = json_object_get(given, "results");
    struct destinations to;
    json_t *used = json_array();
    bool taken = false;
    json_t *got;

    if (!destinations_in(given, &to)) {
        json_decref(used);
        return NULL;
    }
    for (unsigned i = 0; i < to.count; i++) {
        json_array_append_new(used, json_string(to.items[i].text));
        taken = taken || span_equal(member(results, to.items[i].text), SPAN("accepted"));
    }
    got = json_pack("{s:o}", "destinations", used);
    if (results)
        json_object_set_new(got, "delivered", json_boolean(taken));
    return got;
}

/* --- which is which */

static const struct {
    const char *name;
    json_t *(*judge)(const json_t *given);
} kinds[] = {
    { "aggregate", judge_aggregate }, { "filename", judge_file_name },
    { "mail", judge_mail },           { "filename_parse", judge_file_name_read },
    { "post", judge_post },           { "destinations", judge_destinations },
};

json_t *judge_report(const json_t *given)
{
    struct span kind = member(given, "kind");
    json_t *got;

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (!span_equal(kind, span_of(kinds[i].name)))
            continue;
        got = kinds[i].judge(given);
        if (got && kinds[i].judge != judge_aggregate)
            json_object_set_new(got, "kind", text_value(kind));
        return got;
    }
    return NULL;
}

static bool has_all(const json_t *wanted, const json_t *names)
{
    json_t *name, *other;
    size_t i, j;

    json_array_foreach(wanted, i, name)
    {
        bool found = false;
        json_array_foreach(names, j, other) found =
            found || span_equal_nocase(text_of(name), text_of(other));
        if (!found)
            return false;
    }
    return true;
}

static bool signature_agrees(const json_t *wanted, const json_t *got)
{
    const json_t *domains = json_object_get(wanted, "d_domain");
    json_t *d = json_pack("[O]", json_object_get(got, "d"));
    bool agrees =
        json_equal(json_object_get(wanted, "signed"), json_object_get(got, "signed")) &&
        json_equal(json_object_get(wanted, "l_tag"), json_object_get(got, "l_tag")) &&
        has_all(d, domains) &&
        has_all(json_object_get(wanted, "signed_headers_include"), json_object_get(got, "names")) &&
        has_all(json_object_get(wanted, "signed_headers_should_include"),
                json_object_get(got, "names"));

    json_decref(d);
    return agrees;
}

/* Objects by what is wanted of them, all else as it is. */
static bool member_agrees(const char *key, json_t *wanted, const json_t *got)
{
    const char *inner;
    json_t *value;

    if (strcmp(key, "dkim") == 0)
        return signature_agrees(wanted, got);
    if (!json_is_object(wanted))
        return json_equal(wanted, got);
    json_object_foreach(wanted, inner,
                        value) if (!json_equal(value, json_object_get(got, inner))) return false;
    return true;
}

bool any_report_agrees(const json_t *expect, const json_t *got)
{
    json_t *object = (json_t *)(uintptr_t)expect;
    const char *key;
    json_t *wanted;

    if (!json_object_get(got, "kind"))
        return report_agrees(expect, got);
    json_object_foreach(
        object, key,
        wanted) if (!member_agrees(key, wanted, json_object_get(got, key))) return false;
    return true;
}
