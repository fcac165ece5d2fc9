#include "tlsrpt/reader.h"

#include "lib/base/utf8.h"
#include "lib/io/gzip.h"
#include "tlsrpt/reader_findings.h"
#include "tlsrpt/reader_mail.h"
#include "tlsrpt/reader_notes.h"
#include "tlsrpt/reader_report.h"

#include <string.h>

enum { PACKED_DEPTH = 3 }; /* times that a report may be packed */

/* What there is of a report, from its wrapping inwards. */
struct reading {
    struct span text; /* what is left to be looked at; lives in the input or in one of the others */
    struct reader_mail mail;
    bool has_mail;
    struct buf unpacked;
    struct buf repaired;
    struct reader_notes notes;
    struct json *raw;
    struct json *report;
};

/* --- wrappings ------------------------------------------------------------------------------- */

static const struct span byte_order_mark = { "\xef\xbb\xbf", 3 };

static void step_over_mark(struct reading *r)
{
    if (!span_starts_with(r->text, byte_order_mark))
        return;
    r->text = span_from(r->text, byte_order_mark.len);
    reader_note(&r->notes, NOTE_BYTE_ORDER_MARK);
}

/* What is left behind the JSON or the packed file; mails end with empty lines. */
static bool is_anything(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] != '\0' && text.data[i] != ' ' && text.data[i] != '\t' &&
            text.data[i] != '\r' && text.data[i] != '\n')
            return true;
    return false;
}

static struct error *unpack_once(struct reading *r)
{
    struct buf out;
    size_t used = 0;
    enum gzip_verdict verdict;

    buf_init(&out, READER_UNPACKED_MAX);
    verdict = gzip_unpack(r->text, &out, &used);
    if (verdict == GZIP_TOO_LARGE) {
        buf_clear(&out);
        return error_new(ERROR_PERMANENT, "unpacked it would be larger than %d MiB",
                         READER_UNPACKED_MAX >> 20);
    }
    if (verdict != GZIP_WHOLE && buf_len(&out) == 0) {
        buf_clear(&out);
        return error_new(ERROR_PERMANENT, "what is packed is damaged: nothing of it can be read");
    }
    if (verdict != GZIP_WHOLE)
        reader_note(&r->notes, NOTE_CUT_OFF);
    else if (is_anything(span_from(r->text, used)))
        reader_note(&r->notes, NOTE_BEHIND_THE_PACKED);
    buf_clear(&r->unpacked); /* held what was just unpacked */
    r->unpacked = out;
    r->text = buf_span(&r->unpacked);
    return NULL;
}

static struct error *unpack(struct reading *r)
{
    struct error *err = NULL;

    for (int i = 0; i < PACKED_DEPTH && gzip_is_packed(r->text) && !err; i++) {
        if (i > 0)
            reader_note(&r->notes, NOTE_PACKED_TWICE);
        err = unpack_once(r);
    }
    return err;
}

static struct error *open_mail(struct reading *r)
{
    r->has_mail = true;
    if (!reader_mail_find(r->text, &r->notes, &r->mail))
        return error_new(ERROR_PERMANENT, "there is no TLS report in this mail");
    r->text = buf_span(&r->mail.content);
    return NULL;
}

/* What else people may hand in. */
static struct error *refuse(struct span text)
{
    if (text.len == 0)
        return error_new(ERROR_PERMANENT, "there is nothing in it");
    if (span_starts_with(text, SPAN("PK\x03\x04")))
        return error_new(ERROR_PERMANENT, "this is a ZIP archive: unpack it first");
    if (span_starts_with(text, SPAN("\xff\xfe")) || span_starts_with(text, SPAN("\xfe\xff")))
        return error_new(ERROR_PERMANENT, "this is UTF-16: save it as UTF-8 first");
    return error_new(ERROR_PERMANENT, "this is neither JSON, nor packed with gzip, nor a mail");
}

/* Until the JSON lies open. */
static struct error *unwrap(struct reading *r)
{
    struct error *err = unpack(r);

    step_over_mark(r);
    if (!err && !reader_is_json(r->text) && reader_mail_is(r->text)) {
        err = open_mail(r);
        if (!err)
            err = unpack(r);
        step_over_mark(r);
    }
    return !err && !reader_is_json(r->text) ? refuse(r->text) : err;
}

/* --- the JSON -------------------------------------------------------------------------------- */

/* A copy in which each byte that is not UTF-8 became a question mark: no longer than before. */
static void repair(struct reading *r)
{
    size_t room;
    char *copy;

    if (utf8_is_valid(r->text))
        return;
    reader_note(&r->notes, NOTE_NOT_UTF8);
    buf_init(&r->repaired, r->text.len);
    copy = buf_reserve(&r->repaired, r->text.len, &room);
    ensure(copy != NULL);
    for (size_t at = 0, len; at<r->text.len; at += len> 0 ? len : 1) {
        len = utf8_character(span_from(r->text, at));
        memcpy(copy + at, len > 0 ? r->text.data + at : "?", len > 0 ? len : 1);
    }
    buf_commit(&r->repaired, r->text.len);
    r->text = buf_span(&r->repaired);
}

static struct error *parse(struct reading *r)
{
    const struct json_bounds bounds = { SIZE_MAX, READER_VALUES_MAX };
    struct json_found found;
    struct error *err;

    repair(r);
    err = json_parse_front(r->text, &bounds, &r->raw, &found);
    if (err && r->notes.times[NOTE_CUT_OFF] > 0)
        return error_wrap(err, "what is packed is damaged or cut off");
    if (err)
        return err;
    if (found.has_duplicates)
        reader_note(&r->notes, NOTE_KEY_TWICE);
    if (is_anything(span_from(r->text, found.len)))
        reader_note(&r->notes, NOTE_BEHIND_THE_JSON);
    err = reader_report_normalise(r->raw, &r->notes, &r->report);
    json_free(&r->raw); /* nothing of it is lent any more */
    return err;
}

/* --- the mail against the report ------------------------------------------------------------- */

/* Is a policy of that domain?  DANE's are of the MX hosts (RFC 8460 s.4.2), so that nothing can be
 * said of them. */
static bool is_about(const struct json *report, struct span domain)
{
    const struct json *policies = json_get(report, "policies");

    for (size_t i = 0; i < json_count(policies); i++) {
        const struct json *policy = json_get(json_item(policies, i), "policy");
        if (json_member_is(policy, "policy-type", "tlsa") ||
            span_equal_nocase(json_member_text(policy, "policy-domain"), domain))
            return true;
    }
    return false;
}

/* What stands in the body counts (RFC 8460 s.5.6); that the mail says something else is told. */
static void compare_mail(struct reading *r)
{
    struct span contact = json_member_text(r->report, "contact-info");
    struct span domain = span_from(contact, span_find(contact, '@') + 1);

    if (r->mail.submitter[0] != '\0' && !span_equal_nocase(span_of(r->mail.submitter), domain))
        reader_note(&r->notes, NOTE_SUBMITTER_DIFFERS);
    if (r->mail.report_domain[0] != '\0' && !is_about(r->report, span_of(r->mail.report_domain)))
        reader_note(&r->notes, NOTE_DOMAIN_DIFFERS);
}

static void add_mail(struct json *told, const struct reader_mail *mail)
{
    struct json *to = json_add_object(told, "mail");

    json_add_string(to, "from", mail->from);
    json_add_string(to, "tls-report-domain", mail->report_domain);
    json_add_string(to, "tls-report-submitter", mail->submitter);
    json_add_string(to, "media-type", mail->media_type);
    json_add_string(to, "file-name", mail->file_name);
    json_add_bool(to, "forwarded", mail->forwarded);
}

/* --- all of it ------------------------------------------------------------------------------- */

/* Where nothing is counted, or a count means nothing, nobody knows that all went well. */
static bool leaves_it_open(const struct reader_notes *notes)
{
    return notes->times[NOTE_COUNT_WRONG] > 0 || notes->times[NOTE_NO_POLICIES] > 0;
}

static struct json *tell(struct reading *r)
{
    struct json *told = json_new_object();

    if (r->has_mail) {
        compare_mail(r);
        add_mail(told, &r->mail);
    }
    reader_findings_add(r->report, told);
    json_add_bool(told, "unclear", leaves_it_open(&r->notes));
    reader_notes_add(&r->notes, json_add_array(told, "notes"));
    json_add(told, "report", &r->report);
    return told;
}

struct error *reader_read(struct span input, struct json **out)
{
    struct reading r = { .text = input };
    struct error *err;

    buf_init(&r.unpacked, READER_UNPACKED_MAX);
    err = unwrap(&r);
    if (!err)
        err = parse(&r);
    if (!err)
        *out = tell(&r);
    reader_mail_clear(&r.mail);
    buf_clear(&r.unpacked);
    buf_clear(&r.repaired);
    return err;
}

bool reader_is_well(const struct json *told)
{
    return !json_bool(json_get(told, "unclear")) && json_number(json_get(told, "failed")) == 0 &&
           json_count(json_get(told, "findings")) == 0;
}
